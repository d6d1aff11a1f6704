"""The ONNX file gives the student's own answers, for any number of pictures, and names its classes."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from client.cli import app
from client.export.onnx_file import TOLERANCE, AnsweringStudent, export_onnx, require_packages
from client.train.augment import to_unit_range
from client.train.errors import TrainingError
from client.train.finished import load_finished


def _open(file):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=["adip", "erm"])
def exported(request, finished, tmp_path_factory):
    run = finished.run(request.param)
    return run, export_onnx(run, tmp_path_factory.mktemp("onnx") / "model.onnx")


def test_every_picture_and_noise_get_the_students_answers(exported, finished):
    run, file = exported
    student = load_finished(run)
    pixels = finished.experiment.pixels(32)
    noise = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for images in (to_unit_range(pixels), noise, noise[:1]):
        scores, embedding = _open(file).run(None, {"images": images.numpy()})
        with torch.no_grad():
            wanted = AnsweringStudent(student).eval()(images)
        for ours, theirs in zip(wanted, (scores, embedding), strict=True):
            assert np.abs(ours.numpy() - theirs).max() < TOLERANCE * float(ours.abs().max())
    shares = torch.softmax(
        torch.from_numpy(_open(file).run(["scores"], {"images": to_unit_range(pixels).numpy()})[0]),
        dim=1,
    )
    assert np.allclose(shares.numpy(), student.probabilities(pixels), atol=1e-4)


def test_the_embedding_lies_in_the_teachers_space_where_there_is_one(exported):
    run, file = exported
    images = np.random.default_rng(0).random((4, 3, 32, 32), dtype=np.float32)
    _, embedding = _open(file).run(None, {"images": images})
    if run.read_config()["method"] == "adip":
        assert embedding.shape == (4, 16)
        assert np.allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    else:
        assert embedding.shape[1] == load_finished(run).student.head.in_features


def test_its_metadata_says_how_to_use_it(exported):
    run, file = exported
    session = _open(file)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == ["bar", "dot", "ring"]
    assert facts["image_size"] == "32"
    assert facts["method"] == run.read_config()["method"]
    assert [i.name for i in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]


def test_a_folder_gets_the_file_under_its_usual_name(finished, tmp_path):
    run, out = str(finished.path / "adip"), str(tmp_path / "model")
    done = CliRunner().invoke(app, ["export", run, "--to", "onnx", "--out", out])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "model" / "student.onnx")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["student.onnx"]


def test_an_answer_that_differs_is_refused_and_nothing_is_left(finished, tmp_path):
    with pytest.raises(TrainingError, match=r"differ from the student's by"):
        export_onnx(finished.run("adip"), tmp_path / "model.onnx", tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(
        TrainingError, match=r"needs no_such_onnx: type `pip install 'vl2v\[export\]'`"
    ):
        require_packages(("json", "no_such_onnx"))
