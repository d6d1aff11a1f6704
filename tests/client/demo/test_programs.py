"""Stories on one folder: the second waits for the first, and harms neither its vendor nor its books."""

import io
import os
import threading
from pathlib import Path

import pytest
from rich.console import Console

from client.demo.final import Final, run_final
from client.demo.folds import Folds, run_folds
from client.demo.programs import StepFailed, claim_folder
from client.demo.story import Story, tell
from client.demo.transcript import record
from client.demo.unseen import Halves, run_unseen

STORIES = {
    "demo": tell,
    "bench": lambda story, screen: run_folds(Folds(story), screen),
    "unseen": lambda story, screen: run_unseen(Halves(story), screen),
    "final": lambda story, screen: run_final(Final(story), screen),
    "transcript": record,
}


class Telling(threading.Thread):
    """A story told beside the test, on pictures that cannot be drawn; `said` is set at its first words."""

    def __init__(self, tell, out: Path) -> None:
        super().__init__()
        self.tell, self.out = tell, out
        self.said, self.shown = threading.Event(), io.StringIO()
        self.failure: BaseException | None = None

    def write(self, text: str) -> None:
        self.shown.write(text)
        if text.endswith("\n"):
            self.said.set()

    def flush(self) -> None:
        """Nothing is kept back."""

    def run(self) -> None:
        story = Story(out=self.out, packages=self.out / "no folder")
        try:
            self.tell(story, Console(file=self, width=200))  # type: ignore[arg-type]
        except StepFailed as failure:
            self.failure = failure


@pytest.mark.parametrize("name", STORIES)
def test_a_story_waits_for_the_one_that_is_at_work_in_its_folder(tmp_path, name):
    out = tmp_path / "out"
    (tmp_path / "out").mkdir()
    (out / "no folder").touch()
    with claim_folder(out, Console(file=io.StringIO())):
        running = out / "vendor.pid"
        running.write_text(str(os.getpid()))
        telling = Telling(STORIES[name], out)
        telling.start()
        assert telling.said.wait(60)
        assert telling.shown.getvalue().splitlines() == [
            f"another story is at work in {out}; waiting until its vendor stops"
        ]
        assert {path.name for path in out.iterdir()} <= {
            *("no folder", "story.lock", "vendor.pid", "final"),
        }
    telling.join(60)
    # It went on, as far as its pictures.
    assert "demo-data" in str(telling.failure)


def test_a_story_that_was_killed_keeps_nobody_waiting(tmp_path):
    shown = io.StringIO()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with claim_folder(tmp_path, Console(file=io.StringIO())):
            os.write(writer, b".")
            os._exit(1)
    os.waitpid(pid, 0)
    assert os.read(reader, 1) == b"."
    os.close(reader)
    os.close(writer)
    with claim_folder(tmp_path, Console(file=shown)):
        assert shown.getvalue() == ""
