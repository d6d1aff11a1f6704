"""Collected only for `pytest -m soak`: it takes ten minutes and kills what it starts."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: minutes of random kills under load; not in CI")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is part of an ordinary run, not even as a skipped test."""
    return None if "soak" in (config.option.markexpr or "") else True
