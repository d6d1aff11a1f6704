"""Runs the two programs of the project as a person would, each as its own process."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from client.cache.locks import LockHeld, file_lock

START_SECONDS = 120
"""How long a vendor may take until it is ready."""
STOP_SECONDS = 90
"""How long a vendor may take to finish what is in flight: a request's deadline and some."""


class StepFailed(RuntimeError):
    """A command of the story failed; its own message is already on the screen."""


class Programs:
    """`vl2v` and `vl2v-vendor` of this environment, with the story's settings."""

    def __init__(self, settings: Mapping[str, str], screen: Console) -> None:
        self._environment = {**os.environ, **settings}
        self._screen = screen
        self.seconds: list[tuple[str, float]] = []
        """Every command run so far and how long it took."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the commands run with."""
        return self._environment

    def set(self, name: str, value: str) -> None:
        """Change one setting for the commands that follow."""
        self._environment[name] = value

    def run(self, *words: str, show: bool = True, accept: tuple[int, ...] = (0,)) -> str:
        """Type a command, show it and what it answers; returns its standard output.

        Raises StepFailed when its exit code is not accepted.
        """
        self._screen.print(f"[bold]$ {' '.join(map(shlex.quote, words))}[/]", highlight=False)
        began = time.monotonic()
        done = subprocess.run(  # noqa: S603  (our own programs and arguments)
            [self._find(words[0]), *words[1:]],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        self.seconds.append((" ".join(words[:2]), seconds))
        if show and done.stdout:
            self._screen.print(done.stdout.rstrip(), highlight=False, markup=False, soft_wrap=True)
        self._screen.print(f"[dim]{seconds:.1f} s[/]", highlight=False)
        if done.returncode not in accept:
            raise StepFailed(f"`{shlex.join(words)}` ended with exit code {done.returncode}")
        return done.stdout

    def ask(self, *words: str) -> dict[str, object]:
        """Run a command quietly with `--json` and return its answer."""
        document: dict[str, object] = json.loads(self.run(*words, "--json", show=False))
        return document

    @contextmanager
    def serve(self, port: int, log: Path, pid_file: Path) -> Iterator[int]:
        """A vendor as its own process for as long as the block runs; yields its process id.

        It is asked to stop with SIGTERM, which drains it. One left over from a story that was
        killed is stopped first; that of a story at work is safe while both claim the folder.
        """
        stop_leftover(pid_file)
        words = ("vl2v-vendor", "serve", "--port", str(port))
        self._screen.print(f"[bold]$ {shlex.join(words)} &[/]", highlight=False)
        with log.open("a", encoding="utf-8") as output:
            # Its own session: Ctrl-C is for the client, the vendor is stopped when the story ends.
            vendor = subprocess.Popen(  # noqa: S603
                [self._find(words[0]), *words[1:]],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        pid_file.write_text(str(vendor.pid), encoding="utf-8")
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", vendor, log)
            yield vendor.pid
        finally:
            vendor.terminate()
            vendor.wait(STOP_SECONDS)
            pid_file.unlink(missing_ok=True)

    @staticmethod
    def _find(program: str) -> str:
        return str(Path(sys.executable).parent / program)


@contextmanager
def claim_folder(folder: Path, screen: Console) -> Iterator[None]:
    """The folder to one story: its vendor, its books and its pictures are nobody else's meanwhile.

    Waits for a story that is at work there, and says so; one that was killed holds nothing.
    """
    lock = folder / "story.lock"
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(lock, wait=False))
        except LockHeld:
            screen.print(f"another story is at work in {folder}; waiting until its vendor stops")
            held.enter_context(file_lock(lock, wait=True))
        yield


def run_to_exit(work: Callable[[], object], screen: Console) -> int:
    """The exit code of a story: 0 told, 1 a step failed, 130 interrupted; says how to go on."""
    try:
        work()
    except StepFailed as error:
        screen.print(f"[red]{error}[/]\nrun the same command again: it goes on from here")
        return 1
    except KeyboardInterrupt:
        screen.print("\nstopped; run the same command again: it goes on from here")
        return 130
    return 0


def find_free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_ready(url: str, vendor: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when the vendor is ready. Raises StepFailed with its last words when it is not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and vendor.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310
            return
        time.sleep(0.2)
    words = log.read_text(encoding="utf-8")[-1500:]
    raise StepFailed(f"the vendor did not get ready; it said:\n{words}")


def stop_leftover(pid_file: Path) -> None:
    """Stop the vendor that an earlier story started and could not stop."""
    if not pid_file.is_file():
        return
    written = pid_file.read_text(encoding="utf-8")
    # A story killed while it wrote the file left it empty: process 0 is nobody's.
    pid = int(written) if written.isdigit() else 0
    command = Path(f"/proc/{pid}/cmdline")
    # Process ids are used again: only a vendor is stopped.
    if command.is_file() and b"vl2v-vendor" in command.read_bytes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while command.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    pid_file.unlink(missing_ok=True)
