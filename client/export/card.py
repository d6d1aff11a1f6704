"""The model card: data, method, what was paid, seeds, accuracy, calibration, licences and limits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.data.manifest import DigestMemo
from client.export.evidence import (
    Evidence,
    ReportedRun,
    load_evidence,
    read_runs,
    scan_again,
)
from client.export.licences import UNKNOWN, count_licences
from client.train.calibration import BINS
from client.train.errors import TrainingError
from client.train.spending import Spending
from client.train.statistics import average
from shared.money import format_usd, show_usd

TIMM_USE = """```python
import timm
model = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
```

The order of the classes is in `classes.json` and in `config.json` (`label_names`)."""
RUN_USE = """```
vl2v predict RUN picture.png
vl2v export RUN --to timm
vl2v export RUN --to onnx
```"""
NOT_SETTINGS = frozenset({"data", "classes", "domains", "pictures", "revision", "model", "targets"})
"""Of config.json, what the card tells elsewhere."""

__all__ = ["TIMM_USE", "describe_card", "read_card_runs"]


def read_card_runs(place: Path) -> list[ReportedRun]:
    """The run, or the seeds of one method and target in a folder, lowest seed first.

    Raises TrainingError for a folder of several methods or targets, and for untrained ones.
    """
    runs = read_runs([place])
    kinds = sorted({f"{run.method} for {run.target or 'no target'}" for run in runs})
    if len(kinds) > 1:
        raise TrainingError(
            f"{place} holds runs of different kinds ({', '.join(kinds)}): name the folder of one of "
            "them; its seeds are brought together"
        )
    if runs[0].result["parameters"] is None:
        raise TrainingError(f"{place} is a {runs[0].method} run and has no student to describe")
    return sorted(runs, key=lambda run: run.seed)


def describe_card(
    runs: Sequence[ReportedRun], use: str = RUN_USE, memo: DigestMemo | None = None
) -> str:
    """The card of a student, with standard errors where there are several seeds of it."""
    first = runs[0]
    manifest = scan_again(first, memo)
    evidence = [found for run in runs if (found := load_evidence(run, manifest))]
    config, result = first.config, first.result
    teacher = _name_teacher(config)
    parts = [
        _head(runs),
        f"# {first.student_name}, {config['method']}",
        f"An image classifier for {len(config['classes'])} classes at {config['image_size']} × "
        f"{config['image_size']} px, trained by vl2v's `{config['method']}`"
        + (f" from the vectors of {teacher}." if teacher != "none" else " without a teacher."),
        use,
        "## Accuracy",
        _accuracy(runs, evidence),
        _explain_accuracy(runs, evidence),
        "## Data",
        _table(("", ""), _data(first)),
        "## Cost",
        _table(("", ""), _cost(first)),
        "## Training",
        _table(("setting", "value"), _settings(runs)),
        "## Licences",
        _licences(evidence, teacher),
        "## Intended use and limits",
        _limits(first, result),
    ]
    return "\n\n".join(parts) + "\n"


def _head(runs: Sequence[ReportedRun]) -> str:
    """YAML: values are JSON strings, which YAML reads as they are."""
    config = runs[0].config
    domains = config["domains"]
    metrics = []
    for domain in domains:
        values = [v for run in runs if (v := run.accuracy(domain)) is not None]
        if values:
            part = "all" if domain in config["targets"] else "validation"
            metrics += [
                "  - task: {type: image-classification}",
                f"    dataset: {{type: imagefolder, name: {json.dumps(domain)}, split: {part}}}",
                "    metrics:",
                "    - {type: accuracy, name: mean per-class accuracy, "
                f"value: {average(values)[0]:.4f}}}",
            ]
    lines = [
        "---",
        "library_name: timm",
        "pipeline_tag: image-classification",
        "tags: [image-classification, timm, vl2v]",
        "license: other",
        "license_name: unknown",
        "model-index:",
        f"- name: {json.dumps(runs[0].student_name + ', ' + config['method'])}",
        "  results:",
        *metrics,
        "---",
    ]
    return "\n".join(lines)


def _accuracy(runs: Sequence[ReportedRun], evidence: Sequence[Evidence]) -> str:
    rows = []
    for domain in runs[0].config["domains"]:
        target = domain in runs[0].result["targets"]
        values = [v for run in runs if (v := run.accuracy(domain)) is not None]
        errors = [c.error for e in evidence if (c := e.calibration(e.rows(domain))) is not None]
        pictures = str(len(evidence[0].rows(domain))) if evidence else "–"
        role = "target, never seen: all" if target else "source: validation part"
        rows.append((domain, role, pictures, _share(values), _share(errors)))
    means = [("in domain, mean", "in_domain_class_acc"), ("out of domain, mean", "ood_class_acc")]
    for title, key in means:
        found = [run.result[key] for run in runs if run.result[key] is not None]
        if found:
            rows.append((title, "", "", _share(found), ""))
    return _table(("domain", "part", "pictures", "mean per-class accuracy", "ECE"), rows)


def _explain_accuracy(runs: Sequence[ReportedRun], evidence: Sequence[Evidence]) -> str:
    seeds = ", ".join(str(run.seed) for run in runs)
    over = f"Trial seeds {seeds}; ± is one standard error over them." if len(runs) > 1 else ""
    ece = (
        f"ECE: expected calibration error of the largest probability, {BINS} bins of equal width, "
        "plain accuracy."
        if evidence
        else "Calibration was not measured: the data folder is not where it was, or has changed."
    )
    return f"{over} {ece}".strip()


def _data(run: ReportedRun) -> list[tuple[str, str]]:
    config, result = run.config, run.result
    return [
        ("data folder", Path(config["data"]).name),
        ("pictures", f"{config['pictures']:,}"),
        ("training pictures", f"{result['training_pictures']:,} of {', '.join(result['sources'])}"),
        ("target domains, kept out", ", ".join(result["targets"]) or "none"),
        (f"classes ({len(config['classes'])})", ", ".join(config["classes"])),
    ]


def _cost(run: ReportedRun) -> list[tuple[str, str]]:
    paid = Spending.from_document(run.result["spending"]).training
    return [
        ("teacher", _name_teacher(run.config)),
        ("paid image queries", str(paid.images)),
        ("paid text queries", str(paid.texts)),
        ("paid", f"{show_usd(paid.cost_nanousd)} ({format_usd(paid.cost_nanousd)} USD)"),
    ]


def _settings(runs: Sequence[ReportedRun]) -> list[tuple[str, str]]:
    config, result = runs[0].config, runs[0].result
    rows = [
        ("initial weights", str(result["weights"])),
        ("parameters", f"{result['parameters']:,}"),
        ("seconds of training", f"{result['seconds']:.0f}"),
        ("split seed, trial seed", f"{config['split_seed']}, {runs[0].seed}"),
    ]
    # A setting of a later version has its row without being named here.
    hidden = NOT_SETTINGS | {"split_seed", "trial_seed"}
    rows += [(name, _show(value)) for name, value in config.items() if name not in hidden]
    return rows


def _licences(evidence: Sequence[Evidence], teacher: str) -> str:
    said = [f"- teacher ({teacher}): {UNKNOWN}; the vendor's model document names none"]
    if teacher == "none":
        said = []
    if evidence:
        fold = evidence[0].fold
        paths = [fold.manifest.pictures[int(row)].path for row in fold.training]
        counts = count_licences(fold.manifest.root, paths).most_common()
        listed = ", ".join(f"{name} ({count})" for name, count in counts)
        said.append(f"- training pictures: {listed}")
    else:
        said.append(f"- training pictures: {UNKNOWN}")
    said.append(
        f"- this student: {UNKNOWN}; ask whether the teacher's terms and the pictures' licences allow "
        "what you want to do with it"
    )
    return "\n".join(said)


def _limits(run: ReportedRun, result: dict[str, Any]) -> str:
    targets = ", ".join(result["targets"])
    unseen = (
        f"- What it reaches in a style it never saw was measured on {targets} alone; other styles may "
        "go worse.\n"
        if targets
        else "- No domain was kept out: nothing here says how it does in a style it never saw.\n"
    )
    return (
        f"Meant for naming which of its {len(run.config['classes'])} classes a picture shows, in "
        "pictures like those of the data above.\n\n"
        "- It answers one of its classes for every picture, also for one that shows none of them.\n"
        f"{unseen}"
        "- Its probabilities are softmax outputs; the ECE above says how far they are to be believed.\n"
        "- What the teacher or the pictures get wrong or leave out, it repeats. It was not tested for "
        "fairness between groups of people, nor for use where a mistake does harm."
    )


def _name_teacher(config: dict[str, Any]) -> str:
    return f"`{config['model']}@{config['revision']}`" if config["revision"] else "none"


def _share(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean, error = average(values)
    return f"{mean:.1%}" if error is None else f"{100 * mean:.1f} ± {100 * error:.1f} %"


def _show(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return (
        f"{value:g}" if isinstance(value, float) else ("–" if value in ("", None) else str(value))
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar or an angle bracket in a name cannot break out of its cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
