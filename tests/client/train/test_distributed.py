"""Two real processes make the run that one makes; only the first writes files."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import spawn

from client.cache import EmbeddingStore
from client.train.building import build_task
from client.train.distributed import SOLO, World, choose_device, join_world
from client.train.errors import TrainingError
from client.train.loop import start_state, train_student
from client.train.pixels import PixelSelection
from client.train.recipe import run_training
from client.train.student import StudentSpec, build_student
from tests.client.train.study import make_job, open_study

ROOT = Path(__file__).parents[3]
CASES: dict[str, dict[str, Any]] = {
    "adip": {"method": "adip", "batch": 7},
    "erm": {"method": "erm", "batch": 9, "accumulate": 3},
    "per-domain": {"method": "kd", "batch": 3, "sampling": "per-domain", "averaging_kind": "none"},
}
"""Uneven shares among them: a batch of 7 over two processes is 4 and 3."""


def _distil(experiment, folder, world, **changes):
    """The average after some steps of a float64 student, without Align."""
    job = make_job(experiment, folder, world=world, **changes)
    task = build_task(job.config, job.fold, job.teacher)
    student, _ = build_student(
        StudentSpec(job.config.student, 32, task.head_width), weights="random"
    )
    state = start_state(student.double(), task, job.config)
    rows = []
    train_student(
        state,
        task,
        PixelSelection(job.pixels, job.fold.training),
        job.sampler,
        job.config,
        after_step=lambda _, row: rows.append(row["loss"]),
        world=world,
    )
    return state.average.state_dict() | {"losses": torch.tensor(rows, dtype=torch.float64)}


def _work(rank, port, study, database, out):
    """One of the two processes: each case in float64, then a whole run."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({k: str(v) for k, v in place.items()}, MASTER_ADDR="127.0.0.1")
    with EmbeddingStore.open(database) as store, join_world("cpu") as world:
        experiment = open_study(study, store)
        for name, changes in CASES.items():
            tensors = _distil(experiment, out / "none", world, **changes)
            save_file({k: v.contiguous() for k, v in tensors.items()}, out / f"{name}-{rank}")
        asked = iter([False, rank == 1])
        job = make_job(
            experiment,
            out / "run",
            world=world,
            averaging_kind="swad",
            evaluations=30,
            stop=lambda: next(asked, False),
        )
        with pytest.raises(TrainingError, match="after step 1 of 4"):
            run_training(job)
        line = run_training(
            make_job(experiment, out / "run", world=world, averaging_kind="swad", evaluations=30)
        )
        (out / f"line-{rank}").write_text(str(line["seconds"]))


@pytest.fixture(scope="module")
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_two_processes_make_the_same_run_as_one(experiment, home, tmp_path, port):
    study, database = experiment.manifest.root, str(home / "client.db")
    spawn(_work, (port, study, database, tmp_path), nprocs=2)
    for name, changes in CASES.items():
        alone = _distil(experiment, tmp_path / "none", SOLO, **changes)
        for rank in range(2):
            theirs = load_file(tmp_path / f"{name}-{rank}")
            for key, value in alone.items():
                if value.is_floating_point():
                    assert (value - theirs[key]).abs().max() <= 1e-8, (name, rank, key)
    assert not (tmp_path / "none").exists()
    # Stopped by the second process, resumed by both, written once, and told to both.
    assert (tmp_path / "line-0").read_text() == (tmp_path / "line-1").read_text()
    metrics = make_job(experiment, tmp_path / "run").folder.metrics()
    assert [(row["stage"], row["step"]) for row in metrics] == [
        ("align", 0),
        ("distill", 1),
        ("distill", 2),
        ("distill", 3),
        ("distill", 4),
        ("average", 4),
    ]


@pytest.mark.slow
def test_torchrun_runs_the_command(experiment, home, tmp_path):
    words = ["--model", "toy", "--target", "wash", "--student", "test_efficientnet"]
    words += ["--image-size", "32", "--steps", "2"]
    words += ["--batch", "4", "--align-views", "1", "--holdout", "0.34", "--threads", "1", "--json"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "client.cli",
            "train",
            str(experiment.manifest.root),
            *words,
            "--out",
            str(tmp_path / "run"),
        ],
        cwd=ROOT,
        env=os.environ | {"VL2V_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "run" / "done").is_file()


def test_parts_of_all_processes_are_the_batch():
    for size in (1, 2, 3):
        for accumulate in (1, 2, 4):
            rows = list(range(11))
            parts = [rows[p] for r in range(size) for p in World(r, size).parts(accumulate)]
            assert sorted(row for part in parts for row in part) == rows
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_world("cpu") as world:
        assert world == SOLO
        assert world.leads


class TestRefusals:
    def test_cuda_where_there_is_none(self):
        if not torch.cuda.is_available():
            with pytest.raises(TrainingError, match="--device cpu"):
                choose_device("cuda")
        assert choose_device("cpu").type == "cpu"

    def test_half_precision_without_cuda(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", precision="fp16", device="cpu")
        with pytest.raises(TrainingError, match="--precision bf16"):
            run_training(job)

    def test_a_batch_smaller_than_the_processes(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", world=World(3, 4), method="erm", batch=3)
        with pytest.raises(TrainingError, match="batch of 3 cannot be split into 4 parts"):
            run_training(job)
        assert not job.folder.path.exists()
