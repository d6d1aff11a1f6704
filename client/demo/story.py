"""`make demo`: the whole product on real pictures, from an empty folder to a report.

A vendor serves a real CLIP as its own process; a client quotes, buys and caches embeddings within a
budget; trains on three drawing styles; is tested on a fourth; and both sides' books are compared.
Every step is a command that the README names, shown with what it answers and how long it took.
Run again after any interruption, it goes on where it was.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from client.demo.books import Books, compare_books
from client.demo.programs import (
    Programs,
    StepFailed,
    claim_folder,
    find_free_port,
    run_to_exit,
)
from client.train.runs import RunFolder
from client.train.spending import Spending
from client.train.summary import Summary, summarise, table_cells
from shared.money import show_usd

ROOT = Path(__file__).parents[2]
MODEL = "icon-clip"
ACCOUNT = "demo"
METHODS = ("zero-shot", "text-only", "lp-ft", "kd", "adip", "adip+")
CHOICES = Path(__file__).parent / "choices"
"""Learning rate and λ of each method, as `vl2v tune` picked them on the source styles' validation."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the demo is made of; the defaults are `make demo`."""

    out: Path
    teacher: Path = ROOT / "vendor_api" / "demo" / "teacher"
    target: str = "solid"
    methods: tuple[str, ...] = METHODS
    credit: str = "5.00"
    budget: str = "2.50"
    image_price: str = "0.000100"
    text_price: str = "0.000010"
    image_size: int = 64
    steps: int = 400
    batch: int = 64
    fixed: tuple[str, ...] = ("--lr", "0.001", "--lambda", "0.1")
    """Settings of every method where a comparison makes no trials: what source validation picked for
    adip in the demo, τ being the default."""
    student: str = "tf_efficientnet_lite0"
    classes: int | None = None
    per_class: int | None = None
    packages: Path | None = None


def tell(story: Story, screen: Console) -> list[Summary]:
    """Run the story; returns each method's row of the closing table. Raises StepFailed."""
    programs = Programs(make_settings(story), screen)
    began = time.monotonic()
    with claim_folder(story.out, screen):
        books = _trade(story, programs, screen)
    _print_times(programs, screen, time.monotonic() - began)
    rows = summarise_runs(story)
    screen.print(_make_table(rows))
    screen.print(f"report: {story.out / 'report.html'}   student: {story.out / 'student'}")
    if not books.agree:
        raise StepFailed("the two sides' books differ: that is a bug")
    return rows


def _trade(story: Story, programs: Programs, screen: Console) -> Books:
    """From the pictures to both sides' books."""
    render_pictures(story, programs, screen)
    open_account(story, programs, screen)
    port = find_free_port()
    programs.set("VL2V_BASE_URL", f"http://127.0.0.1:{port}")
    _title(screen, "3. The vendor serves its CLIP, as a process of its own")
    log, pid_file = story.out / "vendor.log", story.out / "vendor.pid"
    with programs.serve(port, log, pid_file) as vendor_pid:
        screen.print(f"vendor process {vendor_pid}, client process {os.getpid()}")
        _buy(story, programs, screen)
        _train(story, programs, screen)
        _use(story, programs, screen)
    return _compare(story, programs, screen)


def summarise_runs(story: Story) -> list[Summary]:
    """One row a method: accuracy on seen and unseen styles, paid queries, cost."""
    lines = [RunFolder(story.out / "runs" / method).result() for method in story.methods]
    paid = {line["method"]: Spending.from_document(line["spending"]) for line in lines}
    return summarise(lines, paid)


def render_pictures(story: Story, programs: Programs, screen: Console) -> None:
    """The labelled pictures, rendered once."""
    _title(screen, "1. Pictures: forty things in four drawing styles, rendered from open icon sets")
    words = ["vl2v", "demo-data", "icons", "--out", str(story.out / "data")]
    words += ["--packages", str(story.packages or story.out / "npm")]
    words += [] if story.classes is None else ["--classes", str(story.classes)]
    words += [] if story.per_class is None else ["--per-class", str(story.per_class)]
    programs.run(*words)


def open_account(story: Story, programs: Programs, screen: Console) -> None:
    """A price, a customer with credit and a key; made once, found again later."""
    _title(screen, "2. The vendor's books: a price, an account, credit, a key")
    programs.run("vl2v-vendor", "migrate")
    prices = ("--image", story.image_price, "--text", story.text_price)
    programs.run("vl2v-vendor", "prices", "set", MODEL, *prices)
    listed = json.loads(programs.run("vl2v-vendor", "accounts", "list", "--json", show=False))
    if ACCOUNT not in {row["name"] for row in listed}:
        programs.run("vl2v-vendor", "accounts", "create", ACCOUNT)
    # The reference makes it one credit however often the demo is run.
    programs.run("vl2v-vendor", "credit", ACCOUNT, story.credit, "--ref", "demo-credit")
    key_file = story.out / "key"
    if not key_file.is_file():
        made = programs.ask("vl2v-vendor", "keys", "create", "--account", ACCOUNT, "--name", "demo")
        # Renamed when whole: a story killed here makes another key, it never finds half of one.
        partial = key_file.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(str(made["api_key"]), encoding="utf-8")
        partial.replace(key_file)
    programs.set("VL2V_API_KEY", key_file.read_text(encoding="utf-8"))


