"""Files that only their owner may read."""

import os
import secrets
from pathlib import Path

__all__ = ["write_secret"]


def write_secret(path: Path, content: bytes, *, replace: bool = False) -> None:
    """The file with mode 0600, whole or not at all; one that is there stays unless `replace`."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())
    if replace:
        partial.replace(path)
        return
    try:
        os.link(partial, path)  # unlike a rename, keeps the file of whoever came first
    except FileExistsError:
        pass
    finally:
        partial.unlink()
