"""The demo's own road on a few pictures: the same commands, real processes, real teacher."""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from client.data.folders import scan_folders
from client.data.splits import split_pictures
from client.demo.books import compare_books
from client.demo.programs import Programs, StepFailed, find_free_port, stop_leftover
from client.demo.story import Story, tell

CLASSES, PER_CLASS, STEPS = 4, 6, 20


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The story told once: (folder, its screen, the closing table's rows)."""
    out = tmp_path_factory.mktemp("demo")
    return out, *_tell(out)


def _tell(out):
    shown = io.StringIO()
    screen = Console(file=shown, width=200)
    story = Story(out=out, classes=CLASSES, per_class=PER_CLASS, steps=STEPS, batch=16)
    rows = tell(story, screen)
    return shown.getvalue(), rows


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestDemo:
    def test_vendor_and_client_are_two_processes(self, told):
        found = re.search(r"vendor process (\d+), client process (\d+)", told[1])
        assert found is not None
        assert found.group(1) != found.group(2)

    def test_each_distinct_training_picture_is_paid_for_once(self, told):
        out, _, rows = told
        manifest = scan_folders(out / "data")
        training = split_pictures(manifest).training
        wanted = {
            manifest.pictures[i].digest for i in training if manifest.pictures[i].domain != "solid"
        }
        paid = {row.method: row.spending.training for row in rows}
        assert paid["adip"].images == paid["kd"].images == len(wanted)
        assert paid["lp-ft"].images == paid["text-only"].images == 0
        assert paid["lp-ft"].cost_nanousd == 0
        texts = paid["text-only"].texts
        assert paid["adip"].cost_nanousd == len(wanted) * 100_000 + texts * 10_000

    def test_both_books_agree_to_the_nano_dollar(self, told):
        books = compare_books(told[0] / "vendor.db", told[0] / "client" / "client.db")
        assert books.agree
        assert books.vendor.cost_nanousd > 0
        assert (
            books.vendor.cost_nanousd == books.vendor.images * 100_000 + books.vendor.texts * 10_000
        )

    def test_every_method_is_reported_on_seen_and_unseen_styles(self, told):
        assert [row.method for row in told[2]] == [
            "zero-shot",
            "text-only",
            "lp-ft",
            "kd",
            "adip",
            "adip+",
        ]
        for row in told[2]:
            assert 0 <= row.in_domain <= 1
            assert 0 <= row.out_of_domain <= 1

    def test_the_report_shows_every_method(self, told):
        page = (told[0] / "report.html").read_text(encoding="utf-8")
        for row in told[2]:
            assert row.method in page
        assert "<script src" not in page

    def test_the_student_opens_in_timm_alone(self, told):
        import timm
        import torch

        model = timm.create_model(f"local-dir:{told[0] / 'student'}", pretrained=True).eval()
        with torch.inference_mode():
            assert model(torch.zeros(1, 3, 64, 64)).shape == (1, CLASSES)

    def test_told_again_it_buys_nothing_and_trains_nothing(self, told):
        out, _, rows = told
        before = compare_books(out / "vendor.db", out / "client" / "client.db")
        done = {
            path: path.stat().st_mtime_ns for path in (out / "runs").glob("*/student.safetensors")
        }
        screen, again = _tell(out)
        assert compare_books(out / "vendor.db", out / "client" / "client.db") == before
        assert [row.document() for row in again] == [row.document() for row in rows]
        assert {path: path.stat().st_mtime_ns for path in done} == done
        assert "the books agree" in screen


def test_a_command_that_fails_stops_the_story(tmp_path):
    programs = Programs({"VL2V_HOME": str(tmp_path)}, Console(file=io.StringIO()))
    with pytest.raises(StepFailed, match="exit code 2"):
        programs.run("vl2v", "fetch")


def test_a_vendor_that_cannot_start_says_why(tmp_path):
    settings = {
        "VENDOR_DATABASE_URL": f"sqlite:///{tmp_path / 'vendor.db'}",
        "VENDOR_MODELS": "a=local-dir:x",
    }
    programs = Programs(settings, Console(file=io.StringIO()))
    with (
        pytest.raises(StepFailed, match="vl2v-vendor migrate"),
        programs.serve(find_free_port(), tmp_path / "log", tmp_path / "pid"),
    ):
        pass


@pytest.mark.parametrize("written", ["", "1"])
def test_a_leftover_process_file_that_names_no_vendor_stops_nobody(tmp_path, written):
    pid_file = tmp_path / "vendor.pid"
    pid_file.write_text(written, encoding="utf-8")
    stop_leftover(pid_file)
    assert not pid_file.exists()


def test_npm_missing(tmp_path):
    # Everything but npm is there; the sentence says what to install and the exit code is not zero.
    bare = tmp_path / "bin"
    bare.mkdir()
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "vl2v"),
            "demo-data",
            "icons",
            "--out",
            str(tmp_path / "data"),
        ],
        env={"PATH": str(bare), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shutil.which("npm", path=str(bare)) is None
    assert done.returncode == 1
    assert "install Node.js" in done.stderr
    assert "Traceback" not in done.stderr
