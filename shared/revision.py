"""A model's revision: a short digest of everything that can change a vector."""

import hashlib
import json
from collections.abc import Iterable

REVISION_CHARACTERS = 16
SPACE_MARK = "~"
"""Between a revision and the private space that its vectors lie in."""

__all__ = [
    "REVISION_CHARACTERS",
    "SPACE_MARK",
    "hash_json",
    "hash_weights",
    "join_hashes",
    "join_space",
    "split_space",
]


def hash_weights(tensors: Iterable[tuple[str, str, memoryview]]) -> bytes:
    """SHA-256 of tensors given as (name, type and shape, bytes), in any order."""
    digest = hashlib.sha256()
    for name, kind, data in sorted(tensors, key=lambda tensor: tensor[0]):
        digest.update(f"{name} {kind}\n".encode())
        digest.update(data)
    return digest.digest()


def hash_json(value: object) -> bytes:
    """SHA-256 of a JSON value, whatever the order of its members."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def join_hashes(*parts: bytes) -> str:
    """The revision: the first hexadecimal digits of the SHA-256 of the parts."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:REVISION_CHARACTERS]


def join_space(revision: str, space_id: str | None) -> str:
    """The name of a revision's vectors in a space: `revision~space`; None: in everybody's."""
    return revision if space_id is None else f"{revision}{SPACE_MARK}{space_id}"


def split_space(revision: str) -> tuple[str, str | None]:
    """The revision of the weights, and the private space if the name has one."""
    base, mark, space_id = revision.partition(SPACE_MARK)
    return base, space_id if mark else None
