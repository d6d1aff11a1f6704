"""Lines to an engine's process: batches in, vectors out, pixels on the desk, one batch a line."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from vendor_api.engine.lines import TWO_LINES, LineEnd, Lines, WorkerLine

SIDE = 4
ROOM = 1500
"""Pictures that a desk holds: more than are laid out in one call of the system."""


def pictures(count: int) -> Any:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def mean(items: Any) -> Any:
    return items.reshape(len(items), -1).mean(axis=1, dtype=np.float32)[:, None]


@contextmanager
def at_work(lines: Lines, encode: Callable[[Any], Any]) -> Iterator[list[WorkerLine]]:
    """The other ends, each served by a thread; what the worker gets is a copy of the files' numbers."""
    ends = [
        LineEnd(os.dup(end.line), None if end.desk is None else os.dup(end.desk))
        for end in lines.ends
    ]
    lines.hand_over()
    theirs = [WorkerLine(end) for end in ends]

    def serve(line: WorkerLine) -> None:
        line.make_desk(ROOM * SIDE * SIDE * 3)
        for _, items in line.receive():
            try:
                line.answer(encode(items))
            except Exception as error:
                line.report(error)
        line.line.close()

    threads = [threading.Thread(target=serve, args=(line,)) for line in theirs]
    for thread in threads:
        thread.start()
    try:
        yield theirs
    finally:
        lines.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("desks", [False, True])
@pytest.mark.parametrize("count", [1, 3, ROOM])
def test_vectors_are_those_of_the_items(count: int, desks: bool) -> None:
    lines = Lines(TWO_LINES, desks=desks)
    given = pictures(count)
    with at_work(lines, mean):
        assert np.array_equal(lines.ask("images", given), mean(given))
        # Pictures that lie apart, some of them not in one piece.
        apart = [given[row][:, ::-1].copy()[:, ::-1] for row in range(count)]
        assert np.array_equal(lines.ask("images", apart), mean(given))
        words = np.arange(6, dtype=np.int32).reshape(2, 3)
        assert np.array_equal(lines.ask("texts", words), mean(words))


def test_pixels_go_by_the_desk_and_leave_the_socket_alone() -> None:
    lines = Lines(TWO_LINES, desks=True)
    seen: list[int] = []

    def note(items: Any) -> Any:
        seen.append(items.ctypes.data)
        return mean(items)

    with at_work(lines, note) as theirs:
        lines.ask("images", pictures(3))
        assert theirs[0].memory is not None
        assert seen == [theirs[0].memory.ctypes.data]


def test_a_line_has_one_batch_and_the_next_takes_another_line() -> None:
    lines = Lines((((("images"),), 2), ((("texts"),), 1)), desks=True)
    both = threading.Barrier(2)

    def meet(items: Any) -> Any:
        if items.ndim == 4:
            both.wait(30)  # passes only when two are computed at the same time
        return mean(items)

    with at_work(lines, meet):
        found: dict[int, Any] = {}

        def ask(count: int) -> None:
            found[count] = lines.ask("images", pictures(count))

        threads = [threading.Thread(target=ask, args=(count,)) for count in (2, 3, 4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        for count in (2, 3, 4, 5):
            assert np.array_equal(found[count], mean(pictures(count)))


@pytest.mark.parametrize(("raised", "kind"), [(ValueError, ValueError), (KeyError, RuntimeError)])
def test_what_the_model_raises_comes_back(raised: type[Exception], kind: type[Exception]) -> None:
    lines = Lines(TWO_LINES)

    def fail(items: Any) -> Any:
        raise raised("no")

    with at_work(lines, fail), pytest.raises(kind, match="no"):
        lines.ask("images", pictures(1))


def test_a_worker_that_is_gone_ends_what_is_asked_and_the_line_is_free_again() -> None:
    lines = Lines(TWO_LINES, desks=True)
    lines.hand_over()  # to nobody
    for _ in range(2):
        with pytest.raises((EOFError, OSError)):
            lines.ask("images", pictures(1))
    lines.close()
    with pytest.raises(OSError, match="descriptor"):
        lines.ask("texts", np.zeros((1, 3), dtype=np.int32))
    with pytest.raises(OSError, match="descriptor"):
        lines.ask("images", pictures(1))