def _buy(story: Story, programs: Programs, screen: Console) -> None:
    data = str(story.out / "data")
    fetch = ("vl2v", "fetch", data, "--model", MODEL, "--target", story.target)
    _title(screen, "4. The client asks what the three source styles would cost, and buys them")
    programs.run(*fetch, "--budget", story.budget, "--dry-run")
    programs.run(*fetch, "--budget", story.budget)
    _title(screen, "5. The same again costs nothing")
    again = programs.run(*fetch, "--budget", story.budget)
    if "0 to buy" not in again:
        raise StepFailed("the second fetch found something to buy")
    _title(screen, "6. Vectors to judge the teacher itself by; no student ever reads them")
    programs.run(*fetch, "--budget", story.budget, "--purpose", "evaluation")
    programs.run("vl2v", "balance")


def _train(story: Story, programs: Programs, screen: Console) -> None:
    _title(screen, f"7. Train on three styles, test on the one never seen: {story.target}")
    words = ["vl2v", "train", str(story.out / "data"), "--model", MODEL, "--target", story.target]
    for method in story.methods:
        words += ["--method", method]
    words += ["--student", story.student, "--image-size", str(story.image_size)]
    words += ["--steps", str(story.steps), "--batch", str(story.batch), "--choice", str(CHOICES)]
    programs.run(*words, "--out", str(story.out / "runs"))


def _use(story: Story, programs: Programs, screen: Console) -> None:
    _title(screen, "8. Five predictions on the unseen style, without asking the teacher")
    run = str(story.out / "runs" / "adip")
    pictures = sorted((story.out / "data" / story.target).glob("*/*.png"))
    step = max(1, len(pictures) // 5)
    programs.run("vl2v", "predict", run, *map(str, pictures[step // 2 :: step][:5]))
    _title(screen, "9. The student, for anyone with timm; the report, for anyone with a browser")
    programs.run("vl2v", "export", run, "--to", "timm", "--out", str(story.out / "student"))
    report = str(story.out / "report.html")
    # The demo owns both sides, so its page can measure the teacher beside the student.
    beside = ("--teacher", f"local-dir:{story.teacher}")
    programs.run("vl2v", "report", str(story.out / "runs"), "--out", report, *beside)


def _compare(story: Story, programs: Programs, screen: Console) -> Books:
    _title(screen, "10. Both sides' books")
    programs.run("vl2v-vendor", "ledger", "verify")
    books = compare_books(story.out / "vendor.db", story.out / "client" / "client.db")
    for side, totals in (("vendor", books.vendor), ("client", books.client)):
        screen.print(
            f"{side}, by plain SQL: {totals.images} images and {totals.texts} texts in "
            f"{totals.requests} requests, {totals.cost_nanousd} nano-dollars "
            f"({show_usd(totals.cost_nanousd)})",
            highlight=False,
        )
    screen.print("the books agree" if books.agree else "[red]the books differ[/]")
    return books


def _print_times(programs: Programs, screen: Console, seconds: float) -> None:
    times = Table("step", "seconds", title="time")
    for name, spent in programs.seconds:
        times.add_row(name, f"{spent:.1f}")
    times.add_row("all", f"{seconds:.1f}")
    screen.print(times)


def _make_table(rows: Sequence[Summary]) -> Table:
    header, cells = table_cells(rows)
    table = Table(*header, title="mean per-class accuracy in per cent, paid queries, cost")
    for row in cells:
        table.add_row(*row)
    return table


def make_settings(story: Story) -> dict[str, str]:
    """Environment of both programs: everything they keep lies under `story.out`."""
    here = story.out.absolute()
    return {
        "VENDOR_DATABASE_URL": f"sqlite:///{here / 'vendor.db'}",
        "VENDOR_MODELS": f"{MODEL}=local-dir:{story.teacher}",
        "VL2V_HOME": str(here / "client"),
        "COLUMNS": "120",
    }


def _title(screen: Console, text: str) -> None:
    screen.print()
    screen.rule(text, align="left")


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for everything")
    chosen = parser.parse_args(arguments)
    screen = Console(width=120)
    return run_to_exit(lambda: tell(Story(out=chosen.out), screen), screen)


if __name__ == "__main__":
    sys.exit(main())
