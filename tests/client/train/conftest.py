"""The small study, bought and open."""

import pytest

from client.cache import EmbeddingStore
from client.train.experiment import Experiment
from tests.client.train.study import buy_study, draw_study, open_study


@pytest.fixture
def experiment(tmp_path, store: EmbeddingStore) -> Experiment:
    root = draw_study(tmp_path / "study")
    buy_study(store, root)
    return open_study(root, store)
