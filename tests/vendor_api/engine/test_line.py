"""What is said at one end is heard at the other, whatever its size; an end that has gone is noticed."""

import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vendor_api.engine.line import Line


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    here, there = (Line(end) for end in socket.socketpair())
    yield here, there
    here.close()
    there.close()


@given(
    array=arrays.arrays(
        st.sampled_from([np.uint8, np.int32, np.float32]),
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
        elements=st.integers(0, 255),
    ),
    words=st.text(),
)
def test_what_is_said_is_heard(array: np.ndarray, words: str) -> None:
    here, there = (Line(end) for end in socket.socketpair())
    here.send({"words": words}, array)
    here.send({"more": 1})
    head, heard = there.receive()
    assert head == {"words": words}
    assert (heard.dtype, heard.shape) == (array.dtype, array.shape)
    assert heard.tobytes() == array.tobytes()
    head, nothing = there.receive()
    assert (head, nothing.size) == ({"more": 1}, 0)
    here.close()
    there.close()


def test_more_than_the_sockets_hold_arrives(ends: tuple[Line, Line]) -> None:
    here, there = ends
    pictures = np.random.default_rng(0).integers(0, 256, (40, 224, 224, 3), np.uint8)
    words = "w" * 2_000_000
    sending = threading.Thread(target=here.send, args=({"words": words}, pictures))
    sending.start()
    head, heard = there.receive()
    sending.join()
    assert head["words"] == words
    assert np.array_equal(heard, pictures)
    heard[0] = 0  # torch wants memory that it could write to


def test_pieces_of_an_array_may_lie_apart(ends: tuple[Line, Line]) -> None:
    here, there = ends
    square = np.arange(16, dtype=np.int32).reshape(4, 4)
    here.send({}, square.T[::2])
    assert np.array_equal(there.receive()[1], square.T[::2])


def test_an_end_that_has_gone_is_noticed(ends: tuple[Line, Line]) -> None:
    here, there = ends
    here.send({}, np.zeros(10, np.uint8))
    here.close()
    there.receive()
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(BrokenPipeError):
        there.send({}, np.zeros(10, np.uint8))


def test_a_message_that_breaks_off_is_the_end() -> None:
    raw, end = socket.socketpair()
    line = Line(end)
    raw.sendall(b"\0\0\0\x02\0\0\0\x08{}1234")
    raw.close()
    with pytest.raises(EOFError):
        line.receive()
    line.close()
