"""A few labelled pictures of each class and domain, drawn so that fewer are always a part of more."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from client.data.manifest import Manifest, Picture

__all__ = ["draw_shots"]


def draw_shots(manifest: Manifest, rows: Sequence[int], shots: int, *, seed: int = 0) -> list[int]:
    """`shots` of the rows for each class × domain, all where there are fewer; ascending.

    The order of drawing is a hash of (seed, group): the 2-shot pictures are among the 4-shot ones,
    and a drawing that occurs in several domains is taken early, or late, in all of them. What other
    domains hold does not matter, so that one purchase serves every target domain.
    """
    if shots < 1:
        raise ValueError(f"shots are at least 1, not {shots}")
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        picture = manifest.pictures[row]
        cells[picture.domain, picture.label].append(row)
    chosen: list[int] = []
    for cell in cells.values():
        cell.sort(key=lambda row: _place(seed, manifest.pictures[row]))
        chosen += cell[:shots]
    return sorted(chosen)


def _place(seed: int, picture: Picture) -> tuple[bytes, bytes, str]:
    """Pictures of one group follow each other, by their own bytes."""
    group = hashlib.sha256(f"shots:{seed}:{picture.group}".encode()).digest()
    return group, picture.digest, picture.path
