"""What a purpose needs: which pictures and which texts, each once."""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.cache.store import FILE_VIEW, Purpose
from client.data import Manifest, Split
from client.errors import UsageError
from shared.digests import digest_text

__all__ = ["Wants", "choose_images", "choose_wants"]


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


def choose_wants(
    manifest: Manifest,
    split: Split,
    prompts: Mapping[str, Sequence[str]],
    *,
    purpose: Purpose = "training",
    targets: Collection[str] = (),
    narrow: Callable[[list[int]], list[int]] = lambda rows: rows,
    views: tuple[str, ...] = (FILE_VIEW,),
) -> Wants:
    """What training, or evaluating the teacher, asks about: images of the purpose and class texts.

    `narrow` picks from the purpose's pictures those that are asked about. Raises UsageError for a
    target that is no domain, and when no domain is left to train on.
    """
    chosen = narrow(choose_images(manifest, split, purpose, targets))
    pictures = [manifest.pictures[i] for i in chosen]
    texts = {digest_text(text): text for words in prompts.values() for text in words}
    images = {picture.digest: manifest.file(picture) for picture in pictures}
    return Wants(purpose, images, texts, views)


def choose_images(
    manifest: Manifest, split: Split, purpose: Purpose, targets: Collection[str] = ()
) -> list[int]:
    """Indices of the pictures that a purpose asks the teacher about.

    Training: the training part of every domain but the targets. Evaluation: the validation part of
    those domains, and all pictures of the targets.
    """
    _check_targets(manifest, targets, purpose)
    part = split.training if purpose == "training" else split.validation
    chosen = [i for i in part if manifest.pictures[i].domain not in targets]
    if purpose == "evaluation":
        chosen += [i for i, picture in enumerate(manifest.pictures) if picture.domain in targets]
    return sorted(chosen)


def _check_targets(manifest: Manifest, targets: Collection[str], purpose: Purpose) -> None:
    for target in targets:
        if target not in manifest.domains:
            near = difflib.get_close_matches(target, manifest.domains, n=1)
            hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(manifest.domains)}"
            raise UsageError(f"{target!r} is no domain of {manifest.root}: {hint}")
    if purpose == "training" and set(targets) >= set(manifest.domains):
        raise UsageError("every domain is a target: leave at least one to train on")
