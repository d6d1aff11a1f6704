"""The transcript: what a terminal shows is what is written down, and README holds no other."""

import os
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from client.demo.terminal import Screen, Terminal, Typed
from client.demo.transcript import BEGIN, END, put_between, write_block

README = Path(__file__).parents[3] / "README.md"


class TestScreen:
    def feed(self, *texts: str) -> list[str]:
        screen = Screen()
        for text in texts:
            screen.feed(text)
        return screen.seen()

    def test_a_line_is_redrawn_in_place(self) -> None:
        assert self.feed("10 %\r", "\x1b[2K20 %\r\x1b[2K30 %\r\n", "done\r\n") == ["30 %", "done"]

    def test_what_is_overwritten_without_erasing_keeps_its_end(self) -> None:
        assert self.feed("abcdef\rxy") == ["xycdef"]

    def test_colours_and_hidden_cursors_are_not_seen(self) -> None:
        assert self.feed("\x1b[?25l\x1b[1;31mred\x1b[0m\x1b[?25h") == ["red"]

    def test_a_bar_that_erases_itself_is_gone(self, tmp_path: Path) -> None:
        with (tmp_path / "out").open("w") as file:
            console = Console(file=file, force_terminal=True, width=60)
            console.print("before")
            with Progress(console=console, transient=True) as bar:
                task = bar.add_task("buying", total=2)
                bar.advance(task)
                bar.refresh()
            console.print("after")
        # A terminal turns a line's end into two characters.
        written = (tmp_path / "out").read_bytes().decode().replace("\n", "\r\n")
        assert self.feed(written) == ["before", "after"]


class TestTerminal:
    @pytest.fixture
    def terminal(self, tmp_path: Path) -> Terminal:
        return Terminal(dict(os.environ), tmp_path)

    def test_it_shows_what_a_command_says_and_how_it_ends(self, terminal: Terminal) -> None:
        typed = terminal.type("vl2v", "budget", "set", "--run", "a", "--usd", "much")
        assert typed.exit_code == 2
        assert any("much" in line for line in typed.lines)

    def test_it_is_a_terminal_of_its_size(self, terminal: Terminal) -> None:
        code = "import os; print(os.isatty(1), *os.get_terminal_size())"
        typed = terminal.type("python", "-c", code)
        assert typed.lines == ("True 128 50",)

    def test_ctrl_c_interrupts_as_the_key_does(self, terminal: Terminal) -> None:
        code = (
            "import time\n"
            "try: print('begun', end='', flush=True); time.sleep(60)\n"
            "except KeyboardInterrupt: raise SystemExit(130)"
        )
        # The line is still the last one: nothing has followed it.
        typed = terminal.type(
            "python",
            "-uc",
            code,
            interrupt=lambda line: "begun" in line,
        )
        assert (typed.exit_code, typed.interrupted, typed.lines) == (130, True, ("begun^C",))


def test_a_block_is_put_between_its_markers_again_and_again() -> None:
    document = f"before\n{BEGIN}\n{END}\nafter\n"
    first = write_block([Typed(("vl2v", "fetch", "my data"), ("bought",), 3, False)])
    once = put_between(document, first)
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "$ vl2v fetch 'my data'\nbought\n[exit code 3]\n" in once
    second = write_block([Typed(("vl2v", "reconcile"), (), 0, False)])
    assert put_between(once, second) == put_between(document, second)


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_document_without_its_markers_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="write the lines"):
        put_between(document, "block")


def test_the_readme_holds_a_transcript_of_the_commands_that_the_script_types() -> None:
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text:
        pytest.skip("README has no transcript yet")
    block = text.partition(BEGIN)[2].partition(END)[0]
    commands = re.findall(r"^\$ (vl2v \w+(?: \w+)?)", block, re.MULTILINE)
    assert commands == [
        "vl2v fetch data",
        "vl2v fetch data",
        "vl2v fetch data",
        "vl2v cache stats",
        "vl2v budget show",
        "vl2v reconcile",
    ]
    assert "[exit code 130]" in block
    assert "0 differences" in block
