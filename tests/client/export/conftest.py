"""The small study, bought and open."""

from collections.abc import Iterator

import pytest
import torch

from client.cache import EmbeddingStore
from client.train.experiment import Experiment
from tests.client.train.study import buy_study, draw_study, open_study


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def experiment(tmp_path, store: EmbeddingStore) -> Experiment:
    root = draw_study(tmp_path / "study")
    buy_study(store, root)
    return open_study(root, store)
