"""Whether a student's probabilities are to be believed."""

from collections.abc import Sequence

from client.export.blocks import Block, Figure, Table, Text
from client.export.diagrams import draw_reliability
from client.export.evidence import Evidence
from client.train.calibration import BINS, Calibration
from client.train.statistics import average

__all__ = ["describe_reliability"]


def describe_reliability(shown: Evidence, everyone: Sequence[Evidence]) -> list[Block]:
    """The shown run's reliability on source validation and on the target, and every method's ECE."""
    named = {
        "source validation": shown.calibration(shown.validated),
        f"target {shown.run.target}": shown.calibration(shown.tested),
    }
    parts = {title: found for title, found in named.items() if found is not None}
    if not parts:
        return []
    return [
        Figure(
            draw_reliability(parts),
            "Reliability: bars are the share answered rightly in each bin of the probability that was "
            "named, dots the bin's mean probability, larger for more pictures; on the dashed line the "
            "student is as sure as it is right.",
            _list_bins(parts),
        ),
        _list_errors(everyone),
        Text(
            f"ECE, expected calibration error: the mean gap between probability and share answered "
            f"rightly over {BINS} bins of equal width, weighted by their pictures; plain accuracy. "
            "The target's can be read only because it is labelled here.",
            soft=True,
        ),
    ]


def _list_bins(parts: dict[str, Calibration]) -> Table:
    header = ["probability"]
    for title in parts:
        header += [f"{title}: pictures", "named, %", "right, %"]
    cells = []
    for index in range(BINS):
        row = [f"{100 * index / BINS:.0f}–{100 * (index + 1) / BINS:.0f} %"]
        for found in parts.values():
            count = int(found.counts[index])
            row += [str(count)]
            row += (
                [f"{100 * found.confidence[index]:.1f}", f"{100 * found.accuracy[index]:.1f}"]
                if count
                else ["–", "–"]
            )
        cells.append(row)
    return Table("Reliability by bin", header, cells)


def _list_errors(everyone: Sequence[Evidence]) -> Table:
    cells = []
    for method in dict.fromkeys(e.run.method for e in everyone):
        mine = [e for e in everyone if e.run.method == method]
        row = [method]
        for part in ("validated", "tested"):
            found = [c.error for e in mine if (c := e.calibration(getattr(e, part))) is not None]
            mean, error = average(found) if found else (None, None)
            spread = "" if error is None else f" ± {100 * error:.1f}"
            row.append("–" if mean is None else f"{100 * mean:.1f}{spread}")
        cells.append(row)
    header = ["method", "ECE on source validation, %", "ECE on the target, %"]
    return Table("Calibration error of each method", header, cells)
