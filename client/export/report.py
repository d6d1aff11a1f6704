"""One self-contained HTML page about a folder of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch

from client.data.folders import scan_folders
from client.export.figures import draw_accuracy, draw_curves, draw_thumbnail
from client.export.measures import REPEATS, measure_student, measure_teacher
from client.train.errors import TrainingError
from client.train.finished import load_finished
from client.train.methods import METHODS
from client.train.runs import RunFolder, find_runs, read_json
from client.train.spending import Spending
from client.train.summary import summarise, table_cells
from shared.money import parse_usd, show_usd

SHOTS = 18
"""Predictions shown for each target."""
PREFERRED = ("adip", "text-only", "kd", "erm")
"""Whose predictions and size are shown: the first of these that was run."""

__all__ = ["write_report"]

Document = dict[str, Any]


@dataclass(frozen=True)
class _Run:
    folder: RunFolder
    config: Document
    result: Document


def write_report(
    folders: Sequence[Path], out: Path, *, image_price: str | None, teacher: str | None = None
) -> int:
    """Write the page and return how many runs are in it.

    image_price: the vendor's price of one image in decimal dollars, for the break-even; None leaves
    the section out. teacher: an open_clip spec to measure beside the student, where one has it.
    Raises TrainingError when there is no finished run, or the runs are of different data.
    """
    runs = [_read(folder) for place in folders for folder in find_runs(place)]
    # What a selection tried is no result of its own.
    runs = [run for run in runs if "selection" not in run.folder.path.parts]
    if not runs:
        raise TrainingError(
            f"no finished run in {', '.join(map(str, folders))}: make one with `vl2v train`"
        )
    _require_same_data(runs)
    runs.sort(key=lambda run: (_target(run), list(METHODS).index(run.result["method"])))
    page = (
        _environment()
        .get_template("report.html")
        .render(**_describe(runs, folders), **_describe_student(runs, image_price, teacher))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(out)
    return len(runs)


def _environment() -> jinja2.Environment:
    source = files("client.export").joinpath("templates/report.html").read_text(encoding="utf-8")
    # Folder and class names are a user's: escaped wherever they appear.
    return jinja2.Environment(
        loader=jinja2.DictLoader({"report.html": source}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _describe(runs: Sequence[_Run], folders: Sequence[Path]) -> Document:
    config, results = runs[0].config, [run.result for run in runs]
    header, cells = table_cells(summarise(results, _spending(runs, folders)))
    targets = list(dict.fromkeys(_target(run) for run in runs))
    teachers = {f"{r.config['model']}@{r.config['revision']}" for r in runs if r.config["revision"]}
    return {
        "title": f"What {Path(config['data']).name} taught a small model",
        "pictures": config["pictures"],
        "classes": config["classes"],
        "domains": config["domains"],
        "data": config["data"],
        "teacher_name": ", ".join(sorted(teachers)) or "none",
        "table_header": header,
        "table_rows": cells,
        "several_seeds": len({result["trial_seed"] for result in results}) > 1,
        "folds": [_describe_fold([r for r in runs if _target(r) == t]) for t in targets],
        "runs": [_describe_run(run) for run in runs],
    }


def _describe_fold(runs: Sequence[_Run]) -> Document:
    first_seed = min(run.result["trial_seed"] for run in runs)
    shown = [run for run in runs if run.result["trial_seed"] == first_seed]
    curves = [(run.result["method"], run.folder.metrics()) for run in shown]
    best = _preferred(shown)
    return {
        "title": _target(runs[0]) or "none",
        "accuracy": draw_accuracy([run.result for run in shown], runs[0].config["domains"]),
        "curves": draw_curves([c for c in curves if c[1]]) if any(c[1] for c in curves) else None,
        "shots": _describe_shots(best) if best else [],
        "shown_method": best.result["method"] if best else "",
    }


def _describe_shots(run: _Run) -> list[Document]:
    """Predictions on pictures of the target, evenly spread; none when the data has moved away."""
    root = Path(run.config["data"])
    if not root.is_dir() or not run.result["targets"]:
        return []
    pictures = [p for p in scan_folders(root).pictures if p.domain in run.result["targets"]]
    chosen = [pictures[i] for i in _spread(len(pictures), SHOTS)]
    answers = load_finished(run.folder).predict([root / p.path for p in chosen], top=1)
    return [
        {
            "picture": draw_thumbnail(root / picture.path, f"a {picture.label}, {picture.domain}"),
            "label": picture.label,
            "said": said,
            "share": f"{share:.0%}",
        }
        for picture, [(said, share)] in zip(chosen, answers, strict=True)
    ]


def _describe_student(
    runs: Sequence[_Run], image_price: str | None, teacher: str | None
) -> Document:
    run = _preferred(runs)
    if run is None or image_price is None or parse_usd(image_price) <= 0:
        return {"student": None, "teacher": None}
    student = load_finished(run.folder)
    size = measure_student(student.student, student.config.image_size)
    price = parse_usd(image_price)
    cost = Spending.from_document(run.result["spending"]).training.cost_nanousd
    return {
        "student": {
            "name": f"{student.config.student}, {student.config.method}",
            "parameters": size.parameters,
            "megabytes": size.megabytes,
            "milliseconds": size.milliseconds,
            "teacher": run.config["model"] or "the teacher",
            "price": show_usd(price),
            "cost": show_usd(cost),
            "break_even": -(-cost // price),
            "threads": torch.get_num_threads(),
            "repeats": REPEATS,
        },
        "teacher": _describe_teacher(teacher),
    }


def _describe_teacher(spec: str | None) -> Document:
    if spec is None:
        return {"parameters": None, "megabytes": None, "milliseconds": None}
    size = measure_teacher(spec)
    return {
        "parameters": f"{size.parameters:,}",
        "megabytes": f"{size.megabytes:.1f}",
        "milliseconds": f"{size.milliseconds:.1f}",
    }


def _describe_run(run: _Run) -> Document:
    result, config = run.result, run.config
    trains = METHODS[result["method"]].trains
    outside = result["ood_class_acc"]
    return {
        "method": result["method"],
        "target": _target(run),
        "seed": result["trial_seed"],
        "lr": f"{config['lr']:g}" if trains else "–",
        "image_weight": f"{config['image_weight']:g}" if result["method"] == "adip" else "–",
        "steps": config["steps"] if trains else "–",
        "in_domain": f"{100 * result['in_domain_class_acc']:.1f}",
        "out_of_domain": "–" if outside is None else f"{100 * outside:.1f}",
        "seconds": f"{result['seconds']:.0f}",
    }


def _spending(runs: Sequence[_Run], folders: Sequence[Path]) -> dict[str, Spending]:
    """Method → what it cost: by the bench's own count over its folds, else of the dearest run."""
    for folder in folders:
        file = folder / "summary.json"
        if file.is_file():
            rows = read_json(file)["rows"]
            return {row["method"]: Spending.from_document(row["spending"]) for row in rows}
    found: dict[str, Spending] = {}
    for run in runs:
        paid = Spending.from_document(run.result["spending"])
        method = run.result["method"]
        if method not in found or _total(paid) > _total(found[method]):
            found[method] = paid
    return {name: found[name] for name in METHODS if name in found}


def _total(spending: Spending) -> int:
    return spending.training.cost_nanousd + spending.evaluation.cost_nanousd


def _read(folder: RunFolder) -> _Run:
    return _Run(folder, folder.read_config(), folder.result())


def _require_same_data(runs: Sequence[_Run]) -> None:
    seen = {(run.config["data"], tuple(run.config["classes"])) for run in runs}
    if len(seen) > 1:
        names = ", ".join(sorted({data for data, _ in seen}))
        raise TrainingError(f"the runs are of different data ({names}): report on one at a time")


def _target(run: _Run) -> str:
    return ", ".join(run.result["targets"])


def _preferred(runs: Sequence[_Run]) -> _Run | None:
    for method in PREFERRED:
        for run in runs:
            if run.result["method"] == method:
                return run
    return None


def _spread(count: int, wanted: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))]
