"""Align by search: it lowers the stage's own loss and keeps the head that validation likes best."""

import numpy as np
import pytest
import torch

from client.train.align import survey
from client.train.building import build_task
from client.train.errors import TrainingError
from client.train.evaluate import measure, score_pictures
from client.train.pixels import PixelSelection
from client.train.recipe import run_training
from client.train.search import search_head
from client.train.student import StudentSpec, build_student
from client.train.views import FileViews
from tests.client.train.study import make_job


def _open(experiment, tmp_path, method):
    job = make_job(experiment, tmp_path / "run", method=method, align="search")
    task = build_task(job.config, job.fold, job.teacher)
    student, _ = build_student(
        StudentSpec(job.config.student, 32, task.head_width), weights="random"
    )
    return job, task, student


@pytest.mark.parametrize("method", ["adip", "text-only", "erm", "kd"])
def test_the_loss_falls_and_the_score_is_the_heads(experiment, tmp_path, method):
    job, task, student = _open(experiment, tmp_path, method)
    rows = torch.arange(len(job.fold.training))
    student.eval()
    training = PixelSelection(job.pixels, job.fold.training)
    features, _ = survey(student, training, FileViews(), 0, 0)
    before = float(task.loss(student.head(features), rows)["loss"].detach())
    fit = search_head(student, task, job.pixels, job.fold, job.config)
    after = float(task.loss(student.head(features), rows)["loss"].detach())
    assert after < before - 0.05
    scores = score_pictures(student, task.classes, job.pixels, job.fold.validation)
    labels = job.fold.labels[job.fold.validation]
    assert fit.score == measure(np.argmax(scores, axis=1), labels).per_class
    assert fit.iterations in range(10, 101, 10)


def test_the_backbone_stays_as_it_is(experiment, tmp_path):
    job, task, student = _open(experiment, tmp_path, "adip")
    before = {k: v.clone() for k, v in student.backbone.state_dict().items()}
    search_head(student, task, job.pixels, job.fold, job.config)
    after = student.backbone.state_dict()
    assert all(torch.equal(after[k], value) for k, value in before.items())


def test_the_run_says_where_the_search_stopped(experiment, tmp_path):
    job = make_job(experiment, tmp_path / "run", align="search")
    run_training(job)
    first = job.folder.metrics()[0]
    assert (first["stage"], first["step"]) == ("align", 0)
    assert first["iterations"] in range(10, 101, 10)


def test_a_head_of_several_layers_is_refused(experiment, tmp_path):
    job, task, student = _open(experiment, tmp_path, "adip")
    student.head = torch.nn.Sequential(student.head)
    with pytest.raises(TrainingError, match="--align exact"):
        search_head(student, task, job.pixels, job.fold, job.config)
