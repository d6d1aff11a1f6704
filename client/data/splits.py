"""Which pictures train and which validate: decided per group by a seeded hash, for ever the same."""

import hashlib
from dataclasses import dataclass

from client.data.manifest import Manifest, Picture

HOLDOUT = 0.2
_SCALE = 2**64

__all__ = ["HOLDOUT", "Split", "is_held_out", "split_pictures"]


@dataclass(frozen=True, slots=True)
class Split:
    """Two disjoint parts of a manifest, as ascending indices into its `pictures`."""

    training: tuple[int, ...]
    validation: tuple[int, ...]


def split_pictures(manifest: Manifest, *, seed: int = 0, holdout: float = HOLDOUT) -> Split:
    """About `holdout` of each domain's pictures apart for validation, whole groups at a time.

    A group's side depends on the seed and its own name alone: adding a file moves no other, and one
    purchase of the training part serves every target domain and trial seed. A drawing that occurs
    in several domains is on the same side in all of them.
    """
    if not 0 <= holdout <= 1:
        raise ValueError(f"holdout is a share between 0 and 1, not {holdout}")
    sides: tuple[list[int], list[int]] = ([], [])
    for index, picture in enumerate(manifest.pictures):
        sides[is_held_out(picture, seed=seed, holdout=holdout)].append(index)
    return Split(training=tuple(sides[0]), validation=tuple(sides[1]))


def is_held_out(picture: Picture, *, seed: int = 0, holdout: float = HOLDOUT) -> bool:
    """Whether the picture validates; no other picture has a say in it."""
    return _place(seed, picture.group) < int(holdout * _SCALE)


def _place(seed: int, group: str) -> int:
    """Where the group falls on [0, 2⁶⁴), uniform over groups."""
    digest = hashlib.sha256(f"split:{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
