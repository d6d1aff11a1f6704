"""What a student says about pictures that it never saw: samples, confusions, and its worst mistakes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.export.blocks import Block, Figure, Gallery, Item, Table
from client.export.diagrams import draw_confusion
from client.export.evidence import Evidence, spread_out
from client.export.figures import Picture, make_thumbnail

SAMPLES = 18
"""Predictions shown for each target."""
SHOWN_CLASSES = 40
"""Rows of a heat map that can still be read."""
TOP_CONFUSIONS = 12
GROUPS = 9
"""Pairs of (true, said) shown with their pictures, the most confident first."""
PER_GROUP = 3

__all__ = ["count_confusions", "describe_confusions", "describe_mistakes", "describe_samples"]


def describe_samples(evidence: Evidence) -> list[Block]:
    """Predictions on pictures of the target, evenly spread."""
    rows = [int(evidence.tested[i]) for i in spread_out(len(evidence.tested), SAMPLES)]
    items = [item for row in rows if (item := _show_rows(evidence, [row]))]
    caption = "Drawn by a fixed rule: spread evenly over the target's pictures, not by result."
    return [Gallery(items, caption)] if items else []


def describe_confusions(evidence: Evidence) -> list[Block]:
    """The heat map with the most frequent confusions; nothing when nothing was tested."""
    if not len(evidence.tested):
        return []
    classes = evidence.fold.manifest.classes
    counts = count_confusions(evidence)
    wrong = counts - np.diag(np.diag(counts))
    hardest = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:SHOWN_CLASSES]
    shown = np.sort(hardest)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    part = f"; the {SHOWN_CLASSES} most confused classes" if len(classes) > SHOWN_CLASSES else ""
    return [
        Figure(
            draw_confusion(shares[np.ix_(shown, shown)], [classes[i] for i in shown]),
            "Confusions: rows are true classes, columns what was said; the darker, the larger the "
            f"share of the row's pictures{part}.",
            _list_confusions(counts, wrong, classes),
            unfolded=True,
        )
    ]


def count_confusions(evidence: Evidence) -> NDArray[np.int64]:
    """int64[k, k]: pictures of the targets by true class (row) and what was said (column)."""
    size = len(evidence.fold.manifest.classes)
    counts = np.zeros((size, size), dtype=np.int64)
    rows = evidence.tested
    np.add.at(counts, (evidence.fold.labels[rows], evidence.answers.classes[rows]), 1)
    return counts


def describe_mistakes(evidence: Evidence) -> list[Block]:
    """The mistakes that the student was surest of, one group for each (true, said)."""
    rows, said = evidence.tested, evidence.answers.classes
    wrong = rows[said[rows] != evidence.fold.labels[rows]]
    sureness = evidence.answers.probabilities.max(axis=1)
    groups: dict[tuple[int, int], list[int]] = {}
    for row in wrong[np.argsort(-sureness[wrong], kind="stable")]:
        pair = (int(evidence.fold.labels[row]), int(said[row]))
        groups.setdefault(pair, []).append(int(row))
    items = [
        item
        for found in list(groups.values())[:GROUPS]
        if (item := _show_rows(evidence, found[:PER_GROUP], total=len(found)))
    ]
    caption = (
        "The mistakes it was surest of, grouped by the true class and what was said; the share is the "
        "probability of the surest picture, the number counts all such mistakes."
    )
    return [Gallery(items, caption)] if items else []


def _list_confusions(
    counts: NDArray[np.int64], wrong: NDArray[np.int64], classes: Sequence[str]
) -> Table:
    order = np.argsort(-wrong, axis=None, kind="stable")[:TOP_CONFUSIONS]
    cells = []
    for true, said in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[true, said]:
            share = wrong[true, said] / counts[true].sum()
            cells.append([classes[true], classes[said], str(wrong[true, said]), f"{share:.0%}"])
    header = ["true", "said", "pictures", "of the class"]
    return Table("The most frequent confusions", header, cells)


def _show_rows(evidence: Evidence, rows: Sequence[int], total: int = 1) -> Item | None:
    """An item of pictures with one label and one answer; None when none can be read."""
    manifest, answers = evidence.fold.manifest, evidence.answers
    first = manifest.pictures[rows[0]]
    pictures = [picture for row in rows if (picture := _thumbnail(evidence, row))]
    if not pictures:
        return None
    said = manifest.classes[answers.classes[rows[0]]]
    right = said == first.label
    detail = "right" if right else f"is: {first.label}" + (f" ({total} times)" if total > 1 else "")
    return Item(pictures, f"{said} {answers.probabilities[rows[0]].max():.0%}", right, detail)


def _thumbnail(evidence: Evidence, row: int) -> Picture | None:
    picture = evidence.fold.manifest.pictures[row]
    file = evidence.fold.manifest.file(picture)
    return make_thumbnail(file, f"a {picture.label}, {picture.domain}")
