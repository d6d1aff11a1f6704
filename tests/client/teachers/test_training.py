"""A student from each kind of teacher: fetched by command, trained by command, asked by command."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from client.cache import EmbeddingStore
from client.cli import app
from client.train.methods import METHODS
from client.train.recipe import run_training
from client.train.scale import HIGHEST, LOWEST, find_scale, fit_scale
from tests.client.serving import serve
from tests.client.standin import KEY, StandInVendor
from tests.client.teachers.infinity import StandInInfinity
from tests.client.train.study import draw_study, make_job, open_study
from tests.client.train.test_commands import _options

TOLD = {"NO_COLOR": "1", "VL2V_API_KEY": KEY}


def run(*words: str) -> Result:
    """`vl2v` in this process: a fork of one that has used torch may hang."""
    return CliRunner().invoke(app, list(words), env=TOLD)


@pytest.fixture
def study(tmp_path: Path) -> str:
    return str(draw_study(tmp_path / "study"))


@pytest.fixture(params=["vendor", "openai", "local"])
def asked(
    request: pytest.FixtureRequest,
    infinity: StandInInfinity,
    clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[str, str]]:
    """--teacher and --model, with somebody answering behind them."""
    if request.param == "local":
        yield f"local:local-dir:{clip_folder}", f"local:{clip_folder.name}"
        return
    vendor = request.param == "vendor"
    with serve(StandInVendor() if vendor else infinity) as url:
        monkeypatch.setenv("VL2V_BASE_URL", url)
        yield ("vendor", "toy") if vendor else (f"openai:{url}", "clip")


def fetch(study: str, asked: tuple[str, str], *more: str) -> Result:
    teacher, model = asked
    words = ["fetch", study, "--teacher", teacher, "--model", model, "--budget", "1"]
    return run(*words, *more)


@pytest.mark.slow
def test_a_student_is_trained_and_answers(
    study: str, asked: tuple[str, str], tmp_path: Path
) -> None:
    for purpose in ("training", "evaluation"):
        words = ["--purpose", "evaluation"] if purpose == "evaluation" else []
        done = fetch(study, asked, "--target", "wash", *words)
        assert done.exit_code == 0, done.output
    words = _options(tmp_path / "run", **{"--model": asked[1], "--holdout": "0.2"})
    done = run("train", study, *words, "--method", "adip", "--method", "zero-shot", "--json")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["method"] for line in lines} == {"adip", "zero-shot"}
    (student,) = (tmp_path / "run").rglob("adip*/done")
    words = ["predict", str(student.parent), f"{study}/wash/dot/0.png"]
    seen = run(*words, "--json")
    assert seen.exit_code == 0, seen.output
    words += ["--add-classes", "star", "--buy", "--budget", "1"]
    if asked[0] != "vendor":
        done = run(*words)
        assert done.exit_code == 2
        assert f"vl2v config --teacher {asked[0]}" in done.output
    run("config", "--teacher", asked[0])
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "star" in done.stdout


def test_missing_vectors_say_whom_to_ask(
    study: str, asked: tuple[str, str], tmp_path: Path
) -> None:
    assert fetch(study, asked, "--target", "wash", "--queries", "0").exit_code == 0
    words = _options(tmp_path / "run", **{"--model": asked[1]})
    done = run("train", study, *words, "--method", "adip")
    assert done.exit_code != 0
    assert (f"--teacher {asked[0]}" in " ".join(done.output.split())) == (asked[0] != "vendor")


class TestUnpublishedScale:
    @pytest.fixture
    def captions(self, study: str, tmp_path: Path) -> str:
        file = tmp_path / "captions.jsonl"
        names = [str(path.relative_to(study)) for path in Path(study).rglob("*.png")]
        rows = [json.dumps({"path": name, "caption": f"about {name}"}) for name in names]
        file.write_text("\n".join(rows))
        return str(file)

    @pytest.fixture
    def experiment(
        self, study: str, captions: str, infinity: StandInInfinity, store: EmbeddingStore
    ):
        with serve(infinity) as url:
            assert fetch(study, (f"openai:{url}", "clip"), "--captions", captions).exit_code == 0
        return open_study(Path(study), store)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "method", [name for name, one in METHODS.items() if one.trains and not one.white_box]
    )
    def test_every_method_trains(
        self, experiment, captions: str, tmp_path: Path, method: str
    ) -> None:
        more = {"captions": captions} if METHODS[method].reads_captions else {}
        job = make_job(experiment, tmp_path / "run", method=method, model="clip", **more)
        assert run_training(job)["parameters"] > 0

    def test_it_is_fitted_on_the_sources_of_the_fold(self, experiment, tmp_path: Path) -> None:
        job = make_job(experiment, tmp_path / "run", model="clip")
        assert job.teacher is not None
        assert LOWEST <= job.logit_scale < HIGHEST
        fold, teacher = job.fold, job.teacher
        texts = teacher.read_texts(fold)
        cosines = teacher.read_images(fold, fold.training) @ texts.T
        assert job.logit_scale == fit_scale(cosines, fold.labels[fold.training])

    def test_one_that_is_given_is_taken(
        self, study: str, infinity: StandInInfinity, store: EmbeddingStore, tmp_path: Path
    ) -> None:
        with serve(infinity) as url:
            fetch(study, (f"openai:{url}", "clip"), "--logit-scale", "33.5")
        job = make_job(open_study(Path(study), store), tmp_path / "run", model="clip")
        assert job.teacher is not None
        assert find_scale(job.teacher, job.fold) == 33.5


@pytest.mark.parametrize("scale", [2.0, 7.5, 40.0])
def test_the_scale_that_drew_the_labels_is_found_again(scale: float) -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, size=(20_000, 5))
    odds = np.exp(scale * cosines)
    drawn = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1) > rng.random((20_000, 1))
    assert fit_scale(cosines, drawn.argmax(axis=1)) == pytest.approx(scale, rel=0.05)


def test_a_teacher_that_is_always_right_has_the_highest() -> None:
    cosines = np.eye(3)
    assert fit_scale(cosines, np.arange(3)) == pytest.approx(HIGHEST, rel=1e-3)
    assert fit_scale(-cosines, np.arange(3)) == pytest.approx(LOWEST, rel=1e-3)
