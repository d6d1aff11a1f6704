"""Students that are copies of the teacher's own image tower."""

import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from client.train.building import build_task, make_student
from client.train.errors import TrainingError
from client.train.finished import load_finished
from client.train.loop import start_state, train_student
from client.train.methods import METHODS
from client.train.pixels import decode_picture
from client.train.recipe import run_training
from client.train.sampling import DomainSampler
from client.train.whitebox import mix_weights
from shared.openclip import load_openclip
from tests.client.train.study import CONFIG, make_job
from tests.client.train.test_commands import _options, _run

WHITE = sorted(name for name, method in METHODS.items() if method.white_box)


@pytest.fixture
def spec(clip_folder) -> str:
    return f"local-dir:{clip_folder}"


def _sample(side: int) -> torch.Tensor:
    return torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_the_copy_says_what_the_teacher_says(experiment, tmp_path, spec):
    job = make_job(experiment, tmp_path / "run", method="sd", teacher_weights=spec)
    student, origin = make_student(job.config, 16)
    assert origin == spec
    picture = experiment.manifest.file(experiment.manifest.pictures[0])
    clip = load_openclip(spec)
    with Image.open(picture) as image:
        theirs = torch.from_numpy(clip.encode_images(clip.preprocess(image)[None]))
    with torch.no_grad():
        pixels = torch.tensor(decode_picture(picture, 32)).permute(2, 0, 1)[None] / 255
        ours = F.normalize(student(pixels), dim=-1)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_pictures_of_another_size_are_resized_to_the_towers(experiment, tmp_path, spec):
    job = make_job(
        experiment, tmp_path / "run", method="sd", teacher_weights=spec, image_size=48, steps=1
    )
    assert run_training(job)["parameters"] > 0


def test_the_teacher_itself_stays_as_it_is(experiment, tmp_path, spec):
    before = load_openclip(spec).revision
    run_training(make_job(experiment, tmp_path / "run", method="sd", teacher_weights=spec))
    assert load_openclip(spec).revision == before


def test_sd_is_half_a_cosine_to_the_text_and_half_to_the_image(experiment, tmp_path, spec):
    job = make_job(experiment, tmp_path / "run", method="sd", teacher_weights=spec)
    task = build_task(job.config, job.fold, job.teacher)
    found = task.loss(torch.randn(5, 16), torch.arange(5))
    half = -0.5 * (found["text_cosine"] + found["image_cosine"])
    assert found["loss"].item() == pytest.approx(half.item())


def test_wise_ft_ends_half_way_between_the_teacher_and_what_it_learned(experiment, tmp_path, spec):
    job = make_job(experiment, tmp_path / "run", method="wise-ft", teacher_weights=spec)
    run_training(job)
    found = load_finished(job.folder).student.state_dict()
    task = build_task(job.config, job.fold, job.teacher)
    start = make_student(job.config, 16)[0].state_dict()
    state = start_state(make_student(job.config, 16)[0], task, job.config)
    train_student(
        state,
        task,
        job.pixels[job.fold.training],
        DomainSampler(job.fold.domains[job.fold.training], job.config.batch, 0),
        job.config,
        after_step=lambda _state, _row: None,
    )
    learned = state.average.state_dict()
    name = "backbone.visual.proj"
    assert not torch.equal(learned[name], start[name])
    assert torch.allclose(found[name], (learned[name] + start[name]) / 2, atol=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_mixing_weights(experiment, tmp_path, spec, share):
    config = make_job(experiment, tmp_path / "run", method="flyp", teacher_weights=spec).config
    one, other = (make_student(config, 16)[0] for _ in range(2))
    with torch.no_grad():
        for value in one.state_dict().values():
            value.add_(1.0)
    expected = {k: v - share for k, v in one.state_dict().items()}
    mix_weights(one, other, share)
    for name, value in one.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6)


class TestRefusals:
    @pytest.mark.parametrize("name", WHITE)
    def test_without_weights_it_says_what_to_type(self, experiment, tmp_path, name):
        job = make_job(experiment, tmp_path / "run", method=name)
        with pytest.raises(TrainingError, match="--teacher-weights local-dir:PATH"):
            run_training(job)
        with pytest.raises(TrainingError, match="--teacher-weights local-dir:PATH"):
            experiment.require_vectors(job.config, [job.fold])

    def test_a_folder_without_a_model(self, experiment, tmp_path):
        spec = f"local-dir:{tmp_path}"
        job = make_job(experiment, tmp_path / "run", method="flyp", teacher_weights=spec)
        with pytest.raises(TrainingError, match=r"--teacher-weights: .*no model folder"):
            run_training(job)

    def test_the_weights_of_another_model(self, experiment, tmp_path, spec):
        config = make_job(experiment, tmp_path / "run", method="sd", teacher_weights=spec).config
        with pytest.raises(TrainingError, match=r"16 numbers.*toy have 17"):
            make_student(config, 17)

    def test_a_black_box_method_needs_none(self):
        assert CONFIG.teacher_weights == ""
        assert not METHODS[CONFIG.method].white_box


def test_trained_and_asked_from_the_command_line(experiment, tmp_path, clip_folder, monkeypatch):
    study = str(experiment.manifest.root)
    out = tmp_path / "run"
    monkeypatch.chdir(clip_folder.parent)
    words = _options(out, **{"--teacher-weights": f"local-dir:{clip_folder.name}"})
    done = _run("train", study, *words, "--method", "sd", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["weights"] == f"local-dir:{clip_folder}"
    monkeypatch.chdir(tmp_path)
    seen = _run("predict", str(out), f"{study}/wash/dot/0.png", "--json")
    assert seen.exit_code == 0, seen.output
