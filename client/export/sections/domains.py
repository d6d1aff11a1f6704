"""Accuracy in each domain over seeds, the training curves, and agreement with the teacher."""

from collections.abc import Sequence

import numpy as np

from client.export.blocks import Block, Figure, Table, Text
from client.export.diagrams import Estimate, draw_accuracy, draw_curves
from client.export.evidence import Evidence, ReportedRun
from client.train.methods import METHODS
from client.train.statistics import average

__all__ = ["describe_accuracy", "describe_agreement", "describe_training"]


def describe_accuracy(runs: Sequence[ReportedRun]) -> list[Block]:
    """The figure of one target's runs with its numbers."""
    domains, targets = runs[0].config["domains"], runs[0].result["targets"]
    readings: dict[str, dict[str, Estimate]] = {}
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        readings[method] = {}
        for domain in domains:
            values = [v for run in mine if (v := run.accuracy(domain)) is not None]
            if values:
                readings[method][domain] = average(values)
    seeds = max(sum(run.method == method for run in runs) for method in readings)
    cells = [
        [method, *(_show(found.get(domain)) for domain in domains)]
        for method, found in readings.items()
    ]
    over = f"; lines are one standard error over {seeds} seeds" if seeds > 1 else ""
    return [
        Figure(
            draw_accuracy(readings, domains, targets),
            "Mean per-class accuracy: on all pictures of the domain that was never seen, on the "
            f"validation part of the others{over}.",
            Table("Mean per-class accuracy by domain, per cent", ["method", *domains], cells),
        )
    ]


def describe_training(runs: Sequence[ReportedRun]) -> list[Block]:
    """The curves of the first seed's runs; nothing where no run has any."""
    curves = [(run.method, rows) for run in runs if (rows := run.folder.metrics())]
    if not curves:
        return []
    cells = []
    for method, rows in curves:
        seen = [row["validation"] for row in rows if "validation" in row]
        lost = [row["loss"] for row in rows if "loss" in row]
        cells.append(
            [
                method,
                f"{100 * seen[0]:.1f}" if seen else "–",
                f"{100 * seen[-1]:.1f}" if seen else "–",
                f"{lost[0]:.3f}" if lost else "–",
                f"{lost[-1]:.3f}" if lost else "–",
            ]
        )
    header = ["method", "validation, first", "validation, last", "loss, first", "loss, last"]
    return [
        Figure(
            draw_curves(curves),
            "Training. The first point is the student after its head alone was fitted.",
            Table("Training curves' ends", header, cells),
        )
    ]


def describe_agreement(evidence: Sequence[Evidence]) -> list[Block]:
    """How often students say what the teacher says, per domain; nothing without the teacher's answers."""
    teachers = [e for e in evidence if not METHODS[e.run.method].trains]
    students = [e for e in evidence if METHODS[e.run.method].trains]
    if not teachers or not students:
        return []
    teacher, domains = teachers[0], students[0].fold.manifest.domains
    cells = []
    for method in dict.fromkeys(e.run.method for e in students):
        mine = [e for e in students if e.run.method == method]
        row = [method]
        for domain in domains:
            shares = [s for e in mine if (s := _agreement(e, teacher, domain)) is not None]
            row.append(_show(average(shares)) if shares else "–")
        cells.append([*row, *_credit(mine, teacher)])
    header = ["method", *domains, "only the student right", "only the teacher right"]
    return [
        Table("Agreement with the teacher, per cent of pictures", header, cells),
        Text(
            "Agreement: the student names the class that the teacher's zero-shot answer names. The "
            "last two columns are shares of the target's pictures. Pictures that the teacher was not "
            "asked about are left out.",
            soft=True,
        ),
    ]


def _agreement(student: Evidence, teacher: Evidence, domain: str) -> float | None:
    rows = np.intersect1d(student.rows(domain), teacher.rows(domain))
    if not len(rows):
        return None
    return float((student.answers.classes[rows] == teacher.answers.classes[rows]).mean())


def _credit(students: Sequence[Evidence], teacher: Evidence) -> list[str]:
    """Shares of the target's pictures that only one of the two has right."""
    only_student, only_teacher = [], []
    for student in students:
        rows = np.intersect1d(student.tested, teacher.tested)
        if len(rows):
            ours = student.answers.classes[rows] == student.fold.labels[rows]
            theirs = teacher.answers.classes[rows] == teacher.fold.labels[rows]
            only_student.append(float((ours & ~theirs).mean()))
            only_teacher.append(float((theirs & ~ours).mean()))
    return [_show(average(v)) if v else "–" for v in (only_student, only_teacher)]


def _show(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    mean, error = estimate
    return f"{100 * mean:.1f}" if error is None else f"{100 * mean:.1f} ± {100 * error:.1f}"
