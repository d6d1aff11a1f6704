"""Ctrl-C during a fetch: once to finish what is in flight, twice to stop at once."""

import os
import signal
import threading
from pathlib import Path

from tests.client.conftest import Command
from tests.client.pictures import write_folders
from tests.client.standin import StandInVendor


def fetch(command: Command, data: Path, *more: str):
    return command.run("fetch", str(data), "--model", "toy", *more)


def paid_requests(vendor: StandInVendor) -> int:
    return sum(path.startswith("/v1/embed") for _, path, _ in vendor.requests)


class TestInterrupt:
    def test_ctrl_c_finishes_what_is_in_flight_and_the_next_run_goes_on(
        self, command: Command, tmp_path: Path, vendor: StandInVendor
    ) -> None:
        data = write_folders(tmp_path / "big", domains=("a", "b"), classes=("x",), each=260)
        started, release = threading.Event(), threading.Event()

        def pause() -> None:
            started.set()
            release.wait(30)

        vendor.before_answer = pause
        running = command.start("fetch", str(data), "--model", "toy", "--budget", "1")
        assert started.wait(60)
        os.kill(running.pid, signal.SIGINT)
        # The command says so as soon as it has understood.
        while "Ctrl-C again" not in (running.folder / "stderr").read_text():
            assert os.waitpid(running.pid, os.WNOHANG) == (0, 0)
        release.set()
        done = running.end()
        assert done.returncode == 130
        assert "run the same command again to go on" in done.stderr
        sold = len(vendor.sold)
        assert 0 < sold < 400
        vendor.before_answer = lambda: None
        assert fetch(command, data, "--budget", "1").returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold)) > sold
        assert len(vendor.charges) == paid_requests(vendor)

    def test_a_second_ctrl_c_stops_at_once_and_the_next_run_pays_nothing_twice(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        started, release = threading.Event(), threading.Event()

        def pause() -> None:
            started.set()
            release.wait(30)

        vendor.before_answer = pause
        running = command.start("fetch", str(data), "--model", "toy", "--budget", "1")
        assert started.wait(60)
        os.kill(running.pid, signal.SIGINT)
        while "Ctrl-C again" not in (running.folder / "stderr").read_text():
            assert os.waitpid(running.pid, os.WNOHANG) == (0, 0)
        os.kill(running.pid, signal.SIGINT)
        assert running.end().returncode == 130
        release.set()
        vendor.before_answer = lambda: None
        assert fetch(command, data, "--budget", "1").returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold)) == 14
