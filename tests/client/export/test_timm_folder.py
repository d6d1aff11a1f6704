"""The exported folder answers by itself, as the student does."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from client.export.timm_folder import export_timm
from client.train.finished import load_finished


@pytest.fixture(params=["adip", "erm"])
def run(request, finished):
    return finished.run(request.param)


def test_timm_loads_it_and_it_gives_the_students_answers(run, finished, tmp_path):
    experiment = finished.experiment
    folder = export_timm(run, tmp_path / "model")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert model.num_classes == 3
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    files = [experiment.manifest.file(p) for p in experiment.manifest.pictures]
    with torch.no_grad():
        images = torch.stack([transform(Image.open(f).convert("RGB")) for f in files])
        logits = model(images).numpy()
    student = load_finished(run)
    scores = student.scores(experiment.pixels(32))
    assert np.array_equal(logits.argmax(axis=1), scores.argmax(axis=1))
    # The classifier leaves out one division, by the length of each picture's own projection.
    assert all(np.corrcoef(a, b)[0, 1] > 0.999 for a, b in zip(logits, scores, strict=True))


def test_it_names_its_classes_and_how_it_was_made(run, tmp_path):
    folder = export_timm(run, tmp_path / "model")
    assert json.loads((folder / "classes.json").read_text()) == ["bar", "dot", "ring"]
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"] == ["bar", "dot", "ring"]
    assert config["pretrained_cfg"]["input_size"] == [3, 32, 32]
    card = (folder / "README.md").read_text()
    result, spending = run.result(), run.result()["spending"]["training"]
    assert f"| paid image queries | {spending['images']} |" in card
    assert f"{result['ood_class_acc']:.1%}" in card
    assert "split seed, trial seed | 0, 0" in card
    assert "local-dir:" in card


def test_exporting_again_replaces_the_folder(run, tmp_path):
    folder = export_timm(run, tmp_path / "model")
    (folder / "stale").write_text("")
    export_timm(run, tmp_path / "model")
    assert not (folder / "stale").exists()
    assert {p.name for p in tmp_path.iterdir() if "partial" in p.name} == set()
