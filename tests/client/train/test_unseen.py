"""Studies of unseen classes: what training reads, what testing says, and how a study resumes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import delete

from client.cache.tables import embedding
from client.train.building import build_task
from client.train.errors import Interrupted, MissingVectors, TrainingError, UnknownName
from client.train.evaluate import measure
from client.train.li_comparison import compare_methods, tabulate_differences
from client.train.li_evaluation import UnseenAnswers, describe_answers, load_unseen
from client.train.li_folds import make_class_fold
from client.train.li_study import run_unseen
from client.train.li_tables import (
    collect_lines,
    tabulate_accuracy,
    tabulate_imitation,
    write_tables,
)
from client.train.recipe import run_training
from tests.client.train.study import make_job
from tests.client.train.unseen_study import (
    CLASSES,
    PLAN,
    UNSEEN_CONFIG,
    caption_pictures,
    describe_classes,
    digests_of,
    draw_classes,
    open_classes,
)

ONE = replace(PLAN, methods=("li",), splits=1)


@pytest.fixture
def classes(tmp_path, store):
    return open_classes(draw_classes(tmp_path / "classes"), store)


def same_student(one, other) -> bool:
    first, second = load_file(one.student), load_file(other.student)
    return all(torch.equal(first[name], second[name]) for name in first)


class TestTheFold:
    def test_training_knows_no_unseen_class_or_picture(self, classes):
        fold = make_class_fold(classes.manifest, classes.split, 0)
        assert fold.training.manifest.classes == fold.classes.seen
        shown = {p.label for p in fold.training.manifest.pictures}
        assert shown == set(fold.classes.seen)

    def test_shots_are_never_tested_on(self, classes):
        fold = make_class_fold(classes.manifest, classes.split, 0, 2)
        shots = {classes.manifest.pictures[i].group for i in fold.shots}
        assert len(fold.shots) == 2 * len(fold.classes.unseen)
        assert not shots & {classes.manifest.pictures[i].group for i in fold.tested}
        assert set(fold.shots) <= set(classes.split.training)

    def test_a_domain_without_validation_pictures_is_named(self, classes):
        bare = replace(
            classes.split, training=tuple(range(len(classes.manifest.pictures))), validation=()
        )
        with pytest.raises(TrainingError, match="domain ink has no validation picture"):
            make_class_fold(classes.manifest, bare, 0)

    def test_shots_leave_something_to_test_on(self, classes):
        with pytest.raises(Exception, match="smaller --class-shots"):
            make_class_fold(
                classes.manifest,
                replace(
                    classes.split,
                    training=tuple(range(len(classes.manifest.pictures))),
                    validation=classes.split.validation,
                ),
                0,
                100,
            )


class TestWhatTrainingReads:
    def test_vectors_and_texts_of_unseen_classes_may_be_gone(self, classes, tmp_path, store):
        [line] = list(run_unseen(classes, replace(ONE, shots=(0,)), tmp_path / "with"))[1:]
        fold = make_class_fold(classes.manifest, classes.split, 0)
        images = digests_of(classes.manifest.root, fold.classes.unseen)
        with store.database.write() as connection:
            gone = connection.execute(delete(embedding).where(embedding.c.digest.in_(images)))
        assert gone.rowcount == len(images)
        lines = run_unseen(classes, replace(ONE, shots=(0,)), tmp_path / "without")
        assert same_student(
            ONE.folder(tmp_path / "with", "li", 0, 0, 0),
            ONE.folder(tmp_path / "without", "li", 0, 0, 0),
        )
        # Testing needs none of them either; imitation there and the teacher's own row do.
        assert [x["variant"] for x in lines] == ["li"]
        assert lines[0]["ood_class_acc"] == line["ood_class_acc"]
        assert lines[0]["imitation"]["ood"] is None
        assert lines[0]["imitation"]["train"] == line["imitation"]["train"]

    def test_the_task_holds_the_seen_classes_texts_alone(self, classes, store):
        fold = make_class_fold(classes.manifest, classes.split, 1)
        task = build_task(UNSEEN_CONFIG, fold.training, classes.teacher(UNSEEN_CONFIG))
        texts = classes.teacher(UNSEEN_CONFIG).read_texts(fold.whole)
        assert task.classes is not None
        assert np.array_equal(task.classes.numpy(), texts[fold.columns(fold.classes.seen)])

    def test_missing_vectors_stop_it_before_the_first_training(self, classes, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.modality == "image"))
        with pytest.raises(MissingVectors, match="vl2v fetch"):
            run_unseen(classes, PLAN, tmp_path)
        assert not list(tmp_path.rglob("done"))

    def test_missing_descriptions_name_the_command_to_type(self, classes, tmp_path, store):
        file = describe_classes(tmp_path / "words.json", store)
        file.write_text(file.read_text().replace("legs", "wings"))
        plan = replace(ONE, methods=("li+descriptions",), descriptions=str(file))
        with pytest.raises(MissingVectors, match=rf"fetch .* --descriptions {file} --budget"):
            run_unseen(classes, plan, tmp_path / "out")


class TestRuns:
    def test_accuracy_is_among_unseen_labels_and_among_all(self, classes, tmp_path):
        lines = run_unseen(classes, replace(ONE, shots=(0,)), tmp_path)
        line = lines[-1]
        fold = make_class_fold(classes.manifest, classes.split, 0)
        answers = load_unseen(ONE.folder(tmp_path, "li", 0, 0, 0))
        columns = [CLASSES.index(name) for name in fold.classes.unseen]
        labels = np.array([CLASSES.index(classes.manifest.pictures[i].label) for i in fold.tested])
        among = np.array([columns[k] for k in answers.scores[:, columns].argmax(axis=1)])
        assert line["ood_class_acc"] == measure(among, labels).per_class
        assert line["ood_all_class_acc"] == measure(answers.scores.argmax(axis=1), labels).per_class
        assert line["ood_pictures"] == 2 * 4 * 9

    def test_a_seen_label_competes_only_among_all_labels(self, classes):
        fold = make_class_fold(classes.manifest, classes.split, 0)
        scores = np.eye(len(CLASSES), dtype=np.float32)[fold.labels(fold.tested)]
        scores[:, fold.columns(fold.classes.seen)] = 2
        line = describe_answers(fold, UnseenAnswers(fold.tested, scores))
        assert (line["ood_class_acc"], line["ood_all_class_acc"]) == (1, 0)

    def test_the_teachers_own_answers_stand_beside(self, classes, tmp_path):
        lines = run_unseen(classes, replace(ONE, shots=(0,)), tmp_path)
        assert lines[0]["variant"] == "zero-shot"
        assert lines[0]["ood_class_acc"] > 0.8

    def test_shots_go_on_from_the_run_without(self, classes, tmp_path):
        run_unseen(classes, replace(ONE, shots=(2,)), tmp_path)
        base, further = (ONE.folder(tmp_path, "li", 0, 0, k) for k in (0, 2))
        assert base.is_done
        config = further.read_config()
        assert (config["class_shots"], config["steps"]) == (2, 1)
        assert config["classes"] == list(CLASSES)
        before, after = load_file(base.student), load_file(further.student)
        moved = max((before[k] - after[k]).abs().max().item() for k in before)
        # One step of AdamW moves a weight by the learning rate at most; a fresh head by far more.
        assert 0 < moved <= 1.1 * UNSEEN_CONFIG.lr

    def test_backbone_and_head_are_trained_together_from_a_fresh_head(self, classes, tmp_path):
        run_unseen(classes, replace(ONE, shots=(0,)), tmp_path)
        rows = ONE.folder(tmp_path, "li", 0, 0, 0).metrics()
        assert [row["stage"] for row in rows] == ["distill", "distill"]
        assert {"cls", "mse", "im_cst", "vlprox"} <= rows[0].keys()

    @pytest.mark.parametrize("steps_done", [1, 3])
    def test_a_stopped_study_goes_on_and_ends_the_same(self, classes, tmp_path, steps_done):
        # Two steps without shots, then three with them: stopped in the first or the second part.
        plan = replace(ONE, shot_steps=3)
        whole = run_unseen(classes, plan, tmp_path / "whole")
        asked = iter([False] * steps_done)
        with pytest.raises(Interrupted):
            run_unseen(classes, plan, tmp_path / "parts", stop=lambda: next(asked, True))
        parts = run_unseen(classes, plan, tmp_path / "parts")
        strip = [{**line, "seconds": 0} for line in whole]
        assert [{**line, "seconds": 0} for line in parts] == strip
        for shots in (0, 2):
            folders = [plan.folder(tmp_path / o, "li", 0, 0, shots) for o in ("whole", "parts")]
            assert same_student(*folders)

    def test_a_finished_study_is_not_made_again(self, classes, tmp_path):
        first = run_unseen(classes, ONE, tmp_path)
        student = ONE.folder(tmp_path, "li", 0, 0, 2).student
        written = student.stat().st_mtime_ns
        assert run_unseen(classes, ONE, tmp_path) == first
        assert student.stat().st_mtime_ns == written

    def test_descriptions_are_read_in_training_and_in_testing(self, classes, tmp_path, store):
        file = describe_classes(tmp_path / "words.json", store)
        plan = replace(ONE, methods=("li", "li+descriptions"), descriptions=str(file))
        plan = replace(plan, shots=(0,))
        lines = {line["variant"]: line for line in run_unseen(classes, plan, tmp_path / "out")}
        assert lines.keys() == {"li", "li+descriptions", "zero-shot", "zero-shot+descriptions"}
        spent = {name: lines[name]["spending"]["training"]["texts"] for name in plan.methods}
        # Four seen classes: two templates each, against one described text each.
        assert spent == {"li": 8, "li+descriptions": 4}
        config = plan.folder(tmp_path / "out", "li+descriptions", 0, 0, 0).read_config()
        assert set(config["class_texts"].values()) == {
            f"a photo of {name} . legs and {name}" for name in config["classes"]
        }

    def test_a_change_of_the_descriptions_is_another_run(self, classes, tmp_path, store):
        file = describe_classes(tmp_path / "words.json", store)
        plan = replace(ONE, methods=("li+descriptions",), descriptions=str(file), shots=(0,))
        run_unseen(classes, plan, tmp_path / "out")
        file.write_text(file.read_text().replace("legs and ant", "legs and bee"))
        file.write_text(file.read_text().replace("legs and bee", "legs and doe"))
        with pytest.raises((MissingVectors, TrainingError)):
            run_unseen(classes, plan, tmp_path / "out")

    @pytest.mark.parametrize("method", ["adip", "text-only", "li-mse", "li-cst"])
    def test_any_method_that_compares_with_texts_can_be_tried(self, classes, tmp_path, method):
        lines = run_unseen(classes, replace(ONE, methods=(method,)), tmp_path)
        assert [line["class_shots"] for line in lines] == [0, 0, 2]

    @pytest.mark.parametrize("method", ["erm", "kd", "zero-shot"])
    def test_others_are_refused(self, classes, tmp_path, method):
        with pytest.raises(TrainingError, match="name li, li-naive, adip or text-only"):
            run_unseen(classes, replace(ONE, methods=(method,)), tmp_path)

    def test_an_unknown_method_is_refused(self, classes, tmp_path):
        with pytest.raises(UnknownName, match="did you mean li"):
            run_unseen(classes, replace(ONE, methods=("li-niave",)), tmp_path)

    def test_descriptions_without_a_file_are_refused(self, classes, tmp_path):
        with pytest.raises(TrainingError, match="give --descriptions FILE"):
            run_unseen(classes, replace(ONE, methods=("li+descriptions",)), tmp_path)


class TestCaptions:
    def test_li_cap_reads_and_pays_for_captions(self, classes, tmp_path, store):
        file = caption_pictures(tmp_path / "captions.jsonl", store, classes.manifest.root)
        config = replace(UNSEEN_CONFIG, captions=str(file))
        plan = replace(ONE, config=config, methods=("li-cap",), shots=(0,))
        line = run_unseen(classes, plan, tmp_path / "out")[-1]
        assert line["spending"]["training"]["texts"] == 8 + line["training_pictures"]
        assert "cap" in plan.folder(tmp_path / "out", "li-cap", 0, 0, 0).metrics()[0]

    def test_without_captions_it_says_what_to_give(self, classes, tmp_path):
        with pytest.raises(TrainingError, match="give --captions FILE"):
            run_unseen(classes, replace(ONE, methods=("li-cap",)), tmp_path)

    def test_captions_that_were_not_bought_name_the_command(self, classes, tmp_path, store):
        file = caption_pictures(tmp_path / "captions.jsonl", store, classes.manifest.root)
        file.write_text(file.read_text().replace("this is", "that was"))
        config = replace(UNSEEN_CONFIG, captions=str(file))
        plan = replace(ONE, config=config, methods=("li-cap",))
        with pytest.raises(MissingVectors, match=rf"captions needed.* --captions {file} --budget"):
            run_unseen(classes, plan, tmp_path / "out")


class TestTables:
    def test_tell_accuracies_differences_and_correlations(self, classes, tmp_path):
        lines = run_unseen(classes, PLAN, tmp_path)
        tables = [
            tabulate_accuracy(lines),
            tabulate_differences(classes, PLAN, tmp_path),
            tabulate_imitation(lines),
        ]
        write_tables(tables, lines, tmp_path)
        keys = [(row["method"], row["class_shots"], row["runs"]) for row in tables[0].rows]
        assert keys == [
            ("zero-shot", 0, 2),
            ("li-naive", 0, 2),
            ("li", 0, 2),
            ("li-naive", 2, 2),
            ("li", 2, 2),
        ]
        assert "| li − li-naive | 2 |" in (tmp_path / "differences.md").read_text()
        assert "| m_rel | ood | 8 |" in (tmp_path / "imitation.md").read_text()
        stored = [json.loads(x) for x in (tmp_path / "results.jsonl").read_text().splitlines()]
        assert stored == lines
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert summary.keys() == {"accuracy", "differences", "imitation"}
        assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + len(lines)

    def test_a_difference_is_the_mean_of_the_splits_differences(self, classes, tmp_path):
        lines = run_unseen(classes, replace(PLAN, shots=(0,)), tmp_path)
        found = compare_methods(classes, PLAN, tmp_path, ("li", "li-naive"), 0)
        means = {
            method: np.mean([x["ood_class_acc"] for x in lines if x["variant"] == method])
            for method in ("li", "li-naive")
        }
        assert found.value == pytest.approx(means["li"] - means["li-naive"])
        assert found.low <= found.value <= found.high

    def test_lines_are_found_in_the_run_folders(self, classes, tmp_path):
        lines = run_unseen(classes, ONE, tmp_path)
        assert collect_lines([tmp_path]) == [x for x in lines if x["variant"] != "zero-shot"]

    def test_a_folder_without_a_study_is_named(self, tmp_path):
        with pytest.raises(TrainingError, match="no finished run of `vl2v unseen`"):
            collect_lines([tmp_path])


def test_li_trains_for_unseen_domains_too(experiment, tmp_path):
    line = run_training(make_job(experiment, tmp_path / "run", method="li"))
    assert line["ood_class_acc"] is not None
    assert line["penalty"] is None
