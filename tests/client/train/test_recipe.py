"""One run from end to end: its folder, its purity, its refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import delete, update

from client.cache.tables import embedding
from client.data import scan_folders
from client.train.answers import load_answers
from client.train.errors import Interrupted, MissingVectors, TrainingError, UnknownName
from client.train.finished import evaluate_student, load_finished
from client.train.recipe import run_training
from client.train.runs import RunFolder
from tests.client.train.study import CONFIG, draw_study, make_job, open_study


def _student(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.student)


def _same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def reference(experiment, tmp_path):
    """An uninterrupted run that read everything."""
    job = make_job(experiment, tmp_path / "reference")
    run_training(job)
    return job.folder


class TestTheRunFolder:
    def test_holds_config_curves_results_student_and_done(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run")
        line = run_training(job)
        names = {p.name for p in job.folder.path.iterdir() if p.is_file()}
        assert names == {
            "answers.safetensors",
            "config.json",
            "metrics.jsonl",
            "results.jsonl",
            "student.safetensors",
            "done",
        }
        config = json.loads((job.folder.path / "config.json").read_text())
        assert config["revision"] == "0123456789abcdef"
        assert config["lr"] == CONFIG.lr
        assert json.loads((job.folder.path / "results.jsonl").read_text()) == line
        assert [row["step"] for row in job.folder.metrics()] == [0, 1, 2, 3, 4]

    def test_results_carry_domainbed_keys(self, experiment, tmp_path):
        line = run_training(make_job(experiment, tmp_path / "run"))
        for index in range(3):
            assert 0 <= line[f"env{index}_in_acc"] <= 1
            assert 0 <= line[f"env{index}_out_acc"] <= 1
        assert {"step", "epoch", "hparams", "args"} <= line.keys()
        assert line["env2_class_acc"] == line["ood_class_acc"]
        sources = (line["env0_out_class_acc"] + line["env1_out_class_acc"]) / 2
        assert line["in_domain_class_acc"] == pytest.approx(sources)

    def test_a_finished_run_is_not_made_again(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run")
        first = run_training(job)
        written = job.folder.student.stat().st_mtime_ns
        assert run_training(job) == first
        assert job.folder.student.stat().st_mtime_ns == written

    def test_refuses_a_folder_of_another_run(self, experiment, tmp_path):
        run_training(make_job(experiment, tmp_path / "run"))
        with pytest.raises(TrainingError, match=r"other settings \(lr\).*--no-resume"):
            run_training(make_job(experiment, tmp_path / "run", lr=1e-4))

    def test_starts_over_when_asked(self, experiment, tmp_path):
        run_training(make_job(experiment, tmp_path / "run"))
        line = run_training(make_job(experiment, tmp_path / "run", lr=1e-4), resume=False)
        assert line["hparams"]["lr"] == 1e-4

    def test_evaluating_the_student_again_gives_the_same_numbers(self, experiment, reference):
        line = reference.result()
        rows = evaluate_student(load_finished(reference), experiment)
        whole = next(row for row in rows if (row.domain, row.part) == ("wash", "all"))
        assert whole.role == "target"
        assert whole.class_accuracy == line["ood_class_acc"]


class TestResuming:
    @pytest.mark.parametrize("method", ["adip", "kd"])
    def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(
        self, experiment, tmp_path, method
    ):
        whole = make_job(experiment, tmp_path / "whole", method=method)
        run_training(whole)
        asked = iter([False, False, True])
        stopped = make_job(
            experiment, tmp_path / "parts", method=method, stop=lambda: next(asked, False)
        )
        with pytest.raises(Interrupted, match=r"after step 2 of 4.*same command again"):
            run_training(stopped)
        assert stopped.folder.checkpoint.is_file()
        assert not stopped.folder.is_done
        run_training(make_job(experiment, tmp_path / "parts", method=method))
        assert _same(_student(whole.folder), _student(stopped.folder))
        strip = [{**row, "validation": 0} for row in whole.folder.metrics()]
        assert [{**row, "validation": 0} for row in stopped.folder.metrics()] == strip

    def test_an_interruption_ends_with_130(self):
        assert Interrupted.exit_code == 130

    def test_a_damaged_checkpoint_is_named(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", stop=lambda: True)
        with pytest.raises(Interrupted):
            run_training(job)
        job.folder.checkpoint.write_bytes(b"not safetensors")
        with pytest.raises(TrainingError, match=r"last\.safetensors.*--no-resume"):
            run_training(make_job(experiment, tmp_path / "run"))


class TestWhatTrainingReads:
    @pytest.mark.parametrize("method", ["adip", "kd", "text-only", "erm"])
    def test_deleting_target_rows_leaves_the_student_bit_identical(
        self, experiment, tmp_path, store, method
    ):
        first = make_job(experiment, tmp_path / "with", method=method)
        run_training(first)
        target = [p.digest for p in experiment.manifest.pictures if p.domain == "wash"]
        with store.database.write() as connection:
            gone = connection.execute(delete(embedding).where(embedding.c.digest.in_(target)))
        assert gone.rowcount == len(set(target))
        second = make_job(experiment, tmp_path / "without", method=method)
        run_training(second)
        assert _same(_student(first.folder), _student(second.folder))

    def test_the_targets_pictures_do_not_matter_either(
        self, experiment, reference, tmp_path, store
    ):
        for picture in experiment.manifest.pictures:
            if picture.domain == "wash":
                other = experiment.manifest.root / "ink" / picture.label / "0.png"
                experiment.manifest.file(picture).write_bytes(other.read_bytes())
        changed = open_study(experiment.manifest.root, store)
        job = make_job(changed, tmp_path / "changed")
        run_training(job)
        assert _same(_student(reference), _student(job.folder))

    def test_training_never_reads_what_was_bought_for_evaluation(self, experiment, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(
                update(embedding)
                .where(embedding.c.modality == "image")
                .values(purpose="evaluation")
            )
        with pytest.raises(MissingVectors):
            run_training(make_job(experiment, tmp_path / "run"))

    def test_the_students_answer_to_validation_pictures_needs_no_vector(
        self, experiment, reference, tmp_path, store
    ):
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.purpose == "evaluation"))
        job = make_job(experiment, tmp_path / "run")
        run_training(job)
        assert _same(_student(reference), _student(job.folder))

    def test_missing_vectors_name_the_command_to_type(self, experiment, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(delete(embedding))
        with pytest.raises(MissingVectors) as caught:
            run_training(make_job(experiment, tmp_path / "run", method="text-only"))
        root = experiment.manifest.root
        assert f"vl2v fetch {root} --model toy --target wash --budget" in str(caught.value)
        assert "6 of the 6 class texts" in str(caught.value)
        assert "$0.00006" in str(caught.value)

    def test_erm_reads_no_vector_at_all(self, experiment, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(delete(embedding))
        line = run_training(make_job(experiment, tmp_path / "run", method="erm", model=""))
        assert line["spending"]["training"] == {"images": 0, "texts": 0, "cost_nanousd": 0}

    def test_the_trial_seed_matters(self, experiment, reference, tmp_path):
        job = make_job(experiment, tmp_path / "run", trial_seed=1)
        run_training(job)
        assert not _same(_student(reference), _student(job.folder))


class TestZeroShot:
    def test_the_teacher_answers_for_itself(self, experiment, tmp_path):
        line = run_training(make_job(experiment, tmp_path / "run", method="zero-shot"))
        assert line["ood_class_acc"] > 0.8
        assert line["parameters"] is None

    def test_needs_the_evaluation_vectors(self, experiment, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.purpose == "evaluation"))
        with pytest.raises(MissingVectors, match="--purpose evaluation"):
            run_training(make_job(experiment, tmp_path / "run", method="zero-shot"))

    def test_has_no_student(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", method="zero-shot")
        run_training(job)
        with pytest.raises(TrainingError, match="has no student"):
            load_finished(job.folder)


class TestSpending:
    def test_each_method_counts_only_what_it_reads(self, experiment, tmp_path):
        fold = experiment.fold(("wash",))
        learned, asked = len(fold.training), len(fold.validation) + len(fold.tested)
        expected = {
            "erm": ((0, 0), (0, 0)),
            "text-only": ((0, 6), (0, 0)),
            "kd": ((learned, 6), (0, 0)),
            "adip": ((learned, 6), (0, 0)),
            "zero-shot": ((0, 0), (asked, 6)),
        }
        for method, wanted in expected.items():
            job = make_job(experiment, tmp_path / method, method=method, steps=1)
            spending = run_training(job)["spending"]
            for part, (images, texts) in zip(("training", "evaluation"), wanted, strict=True):
                cost = 100_000 * images + 10_000 * texts
                bill = {"images": images, "texts": texts, "cost_nanousd": cost}
                assert spending[part] == bill, (method, part)


class TestRefusals:
    def test_single_domain(self, tmp_path, store):
        root = draw_study(tmp_path / "one", domains=("ink",))
        with pytest.raises(TrainingError, match=r"single domain \(ink\)"):
            open_study(root, store).fold(())

    def test_every_domain_a_target(self, experiment):
        with pytest.raises(TrainingError, match="at least one domain"):
            experiment.fold(("ink", "pale", "wash"))

    def test_unknown_target(self, experiment):
        with pytest.raises(UnknownName, match="did you mean wash"):
            experiment.fold(("wahs",))

    def test_unknown_method(self):
        with pytest.raises(UnknownName, match="did you mean adip"):
            replace(CONFIG, method="adipp")

    def test_unknown_student(self, experiment, tmp_path):
        with pytest.raises(UnknownName, match=r"did you mean.*tf_efficientnet_lite0"):
            run_training(make_job(experiment, tmp_path / "run", student="tf_efficientnet_lite00"))

    def test_a_method_that_needs_a_teacher_says_so(self, experiment, tmp_path):
        with pytest.raises(TrainingError, match="--model"):
            run_training(make_job(experiment, tmp_path / "run", model=""))


class TestTheTargetIsNowhereInSelection:
    def test_the_sources_alone_are_left(self, experiment):
        without = experiment.without(("wash",))
        assert {p.domain for p in without.manifest.pictures} == {"ink", "pale"}
        assert without.manifest.classes == experiment.manifest.classes
        fold, full = without.fold(()), experiment.fold(("wash",))
        for part in ("training", "validation"):
            mine = [without.manifest.pictures[i].path for i in getattr(fold, part)]
            theirs = [experiment.manifest.pictures[i].path for i in getattr(full, part)]
            assert mine == theirs

    def test_the_split_never_mixes_its_parts(self, experiment):
        fold = experiment.fold(("wash",))
        groups = scan_folders(experiment.manifest.root).pictures
        training = {groups[i].group for i in fold.training}
        assert not training & {groups[i].group for i in fold.validation}
        assert {groups[i].domain for i in fold.training} == {"ink", "pale"}
        assert {groups[i].domain for i in fold.tested} == {"wash"}


def test_a_run_keeps_what_it_says_to_every_picture(experiment, tmp_path):
    job = make_job(experiment, tmp_path / "run")
    line = run_training(job)
    answers = load_answers(job.folder)
    tested = job.fold.tested
    right = answers.classes[tested] == job.fold.labels[tested]
    assert right.mean() == pytest.approx(line["ood_acc"])
    assert answers.asked.all()
    assert answers.probabilities.sum(axis=1) == pytest.approx(
        np.ones(len(answers.scores)), abs=1e-5
    )


def test_the_teacher_is_silent_about_what_it_was_not_asked(experiment, tmp_path):
    job = make_job(experiment, tmp_path / "run", method="zero-shot")
    run_training(job)
    answers = load_answers(job.folder)
    assert np.flatnonzero(answers.asked).tolist() == job.fold.asked.tolist()
    assert (answers.classes[~answers.asked] == -1).all()


def test_answers_of_an_unfinished_run_are_refused(experiment, tmp_path):
    job = make_job(experiment, tmp_path / "run")
    run_training(job)
    job.folder.answers.unlink()
    with pytest.raises(TrainingError, match="--no-resume"):
        load_answers(job.folder)


def test_a_finished_run_of_an_older_version_is_found_again(experiment, tmp_path):
    job = make_job(experiment, tmp_path / "run")
    line = run_training(job)
    document = json.loads(job.folder.config_file.read_text())
    del document["averaging_kind"], document["shots"]  # settings that it did not know
    job.folder.config_file.write_text(json.dumps(document))
    assert run_training(job) == line
    with pytest.raises(TrainingError, match="other settings"):
        run_training(replace(job, config=replace(job.config, shots=2)))
