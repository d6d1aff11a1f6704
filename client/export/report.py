"""One self-contained HTML page about a folder of runs."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

from client.data.manifest import DigestMemo, Manifest
from client.export.blocks import Block, Section
from client.export.evidence import Evidence, ReportedRun, load_evidence, read_runs, scan_again
from client.export.sections.curves import describe_curves
from client.export.sections.domains import (
    describe_accuracy,
    describe_agreement,
    describe_training,
)
from client.export.sections.economics import describe_economics
from client.export.sections.methods import describe_methods, describe_runs
from client.export.sections.mistakes import (
    describe_confusions,
    describe_mistakes,
    describe_samples,
)
from client.export.sections.trust import describe_reliability
from client.train.errors import TrainingError
from client.train.methods import METHODS

PREFERRED = ("adip+", "adip", "text-only", "kd", "lp-ft", "erm")
"""Whose predictions, mistakes and size are shown: the first of these that was run, else any."""
REDUCED = ("shots", "queries", "selection", "bought_views", "fresh_views")
"""Settings under which a run learns from less, or more, than the comparison's."""
TEMPLATES = ("report.html", "page.css")

__all__ = ["write_report"]


def write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    image_price: str | None,
    teacher: str | None = None,
    memo: DigestMemo | None = None,
) -> int:
    """Write the page and return how many runs are in it.

    image_price: the vendor's price of one image in decimal dollars, for the break-even; None leaves
    the section out. teacher: an open_clip spec to measure beside the student, where one has it.
    memo: spares unchanged pictures a second reading. Raises TrainingError when there is no finished
    run, or the runs are of different data.
    """
    everything = read_runs(folders)
    _require_same_data(everything)
    runs = _choose_comparable(everything)
    runs.sort(key=lambda run: (run.target, list(METHODS).index(run.method), run.seed))
    shown = _prefer(runs)
    sections = [
        describe_methods(runs, folders, len(everything) - len(runs)),
        *describe_curves(folders),
        *_describe_targets(runs, scan_again(runs[0], memo)),
        *(describe_economics(shown, image_price, teacher) if shown else []),
        describe_runs(runs),
    ]
    _write(out, runs[0], sections)
    return len(everything)


def _describe_targets(runs: Sequence[ReportedRun], manifest: Manifest | None) -> list[Section]:
    sections = []
    for target in dict.fromkeys(run.target for run in runs):
        mine = [run for run in runs if run.target == target]
        first_seed = min(run.seed for run in mine)
        first = [run for run in mine if run.seed == first_seed]
        evidence = [found for run in mine if (found := load_evidence(run, manifest))]
        blocks: list[Block] = [*describe_accuracy(mine), *describe_training(first)]
        title = f"Target: {target}" if target else "No target"
        sections.append(Section(title, [*blocks, *describe_agreement(evidence)]))
        sections += _describe_answers(evidence, first_seed)
    return sections


def _describe_answers(evidence: Sequence[Evidence], seed: int) -> list[Section]:
    """The preferred student's answers, one seed's."""
    run = _prefer([found.run for found in evidence if found.run.seed == seed])
    if run is None:
        return []
    shown = next(found for found in evidence if found.run is run)
    named = {
        f"What {run.method} says about pictures of a style it never saw": describe_samples(shown),
        f"What {run.method} takes for what": describe_confusions(shown),
        f"What {run.method} is surest of and wrong": describe_mistakes(shown),
        f"Whether {run.method}'s probabilities are to be believed": describe_reliability(
            shown, evidence
        ),
    }
    return [Section(title, blocks, 3) for title, blocks in named.items() if blocks]


def _choose_comparable(runs: Sequence[ReportedRun]) -> list[ReportedRun]:
    """The runs that learned under the same terms: of all labels and queries where there are such."""
    terms: dict[str, list[ReportedRun]] = {}
    for run in runs:
        terms.setdefault(str([run.config.get(key) for key in REDUCED]), []).append(run)
    full = {"shots": None, "queries": 1.0, "bought_views": 0, "fresh_views": 0}

    def rank(group: list[ReportedRun]) -> tuple[int, int]:
        config = group[0].config
        return sum(config.get(key, value) == value for key, value in full.items()), len(group)

    return max(terms.values(), key=rank)


def _prefer(runs: Sequence[ReportedRun]) -> ReportedRun | None:
    trained = [run for run in runs if METHODS[run.method].trains]
    order = {name: place for place, name in enumerate(PREFERRED)}
    return min(trained, key=lambda run: order.get(run.method, len(order)), default=None)


def _require_same_data(runs: Sequence[ReportedRun]) -> None:
    seen = {(run.config["data"], tuple(run.config["classes"])) for run in runs}
    if len(seen) > 1:
        names = ", ".join(sorted({data for data, _ in seen}))
        raise TrainingError(f"the runs are of different data ({names}): report on one at a time")


def _write(out: Path, run: ReportedRun, sections: Sequence[Section]) -> None:
    page = (
        _environment()
        .get_template("report.html")
        .render(
            title=f"What {Path(run.config['data']).name} taught a small model",
            pictures=run.config["pictures"],
            classes=run.config["classes"],
            domains=run.config["domains"],
            sections=sections,
        )
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(out)


def _environment() -> jinja2.Environment:
    folder = files("client.export").joinpath("templates")
    # Folder and class names are a user's: escaped wherever they appear.
    return jinja2.Environment(
        loader=jinja2.DictLoader(
            {name: folder.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
