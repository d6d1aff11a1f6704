"""The last test, on the small study: students of two inks meet a third, once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import delete

from client.cache.tables import embedding
from client.data.folders import scan_folders
from client.demo.final import NOTE, Final, run_final
from client.demo.story import Story
from client.demo.verdict import ask_student, ask_teacher, judge, write_verdict
from client.train.errors import TrainingError
from client.train.experiment import open_experiment
from client.train.recipe import run_training
from client.train.runs import RunFolder
from tests.client.train.study import CLASSES, CONFIG, MODEL, buy_study, draw_study, make_job


@pytest.fixture
def story(tmp_path, store):
    """Two styles to learn from, bought; a third apart, bought to judge the teacher."""
    buy_study(store, draw_study(tmp_path / "all"))
    draw_study(tmp_path / "data", domains=("ink", "pale"))
    (tmp_path / "all" / "wash").rename(_into(tmp_path / "pixel") / "pixel")
    return Story(out=tmp_path)


def _into(folder):
    folder.mkdir()
    return folder


def _train(story, store, method, seed):
    experiment = open_experiment(story.out / "data", replace(CONFIG, targets=()), store)
    final = Final(story)
    job = make_job(
        experiment, final.run_folder(method, seed), method=method, trial_seed=seed, targets=()
    )
    return run_training(job)


def test_students_and_teacher_are_asked_about_every_final_picture(story, store):
    for method in ("erm", "text-only"):
        for seed in (0, 1):
            _train(story, store, method, seed)
    manifest = scan_folders(story.out / "pixel")
    runs = [RunFolder(Final(story).run_folder(m, s)) for m in ("erm", "text-only") for s in (0, 1)]
    outcomes = [ask_student(run, manifest) for run in runs]
    teacher = ask_teacher(scan_folders(story.out / "data"), manifest, store, "toy")
    document = write_verdict([teacher, *outcomes], manifest, _into(story.out / "final-out"), NOTE)
    assert document == json.loads((story.out / "final-out" / "final.json").read_text())
    assert [(r["method"], r["seeds"], r["note"]) for r in document["rows"]] == [
        ("zero-shot", 1, NOTE),
        ("erm", 2, ""),
        ("text-only", 2, ""),
    ]
    for row in document["rows"]:
        mine = [o for o in (teacher, *outcomes) if o.method == row["method"]]
        shares = [np.mean([o.right[o.labels == k].mean() for k in range(3)]) for o in mine]
        assert row["mean"] == pytest.approx(np.mean(shares))
    assert document["pictures"] == 18
    assert (story.out / "final-out" / "accuracy.svg").read_text().startswith("<?xml")
    assert (story.out / "final-out" / "accuracy.png").stat().st_size > 0


def test_no_picture_is_shown_before_every_run_is_finished(story, store):
    _train(story, store, "erm", 0)
    final = Final(story, preset="smoke", seeds=1)
    with pytest.raises(TrainingError, match="no run folder"):
        judge(final, "toy", NOTE)
    assert not (final.folder / "final.json").exists()


def test_a_final_picture_without_a_vector_stops_the_teachers_row(story, store):
    manifest = scan_folders(story.out / "pixel")
    with store.database.write() as connection:
        connection.execute(
            delete(embedding).where(embedding.c.digest == manifest.pictures[0].digest)
        )
    with pytest.raises(TrainingError, match=r"lacks 1 of 18.*--purpose evaluation"):
        ask_teacher(scan_folders(story.out / "data"), manifest, store, MODEL.id)


def test_it_is_tested_once_and_never_again(story):
    final = Final(story)
    final.folder.mkdir()
    kept = {"rows": [{"method": "adip", "mean": 0.5}]}
    (final.folder / "final.json").write_text(json.dumps(kept))
    # Nothing is rendered, bought or trained: there is no vendor here to buy from.
    assert run_final(final, Console(quiet=True)) == kept


def test_the_data_to_learn_from_holds_nothing_of_the_final_style(story):
    data, final = scan_folders(story.out / "data"), scan_folders(story.out / "pixel")
    assert data.classes == final.classes == CLASSES
    assert not {p.digest for p in data.pictures} & {p.digest for p in final.pictures}
