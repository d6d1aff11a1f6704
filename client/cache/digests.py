"""What files were when they were last read, so that a scan reads only what changed."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, insert, select

from client.cache.database import Database
from client.cache.tables import file_digest
from client.data.manifest import FileState, Inspection

CHUNK = 500
"""Rows per statement: below every database's limit of parameters."""

__all__ = ["FileDigests"]


class FileDigests:
    """The digest memo, `(path, size, mtime_ns) → digest or problem`, in the cache database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recall(self, files: Sequence[FileState]) -> dict[FileState, Inspection]:
        """What is known about these exact states; others are left out."""
        wanted = {file.path: file for file in files}
        paths = list(wanted)
        known: dict[FileState, Inspection] = {}
        with self._database.read() as connection:
            for start in range(0, len(paths), CHUNK):
                rows = connection.execute(
                    select(file_digest).where(file_digest.c.path.in_(paths[start : start + CHUNK]))
                )
                for row in rows:
                    state = FileState(row.path, row.size, row.mtime_ns)
                    if wanted[row.path] == state:
                        known[state] = Inspection(row.digest, row.problem)
        return known

    def remember(self, inspections: Mapping[FileState, Inspection]) -> None:
        """Keep these, replacing older states of the same paths."""
        rows = [
            {
                "path": state.path,
                "size": state.size,
                "mtime_ns": state.mtime_ns,
                "digest": inspection.digest,
                "problem": inspection.problem,
            }
            for state, inspection in inspections.items()
        ]
        if not rows:
            return
        with self._database.write() as connection:
            connection.execute(
                delete(file_digest).where(file_digest.c.path == bindparam("gone")),
                [{"gone": row["path"]} for row in rows],
            )
            connection.execute(insert(file_digest), rows)
