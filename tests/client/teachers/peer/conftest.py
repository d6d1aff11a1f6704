"""Collected only for `pytest -m peer`: a real infinity, in an environment of its own.

    python -m venv infinity
    infinity/bin/pip install "infinity-emb[server]==0.0.78" "transformers>=4.57,<5" torch torchvision \
        pillow aiohttp "numpy<2"
    VL2V_INFINITY_BIN=infinity/bin/infinity_emb pytest -m peer -s tests/client/teachers/peer
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.serving.weights import write_vocabulary

BIN = os.environ.get("VL2V_INFINITY_BIN", "")
"""Read before the tests clear every setting."""
PROGRAM = Path(__file__).with_name("transformers_clip.py")
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "OMP_NUM_THREADS": "1",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is part of an ordinary run, not even as a skipped test."""
    return None if "peer" in (config.option.markexpr or "") else True


@dataclass(frozen=True)
class Infinity:
    """A running server and its model."""

    url: str
    folder: Path

    def run_beside(self, *words: str) -> str:
        """What `transformers_clip.py` prints, run by infinity's own Python."""
        python = Path(BIN).parent / "python"
        done = subprocess.run(
            [python, PROGRAM, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def embed(self, pictures: list[Path], texts: list[str]) -> list[list[float]]:
        """What the model says without any server."""
        words = [*map(str, pictures), "--", *texts]
        found: list[list[float]] = json.loads(
            self.run_beside("embed", str(self.folder), *words).splitlines()[-1]
        )
        return found


@pytest.fixture(scope="session")
def infinity_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infinity]:
    """A real infinity on a tiny CLIP of random weights."""
    if not Path(BIN).is_file():
        pytest.fail(f"VL2V_INFINITY_BIN is {BIN!r}, no program: see {__file__} for how to get one")
    folder = tmp_path_factory.mktemp("clip")
    write_vocabulary(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Infinity(f"http://127.0.0.1:{port}", folder)
    server.run_beside("make", str(folder))
    words = ["--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"]
    words += ["--no-model-warmup", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN, "v2", "--model-id", folder, "--served-model-name", "clip", *words],
            env=os.environ | QUIET,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(server, process)
        yield server
    finally:
        # It does not end on SIGTERM once a picture has ended its threads.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(server: Infinity, process: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/models", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"infinity did not start: {(server.folder / 'log').read_text()[-2000:]}")
