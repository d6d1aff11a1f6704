"""The small study with three finished runs, made once: nothing here changes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.cache import EmbeddingStore
from client.train.experiment import Experiment
from client.train.recipe import run_training
from client.train.runs import RunFolder
from tests.client.train.study import buy_study, draw_study, make_job, open_study

METHODS = ("zero-shot", "erm", "adip")


@dataclass(frozen=True)
class Finished:
    """A study and one finished run of each method, all below `path`."""

    experiment: Experiment
    path: Path

    def run(self, method: str) -> RunFolder:
        return RunFolder(self.path / method)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("finished")
    with EmbeddingStore.open(folder / "client.db") as store:
        root = draw_study(folder / "study")
        buy_study(store, root)
        experiment = open_study(root, store)
        for method in METHODS:
            run_training(make_job(experiment, folder / "runs" / method, method=method))
        yield Finished(experiment, folder / "runs")
