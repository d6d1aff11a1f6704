"""Methods held against each other on the same unseen pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.train.answers import load_answers
from client.train.fold import Fold
from client.train.methods import find_method
from client.train.presets import CONTRASTS
from client.train.runs import RunFolder
from client.train.statistics import Interval, bootstrap, paired_bootstrap

__all__ = ["Difference", "Outcome", "compare_methods", "read_outcome", "score_methods"]


@dataclass(frozen=True)
class Outcome:
    """One run's answers to every picture of its target domains."""

    method: str
    targets: tuple[str, ...]
    seed: int | None
    """None for a method that no seed changes."""
    right: NDArray[np.bool_]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    """Each picture's drawing."""

    def matches(self, other: "Outcome") -> bool:
        """Whether the two are a pair: the same fold, and the same seed where both have one."""
        seeds = {self.seed, other.seed}
        return self.targets == other.targets and (len(seeds) == 1 or None in seeds)


@dataclass(frozen=True, slots=True)
class Difference:
    """a − b in mean per-class accuracy out of domain, over paired folds and seeds."""

    a: str
    b: str
    interval: Interval
    pairs: int

    def document(self) -> dict[str, Any]:
        """As summary.json carries it."""
        return {"a": self.a, "b": self.b, "pairs": self.pairs, **self.interval.document()}


def read_outcome(folder: RunFolder, fold: Fold) -> Outcome:
    """What a finished run says to the pictures it never saw. Raises TrainingError."""
    config, tested = folder.require_done(), fold.tested
    labels = fold.labels[tested]
    return Outcome(
        method=config["method"],
        targets=fold.targets,
        seed=config["trial_seed"] if find_method(config["method"]).trains else None,
        right=load_answers(folder).classes[tested] == labels,
        labels=labels,
        groups=tuple(fold.manifest.pictures[int(row)].group for row in tested),
    )


def score_methods(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Method → its mean per-class accuracy out of domain, 95 % interval over drawings."""
    found = {}
    for method in dict.fromkeys(outcome.method for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.method == method]
        found[method] = bootstrap(
            [o.right for o in mine], [o.labels for o in mine], [o.groups for o in mine]
        )
    return found


def compare_methods(
    outcomes: Sequence[Outcome], contrasts: Sequence[tuple[str, str]] = CONTRASTS
) -> list[Difference]:
    """The differences that `contrasts` names, where both methods have runs of the same fold.

    Runs are paired by fold and seed; an untrained method's one run a fold meets every seed of the
    other's.
    """
    return [
        _subtract(outcomes, a, b)
        for a, b in _expand(contrasts, dict.fromkeys(outcome.method for outcome in outcomes))
        if _pair(outcomes, a, b)
    ]


def _expand(
    contrasts: Sequence[tuple[str, str]], methods: Mapping[str, None]
) -> Iterator[tuple[str, str]]:
    for a, b in contrasts:
        others = [name for name in methods if name != a] if b == "*" else [b]
        yield from ((a, other) for other in others if a in methods and other in methods)


def _subtract(outcomes: Sequence[Outcome], a: str, b: str) -> Difference:
    pairs = _pair(outcomes, a, b)
    interval = paired_bootstrap(
        [one.right for one, _ in pairs],
        [other.right for _, other in pairs],
        [one.labels for one, _ in pairs],
        [one.groups for one, _ in pairs],
    )
    return Difference(a, b, interval, len(pairs))


def _pair(outcomes: Sequence[Outcome], a: str, b: str) -> list[tuple[Outcome, Outcome]]:
    ones = [outcome for outcome in outcomes if outcome.method == a]
    others = [outcome for outcome in outcomes if outcome.method == b]
    return [(one, other) for one in ones for other in others if one.matches(other)]
