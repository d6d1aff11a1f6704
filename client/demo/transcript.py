"""Three minutes at a terminal: a quote, a purchase that is interrupted and goes on, both books compared.

`python -m client.demo.transcript` starts a real vendor with the demo's teacher and types real commands
in a terminal; what was seen is written to OUT/transcript.md, and with `--into README.md` between that
file's two markers.
"""

import argparse
import io
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from client.demo.programs import (
    Programs,
    StepFailed,
    claim_folder,
    find_free_port,
    run_to_exit,
)
from client.demo.story import MODEL, Story, make_settings, open_account, render_pictures
from client.demo.terminal import Terminal, Typed

BEGIN, END = "<!-- transcript: python -m client.demo.transcript -->", "<!-- transcript ends -->"
SHARE = 0.6
"""Ctrl-C is pressed when so much has been bought."""
_COUNTED = re.compile(r"buying\D+(\d+)/(\d+)")

__all__ = ["BEGIN", "END", "put_between", "record", "write_block"]


def record(story: Story, screen: Console) -> str:
    """Type the commands; returns the block of Markdown, markers included.

    Raises StepFailed when a command does not end as it should, which a purchase that is too quick to
    be interrupted does not.
    """
    settings = make_settings(story)
    quiet = Console(file=io.StringIO())
    programs = Programs(settings, quiet)
    with claim_folder(story.out, screen):
        with screen.status("drawing the pictures, opening an account"):
            render_pictures(story, programs, quiet)
            open_account(story, programs, quiet)
        port = find_free_port()
        programs.set("VL2V_BASE_URL", f"http://127.0.0.1:{port}")
        with programs.serve(port, story.out / "vendor.log", story.out / "vendor.pid"):
            block = write_block(_type_all(story, Terminal(programs.environment, story.out), screen))
    (story.out / "transcript.md").write_text(block, encoding="utf-8")
    return block


def _type_all(story: Story, terminal: Terminal, screen: Console) -> list[Typed]:
    fetch = ("vl2v", "fetch", "data", "--model", MODEL, "--target", story.target)
    buy = (*fetch, "--budget", story.budget)
    typed = [_type(terminal, screen, *fetch, "--dry-run")]
    typed += [_type(terminal, screen, *buy, interrupted=True)]
    for words in (
        buy,
        ("vl2v", "cache", "stats"),
        ("vl2v", "budget", "show"),
        ("vl2v", "reconcile"),
    ):
        typed += [_type(terminal, screen, *words)]
    return typed


def _type(terminal: Terminal, screen: Console, *words: str, interrupted: bool = False) -> Typed:
    typed = terminal.type(*words, interrupt=_is_midway if interrupted else lambda line: False)
    screen.print("\n".join(_show(typed)), highlight=False, markup=False, soft_wrap=True)
    if interrupted and not typed.interrupted:
        raise StepFailed("everything was bought before Ctrl-C could be pressed: use more pictures")
    expected = 130 if interrupted else 0
    if typed.exit_code != expected:
        raise StepFailed(f"`{shlex.join(words)}` ended with exit code {typed.exit_code}")
    return typed


def _is_midway(line: str) -> bool:
    counted = _COUNTED.search(line)
    return counted is not None and int(counted[1]) >= SHARE * int(counted[2]) > 0


def write_block(typed: Sequence[Typed]) -> str:
    """The commands and what was seen, as a console block between the markers."""
    lines = [line for one in typed for line in (*_show(one), "")]
    return "\n".join([BEGIN, "```console", *lines[:-1], "```", END]) + "\n"


def _show(typed: Typed) -> list[str]:
    ended = [f"[exit code {typed.exit_code}]"] if typed.exit_code else []
    return [f"$ {shlex.join(typed.words)}", *typed.lines, *ended]


def put_between(document: str, block: str) -> str:
    """The document with the block in the place of what is between its markers, markers included.

    Raises ValueError when it has not exactly one of each, in order.
    """
    before, found, rest = document.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed or BEGIN in rest or END in after:
        raise ValueError(f"write the lines {BEGIN} and {END} where the transcript belongs")
    return before + block.rstrip("\n") + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the transcript; 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("transcript-out"), help="a new folder")
    parser.add_argument("--into", type=Path, help="a file with the two markers to write it into")
    parser.add_argument("--packages", type=Path, help="where npm packages are kept")
    chosen = parser.parse_args(arguments)
    if (chosen.out / "client").exists():
        parser.error(f"{chosen.out} has been used: name a new folder, or remove it")
    screen = Console(width=120)

    def work() -> None:
        block = record(Story(out=chosen.out, packages=chosen.packages), screen)
        if chosen.into is not None:
            text = chosen.into.read_text(encoding="utf-8")
            chosen.into.write_text(put_between(text, block), encoding="utf-8")

    return run_to_exit(work, screen)


if __name__ == "__main__":
    sys.exit(main())
