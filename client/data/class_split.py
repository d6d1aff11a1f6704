"""Which classes train and which are never seen, and the few pictures of those that may be added later.

Each choice is made by a seeded hash of names alone: the same for ever, whatever is added beside it.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from client.data.manifest import DataError, Manifest
from client.data.splits import Split

__all__ = ["ClassSplit", "draw_shots", "keep_pictures", "split_classes"]


@dataclass(frozen=True, slots=True)
class ClassSplit:
    """Two disjoint halves of a class list, each sorted."""

    seen: tuple[str, ...]
    """In-distribution: their pictures and texts train."""
    unseen: tuple[str, ...]
    """Out-of-distribution: no picture, vector or text of theirs is read by training."""


def split_classes(classes: Iterable[str], *, seed: int = 0) -> ClassSplit:
    """The halves of split number `seed`; of an odd count the seen half has one more.

    Raises DataError below four classes: each half needs two to tell apart.
    """
    ranked = sorted(classes, key=lambda name: (_rank("class", seed, name), name))
    if len(ranked) < 4:
        raise DataError(
            f"{len(ranked)} classes cannot be halved into seen and unseen ones: lay out at least four"
        )
    half = (len(ranked) + 1) // 2
    return ClassSplit(tuple(sorted(ranked[:half])), tuple(sorted(ranked[half:])))


def draw_shots(
    manifest: Manifest, split: Split, classes: Collection[str], count: int, *, seed: int = 0
) -> tuple[int, ...]:
    """Ascending indices of `count` training pictures of each class, each of another group.

    Fewer where a class has no more groups; the draw of a smaller count is part of a larger one's.
    """
    chosen: list[int] = []
    for name in classes:
        groups: dict[str, int] = {}
        for index in split.training:
            picture = manifest.pictures[index]
            if picture.label == name:
                groups.setdefault(picture.group, index)
        ranked = sorted(groups, key=lambda group: (_rank("shot", seed, group), group))
        chosen += [groups[group] for group in ranked[:count]]
    return tuple(sorted(chosen))


def keep_pictures(
    manifest: Manifest, split: Split, rows: Iterable[int], classes: tuple[str, ...]
) -> tuple[Manifest, Split]:
    """The same data as if only pictures `rows` and these classes existed; row order is kept."""
    kept = sorted(rows)
    place = {old: new for new, old in enumerate(kept)}
    pictures = tuple(manifest.pictures[i] for i in kept)
    smaller = replace(
        manifest,
        pictures=pictures,
        domains=tuple(sorted({picture.domain for picture in pictures})),
        classes=classes,
    )
    parts = (tuple(place[i] for i in part if i in place) for part in _parts(split))
    return smaller, Split(*parts)


def _parts(split: Split) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return split.training, split.validation


def _rank(kind: str, seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{seed}:{name}".encode()).digest()
