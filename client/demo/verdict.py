"""What finished students say to a folder of pictures that none of them was made with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from client.cache.store import EmbeddingStore
from client.data import scan_folders
from client.data.manifest import Manifest
from client.train.charts import Bar, draw_bars
from client.train.classifiers import classify
from client.train.comparison import Outcome, compare_methods, score_methods
from client.train.errors import TrainingError
from client.train.holdings import Holdings
from client.train.methods import find_method
from client.train.pixels import decode_manifest
from client.train.provenance import describe_provenance
from client.train.runs import RunFolder, write_json

if TYPE_CHECKING:
    from client.demo.final import Final

__all__ = ["ask_student", "ask_teacher", "judge", "write_verdict"]


def judge(final: "Final", model: str, note: str) -> dict[str, Any]:
    """Test every finished student on the final pictures and keep the result. Raises TrainingError
    before the first picture is shown when a run is not finished."""
    runs = [
        RunFolder(final.run_folder(method, seed))
        for method in final.methods
        if find_method(method).trains
        for seed in range(final.seeds)
    ]
    for run in runs:
        run.require_done()
    manifest = scan_folders(final.pictures)
    outcomes = [ask_student(run, manifest) for run in runs]
    if "zero-shot" in final.methods:
        data = scan_folders(final.story.out / "data")
        with EmbeddingStore.open(final.story.out / "client" / "client.db") as store:
            outcomes.insert(0, ask_teacher(data, manifest, store, model))
    return write_verdict(outcomes, manifest, final.folder, note)


def ask_student(run: RunFolder, manifest: Manifest) -> Outcome:
    """One student on every picture; it chooses among all the classes that it learned."""
    from client.train.finished import load_finished

    student = load_finished(run)
    scores = student.scores(decode_manifest(manifest, student.config.image_size))
    labels = np.array([student.classes.index(p.label) for p in manifest.pictures], dtype=np.int64)
    return Outcome(
        method=student.config.method,
        targets=manifest.domains,
        seed=student.config.trial_seed,
        right=scores.argmax(axis=1) == labels,
        labels=labels,
        groups=tuple(p.group for p in manifest.pictures),
    )


def ask_teacher(data: Manifest, manifest: Manifest, store: EmbeddingStore, model: str) -> Outcome:
    """The teacher by the vectors that were bought to judge it, among the classes of `data`.

    Raises TrainingError unless every picture and class text has one.
    """
    document = store.model(model)
    texts = Holdings(data, store, document).texts
    seen = Holdings(manifest, store, document)
    labels = np.array([data.classes.index(p.label) for p in manifest.pictures], dtype=np.int64)
    answers = classify(seen.vectors, texts)
    if answers is None or not seen.held.all():
        raise TrainingError(
            f"the cache lacks {int((~seen.held).sum())} of {len(labels)} picture vectors, or class "
            f"texts: type `vl2v fetch {manifest.root} --model {model} --purpose evaluation`"
        )
    groups = tuple(p.group for p in manifest.pictures)
    return Outcome("zero-shot", manifest.domains, None, answers == labels, labels, groups)


def write_verdict(
    outcomes: Sequence[Outcome], manifest: Manifest, out: Path, note: str
) -> dict[str, Any]:
    """OUT/final.json, and accuracy.svg and .png beside it."""
    scores = score_methods(outcomes)
    rows: list[dict[str, Any]] = [
        {
            "method": method,
            "seeds": len([o for o in outcomes if o.method == method]),
            "note": "" if find_method(method).trains else note,
            **interval.document(),
        }
        for method, interval in scores.items()
    ]
    document: dict[str, Any] = {
        "styles": list(manifest.domains),
        "pictures": len(manifest.pictures),
        "classes": len(manifest.classes),
        "rows": rows,
        "differences": [difference.document() for difference in compare_methods(outcomes)],
        "provenance": describe_provenance(),
    }
    bars = [
        Bar(_label(row), *(100 * float(row[key]) for key in ("mean", "low", "high")))
        for row in rows
    ]
    title = f"{', '.join(manifest.domains)}: {len(manifest.pictures)} pictures never used before"
    draw_bars(bars, title, out / "accuracy")
    write_json(out / "final.json", json.loads(json.dumps(document)))
    return document


def _label(row: dict[str, Any]) -> str:
    return f"{row['method']}*" if row["note"] else str(row["method"])
