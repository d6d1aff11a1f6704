"""What a backup's folder holds: every file with its size and digest, checked before any is used."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from vendor_api.refusal import Refusal

FORMAT = 1
NAME = "manifest.json"
FINGERPRINT = "pepper.fingerprint"
PEPPER = "pepper"

Backend = Literal["sqlite", "postgresql"]
DATABASE_FILES: Mapping[Backend, str] = {"sqlite": "vendor.db", "postgresql": "vendor.dump"}

__all__ = [
    "DATABASE_FILES",
    "FINGERPRINT",
    "PEPPER",
    "Backend",
    "BackupFile",
    "Manifest",
    "read_manifest",
    "sync_folder",
    "write_manifest",
    "write_private",
]


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of the backup."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The backup's table of contents."""

    backend: Backend
    made_at: str
    files: tuple[BackupFile, ...]

    @property
    def database_file(self) -> str:
        """The name of the file that holds the database."""
        return DATABASE_FILES[self.backend]

    @property
    def has_pepper(self) -> bool:
        """Whether the secret that keys are hashed with is there, not only its fingerprint."""
        return any(file.name == PEPPER for file in self.files)


def write_manifest(
    folder: Path, *, backend: Backend, made_at: str, names: Iterable[str]
) -> Manifest:
    """Describe the files of the folder, in the folder, durably."""
    manifest = Manifest(backend, made_at, tuple(_measure(folder / name) for name in names))
    document = {"format": FORMAT, **asdict(manifest)}
    write_private(folder / NAME, json.dumps(document, indent=2).encode() + b"\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest, every file of it checked. Raises Refusal when one is missing or different."""
    try:
        document = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = tuple(BackupFile(**file) for file in document["files"])
        manifest = Manifest(document["backend"], document["made_at"], files)
        known = document["format"] == FORMAT and manifest.backend in DATABASE_FILES
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{folder} is no backup of a vendor: there is no readable {NAME}") from error
    names = {file.name for file in files}
    if not known or not {manifest.database_file, FINGERPRINT} <= names:
        raise Refusal(f"{folder} is a backup that this version cannot read")
    for file in files:
        _check(folder, file)
    return manifest


def write_private(path: Path, content: bytes) -> None:
    """A new file for its owner alone, on the disk before this returns."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())


def sync_folder(path: Path) -> None:
    """Put the folder's names on the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _measure(path: Path) -> BackupFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BackupFile(path.name, path.stat().st_size, digest)


def _check(folder: Path, expected: BackupFile) -> None:
    path = folder / expected.name
    if Path(expected.name).name != expected.name or not path.is_file():
        raise Refusal(f"{path} is missing: this backup is not whole, use another one")
    if _measure(path) != expected:
        raise Refusal(f"{path} is not what was backed up: use another backup")
