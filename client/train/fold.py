"""Which pictures train, which validate, which are only tested: one leave-domains-out fold."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Manifest
from client.data.shots import draw_shots
from client.data.splits import Split
from client.train.errors import TrainingError, check_name

Rows = NDArray[np.int64]
"""int64[n] positions in `manifest.pictures`."""

__all__ = ["Fold", "Rows", "make_fold"]


@dataclass(frozen=True)
class Fold:
    """The pictures of one experiment by their part in it."""

    manifest: Manifest
    split: Split
    targets: tuple[str, ...]
    shots: int | None = None
    """Labelled pictures of each class × source domain that train; None: the whole training part."""
    seed: int = 0
    """Decides which shots these are."""
    chosen: tuple[int, ...] | None = None
    """Training pictures whose image vectors were bought; None: all of them."""
    only_chosen: bool = False
    """Whether the others do not train at all: for methods that can teach nothing without a vector."""
    bought_views: int = 0
    """Bought views of each of those pictures; 0: the file's own vector."""
    lends: bool = False
    """Whether the training pictures beyond the shots take part too, without their labels."""
    purchase: tuple[str, ...] = ()
    """What `vl2v fetch` must be told to buy these vectors and no others."""

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The domains that are trained on."""
        return tuple(d for d in self.manifest.domains if d not in self.targets)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """int64[n]: every picture's class, over the union of the domains."""
        index = {name: i for i, name in enumerate(self.manifest.classes)}
        return np.array([index[p.label] for p in self.manifest.pictures], dtype=np.int64)

    @cached_property
    def domains(self) -> NDArray[np.int64]:
        """int64[n]: every picture's domain."""
        index = {name: i for i, name in enumerate(self.manifest.domains)}
        return np.array([index[p.domain] for p in self.manifest.pictures], dtype=np.int64)

    @cached_property
    def training(self) -> Rows:
        """What the student learns from: of the source domains' training part all, or the shots and
        what is lent beside them. Without both label and vector a picture teaches nothing."""
        rows = self.offered
        asked = np.isin(rows, self.queried)
        return rows[asked if self.only_chosen else asked | np.isin(rows, self.labelled)]

    @cached_property
    def offered(self) -> Rows:
        """The training pictures before any is left out for want of a vector."""
        return self._of(self.split.training, self.sources) if self.lends else self.labelled

    @cached_property
    def labelled(self) -> Rows:
        """The training pictures whose labels may be read."""
        rows = self._of(self.split.training, self.sources)
        if self.shots is None:
            return rows
        drawn = draw_shots(self.manifest, rows.tolist(), self.shots, seed=self.seed)
        return np.array(drawn, dtype=np.int64)

    @cached_property
    def queried(self) -> Rows:
        """The training pictures whose image vectors may be read."""
        return self.offered if self.chosen is None else np.array(self.chosen, dtype=np.int64)

    @cached_property
    def validation(self) -> Rows:
        """The validation part of the source domains: decides every choice, and is "in-domain"."""
        return self._of(self.split.validation, self.sources)

    @cached_property
    def tested(self) -> Rows:
        """Every picture of the target domains."""
        return self._of((*self.split.training, *self.split.validation), self.targets)

    @cached_property
    def asked(self) -> Rows:
        """What evaluating the teacher asks it about: the validation part and the targets."""
        return np.union1d(self.validation, self.tested)

    def part(self, domain: str, part: str) -> Rows:
        """A domain's training part (`in`) or validation part (`out`), in DomainBed's words."""
        return self._of(self.split.training if part == "in" else self.split.validation, (domain,))

    def _of(self, rows: tuple[int, ...], domains: tuple[str, ...]) -> Rows:
        wanted = [i for i in rows if self.manifest.pictures[i].domain in domains]
        return np.array(sorted(wanted), dtype=np.int64)


def make_fold(
    manifest: Manifest,
    split: Split,
    targets: tuple[str, ...],
    *,
    shots: int | None = None,
    seed: int = 0,
) -> Fold:
    """The fold that leaves `targets` out. Raises TrainingError when nothing is left to learn from.

    With `shots` only that many training pictures of each class × source domain are left, drawn
    under `seed`; validation and test stay whole.
    """
    _require_labels(manifest)
    for target in targets:
        check_name("target", target, manifest.domains)
    fold = Fold(manifest, split, targets, shots, seed)
    if not fold.sources:
        raise TrainingError("every domain is a target: leave at least one domain to train on")
    if not len(fold.training) or not len(fold.validation):
        raise TrainingError(
            f"the source domains have {len(fold.training)} training and {len(fold.validation)} "
            "validation images: add images, or change --holdout"
        )
    return fold


def _require_labels(manifest: Manifest) -> None:
    """Classes, and two domains: what can be bought without them cannot be trained on."""
    if not manifest.classes:
        raise TrainingError(
            f"{manifest.data} says no classes: add a column class, and a column domain, to it"
        )
    if len(manifest.domains) < 2:
        remedy = (
            "add a column domain to it, with two names or more"
            if manifest.listing
            else "lay the images out as DATA/<domain>/<class>/<image>"
        )
        raise TrainingError(
            f"{manifest.data} holds a single domain ({', '.join(manifest.domains)}), and leaving one "
            f"out needs at least two: {remedy}"
        )
