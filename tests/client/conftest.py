"""Small folders of pictures, a vendor that meters honestly, and `vl2v` as a process of its own."""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

# The commands load these when they run; loaded here, every forked one has them already.
import shared.migrating  # noqa: F401
from client.cache import EmbeddingStore
from client.cli import app
from tests.client.pictures import write_folders
from tests.client.serving import serve
from tests.client.shop import Shop
from tests.client.standin import KEY, StandInVendor


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own and no settings from the developer's environment."""
    for name in list(os.environ):
        if name.startswith("VL2V_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("VL2V_HOME", str(folder))
    return folder


@pytest.fixture
def vendor() -> StandInVendor:
    return StandInVendor()


@pytest.fixture
def store(home: Path) -> Iterator[EmbeddingStore]:
    with EmbeddingStore.open(home / "client.db") as opened:
        yield opened


@pytest.fixture
def shop(vendor: StandInVendor, store: EmbeddingStore, tmp_path: Path) -> Shop:
    return Shop(vendor, store, tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two domains × two classes × five pictures."""
    return write_folders(
        tmp_path / "data", domains=("line", "solid"), classes=("cat", "dog"), each=5
    )


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Running:
    """A command under way in a process of its own."""

    pid: int
    folder: Path

    def end(self) -> Ended:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        out, err = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return Ended(os.waitstatus_to_exitcode(status), out, err)


@dataclass
class Command:
    """`vl2v` as a user runs it; forked, so that no test waits for imports again."""

    environment: dict[str, str]
    folder: Path

    def start(self, *arguments: str, **environment: str) -> Running:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        pid = os.fork()
        if pid == 0:
            self._be_child(folder, arguments, environment)
        return Running(pid, folder)

    def run(self, *arguments: str, **environment: str) -> Ended:
        return self.start(*arguments, **environment).end()

    def _be_child(
        self, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> NoReturn:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
                setattr(sys, name, os.fdopen(number, "w", closefd=False))
            os.environ.update(self.environment | environment)
            app(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


@pytest.fixture
def command(vendor: StandInVendor, home: Path, tmp_path: Path) -> Iterator[Command]:
    """The command, logged in to the stand-in over real HTTP."""
    with serve(vendor) as url:
        yield Command(
            {
                "VL2V_HOME": str(home),
                "VL2V_API_KEY": KEY,
                "VL2V_BASE_URL": url,
                "NO_COLOR": "1",
            },
            tmp_path,
        )
