"""A terminal as a person has it: commands are typed, Ctrl-C is pressed, what is seen is kept."""

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CTRL_C = b"\x03"
_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|.", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(\[[?\d;]*)?$")

__all__ = ["Screen", "Terminal", "Typed"]


@dataclass(slots=True)
class Screen:
    """The lines that a terminal would show: bars that redraw or erase themselves are followed."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        """Take what a program wrote; a sequence must not be cut in two."""
        for arguments, command, control, plain in _PIECE.findall(text):
            if plain:
                self._write(plain)
            elif control == "\n":
                self._move(1)
            elif control == "\r":
                self.column = 0
            elif command == "A":
                self._move(-int(arguments or 1))
            elif command == "K":
                self.lines[self.row] = ""

    def seen(self) -> list[str]:
        """The lines down to the last that is not empty."""
        shown = [line.rstrip() for line in self.lines]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _write(self, plain: str) -> None:
        line = self.lines[self.row].ljust(self.column)
        end = self.column + len(plain)
        self.lines[self.row] = line[: self.column] + plain + line[end:]
        self.column = end

    def _move(self, rows: int) -> None:
        self.row = max(0, self.row + rows)
        while self.row >= len(self.lines):
            self.lines.append("")


@dataclass(frozen=True, slots=True)
class Typed:
    """A command and what was seen of it."""

    words: tuple[str, ...]
    lines: tuple[str, ...]
    exit_code: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs commands of this environment with a terminal of their own."""

    environment: Mapping[str, str]
    folder: Path
    width: int = 128
    height: int = 50

    def type(self, *words: str, interrupt: Callable[[str], bool] = lambda line: False) -> Typed:
        """Type a command and wait for its end; Ctrl-C is pressed once, at a line that `interrupt` takes."""
        ours, theirs = pty.openpty()
        size = struct.pack("HHHH", self.height, self.width, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        process = self._start(words, theirs)
        os.close(theirs)
        screen, pressed = Screen(), False
        try:
            for text in _read(ours):
                screen.feed(text)
                if not pressed and interrupt(screen.lines[screen.row]):
                    os.write(ours, CTRL_C)
                    pressed = True
        finally:
            os.close(ours)
        return Typed(words, tuple(screen.seen()), process.wait(), pressed)

    def _start(self, words: Sequence[str], terminal: int) -> "subprocess.Popen[bytes]":
        program = Path(sys.executable).parent / words[0]
        return subprocess.Popen(  # noqa: S603  (our own programs and arguments)
            [str(program), *words[1:]],
            cwd=self.folder,
            env={**self.environment, "COLUMNS": str(self.width), "TERM": "xterm", "NO_COLOR": "1"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=_become_foreground,  # noqa: PLW1509
        )


def _become_foreground() -> None:
    """What a login shell does: without it Ctrl-C would be a character like any other, or ignored where
    this program itself was started in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read(terminal: int) -> Iterator[str]:
    """What is written to the terminal, whole characters and whole sequences, until all have closed it."""
    decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the other side is closed
            data = b""
        if not data:
            return
        text = rest + decoder.decode(data)
        cut = _UNFINISHED.search(text)
        rest = cut[0] if cut else ""
        yield text[: len(text) - len(rest)]
