"""What a purpose needs: which pictures and which texts, each once."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.cache.store import FILE_VIEW, Purpose
from client.data import Picture
from client.data.splits import is_held_out
from client.errors import UsageError

__all__ = ["Wants", "check_targets", "is_wanted"]


@dataclass(frozen=True, slots=True)
class Wants:
    """Distinct content to have in the cache; two identical files are one."""

    purpose: Purpose
    images: Mapping[bytes, Path]
    """Digest → a file with these bytes."""
    texts: Mapping[bytes, str]
    """Digest → the text."""
    views: tuple[str, ...] = (FILE_VIEW,)
    """How each image is asked about: as the file it is, or as so many views."""


def is_wanted(
    picture: Picture, purpose: Purpose, targets: Collection[str] = (), *, split_seed: int = 0
) -> bool:
    """Whether a purpose asks the teacher about the picture; no other picture has a say in it.

    Training: the training part of every domain but the targets. Evaluation: the validation part of
    those domains, and all pictures of the targets.
    """
    if picture.domain in targets:
        return purpose == "evaluation"
    return is_held_out(picture, seed=split_seed) == (purpose == "evaluation")


def check_targets(
    domains: Collection[str], data: Path, targets: Collection[str], purpose: Purpose
) -> None:
    """Raises UsageError for a target that is no domain of the data, and when none is left to train on."""
    for target in targets:
        if target not in domains:
            near = difflib.get_close_matches(target, domains, n=1)
            hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(domains)}"
            raise UsageError(f"{target!r} is no domain of {data}: {hint}")
    if purpose == "training" and domains and set(targets) >= set(domains):
        raise UsageError("every domain is a target: leave at least one to train on")
