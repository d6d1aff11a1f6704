"""The fault proxy does each of its faults, and none unasked."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.proxy import FaultProxy, Rules, run_proxy


class Echo:
    """A server that sends back what it gets and remembers it."""

    def __init__(self, listening: socket.socket) -> None:
        self.got = b""
        self.ended = threading.Event()
        self.listening = listening
        listening.listen()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.got += data
                    connection.sendall(data)
                connection.sendall(b"bye")
            except OSError:
                pass
            self.ended.set()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Echo(listening)
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with run_proxy(echo.listening.getsockname()[:2]) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        yield connection


def read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_without_rules_everything_passes(client: socket.socket) -> None:
    client.sendall(b"x" * 200_000)
    assert read(client, 200_000) == b"x" * 200_000


def test_a_unix_socket_may_be_behind_it(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        Echo(listening)
        with (
            run_proxy(path) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client,
        ):
            client.sendall(b"hello")
            assert read(client, 5) == b"hello"
        listening.shutdown(socket.SHUT_RDWR)


def test_a_delay_holds_data_up(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.rules.delay_s = 0.1
    began = time.monotonic()
    client.sendall(b"a")
    assert read(client, 1) == b"a"
    assert time.monotonic() - began >= 0.2


def test_what_is_frozen_moves_when_thawed(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.rules.frozen = True
    client.sendall(b"a")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(5)
    proxy.rules.frozen = False
    assert client.recv(1) == b"a"


def test_what_is_dropped_never_arrives(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.rules.drop = "down"
    client.sendall(b"lost")
    wait_until(lambda: echo.got == b"lost")
    time.sleep(0.05)
    proxy.rules.drop = None
    client.sendall(b"a")
    assert client.recv(10) == b"a"


def test_a_reset_is_a_reset(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_half_closed_connection_still_answers(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    proxy.half_close()
    assert read(client, 3) == b"bye"


def test_an_answer_is_cut_after_so_many_bytes(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.rules.truncate_after = 7
    client.sendall(b"0123456789")
    assert read(client, 10) == b"0123456"


def test_data_drips(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.rules.drip_bytes, proxy.rules.drip_s = 1, 0.02
    began = time.monotonic()
    client.sendall(b"12345")
    assert read(client, 5) == b"12345"
    assert time.monotonic() - began >= 0.08


def test_a_pattern_reaches_the_server_and_its_answer_does_not_come_back(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.rules.cut_on = b"COMMIT"
    client.sendall(b"please COM")
    assert read(client, 10) == b"please COM"
    client.sendall(b"MIT now")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    wait_until(lambda: echo.got == b"please COMMIT now")
    assert (proxy.cuts, proxy.rules.cut_on) == (1, b"")


def test_a_refused_connection_is_reset(echo: Echo) -> None:
    with (
        run_proxy(echo.listening.getsockname()[:2], Rules(refuse=True)) as proxy,
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client,
    ):
        client.recv(1)


def test_nobody_upstream_is_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()[:2]
    with (
        run_proxy(address) as proxy,
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client,
    ):
        client.recv(1)


def test_clients_can_be_closed_in_order(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    proxy.close_clients()
    assert client.recv(1) == b""


def test_a_pattern_may_count_only_after_another(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.rules.cut_after, proxy.rules.cut_on = b"INSERT", b"COMMIT"
    client.sendall(b"SELECT COMMIT")
    assert read(client, 13) == b"SELECT COMMIT"
    client.sendall(b"INSERT")
    assert read(client, 6) == b"INSERT"
    client.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
