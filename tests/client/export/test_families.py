"""Students of different families are trained, asked, and taken to timm and ONNX alike."""

from typing import Any

import numpy as np
import pytest
import timm
import torch

from client.cache import EmbeddingStore
from client.export.onnx_file import export_onnx
from client.export.timm_folder import export_timm
from client.train.errors import TrainingError
from client.train.finished import load_finished
from client.train.recipe import run_training
from client.train.runs import RunFolder
from client.train.student import StudentSpec, build_student
from tests.client.train.study import buy_study, draw_study, make_job, open_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    with EmbeddingStore.open(folder / "client.db") as store:
        root = draw_study(folder / "study")
        buy_study(store, root)
        yield open_study(root, store)


def _train(study, out, name):
    job = make_job(study, out, student=name, image_size=64, steps=1, batch=3, weights="random")
    run_training(job)
    return RunFolder(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "test_convnext",
        "test_resnet",
        # Its features are wider than its `num_features`.
        "mobilenetv3_small_050",
        # Two tokens, two classifiers.
        "deit_tiny_distilled_patch16_224",
    ],
)
def test_a_family_goes_from_training_to_timm_and_onnx(name, study, tmp_path):
    run = _train(study, tmp_path / "run", name)
    pictures = [study.manifest.file(p) for p in study.manifest.pictures[:2]]
    answers = load_finished(run).predict(pictures, top=3)
    assert [len(answer) for answer in answers] == [3, 3]
    folder = export_timm(run, tmp_path / "model")
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).num_classes == 3
    if name == "test_vit":
        # One of them: the exporter takes seconds, and what it makes is compared at export time.
        assert export_onnx(run, tmp_path / "model.onnx").is_file()


def test_the_features_of_a_distilled_deit_are_the_mean_of_its_two_tokens():
    student, _ = build_student(
        StudentSpec("deit_tiny_distilled_patch16_224", 32, 4), weights="random"
    )
    student.eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normal = (images - student.get_buffer("mean")) / student.get_buffer("std")
    backbone: Any = student.backbone
    tokens = backbone.forward_features(normal)
    wanted = tokens[:, :2].mean(dim=1)
    assert np.allclose(student.features(images).detach(), wanted.detach(), atol=1e-5)


def test_a_classifier_that_cannot_carry_the_head_is_sent_to_onnx(study, tmp_path):
    run = _train(study, tmp_path / "run", "levit_128s")
    with pytest.raises(TrainingError, match="--to onnx"):
        export_timm(run, tmp_path / "model")


def test_a_size_that_a_student_cannot_take_is_explained():
    with pytest.raises(TrainingError, match=r"test_maxvit cannot be built for 50 px.*--image-size"):
        build_student(StudentSpec("test_maxvit", 50, 4), weights="random")
