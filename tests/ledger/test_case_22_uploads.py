"""Case 22: abusive uploads get a documented 4xx, memory and disk stay bounded, others are served."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import headers
from tests.ledger import uploads
from tests.ledger.conftest import House, Running, image_item, picture
from tests.ledger.tiny import MODEL

MAX_BODY = 2 * 1024 * 1024
MAX_GROWTH = 120 * 1024 * 1024
"""Bytes; a picture that is decoded against the rules takes gigabytes."""

pytestmark = pytest.mark.parametrize("vendor_database_url", ["sqlite"], indirect=True)


def peak_memory(server: Running) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.fixture
def server(house: House) -> Iterator[Running]:
    """A server that takes 2 MiB; while it is abused, somebody else is served all the time."""
    running = house.start(settings={"max_body_bytes": MAX_BODY, "body_timeout_s": 1.0})
    assert running.ask(image_item(picture(1))).status_code == 200
    memory, stop = peak_memory(running), threading.Event()
    files = {entry.name for entry in os.scandir(house.home)}

    def be_served() -> list[float]:
        seconds = []
        while not stop.is_set():
            began = time.monotonic()
            assert running.ask("a dog").status_code == 200
            seconds.append(time.monotonic() - began)
            time.sleep(0.02)
        return seconds

    with ThreadPoolExecutor(1) as others:
        serving = others.submit(be_served)
        yield running
        stop.set()
        assert max(serving.result(20)) < 3
    assert peak_memory(running) - memory < MAX_GROWTH
    assert {entry.name for entry in os.scandir(house.home)} == files
    assert house.balance()[1] == 0


def refuse(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "data",
    [
        uploads.bomb(),
        uploads.animation(),
        uploads.animation(200, "WEBP"),
        uploads.animation(200, "PNG"),
        uploads.EPS,
        uploads.nested_tiff(),
        uploads.too_long(),
        b"",
    ],
    ids=["bomb", "gif", "webp", "apng", "eps", "tiff", "long", "empty"],
)
def test_case_22_a_picture_that_is_none_is_422(house: House, server: Running, data: bytes) -> None:
    answer = server.ask(image_item(data), key="k1")
    refuse(answer, 422, "no_valid_item")
    assert answer.json()["errors"][0]["code"] == "invalid_image"
    assert house.charges()["k1"] == "released_final"


def stream(total: int) -> Iterator[bytes]:
    for _ in range(total // 65536):
        yield b" " * 65536


def test_case_22_a_body_without_length_is_cut_off_at_the_limit(server: Running) -> None:
    with server.client() as http:
        try:
            answer = http.post("/v1/embeddings", content=stream(200 * 1024 * 1024))
        except httpx.TransportError:
            return  # the connection was closed while the body was being sent
    refuse(answer, 413, "request_too_large")


def talk(server: Running, lines: list[str], body: bytes, *, pause_s: float = 0.0) -> bytes:
    """What the server says to a request that was written by hand, byte by byte if it must be."""
    host, port = server.url.removeprefix("http://").split(":")
    head = ["POST /v1/embeddings HTTP/1.1", "host: vendor", f"authorization: Bearer {server.key}"]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, *lines, "", ""]).encode())
        said = b""
        try:
            for start in range(0, len(body), 1 if pause_s else len(body)):
                connection.sendall(body[start : start + (1 if pause_s else len(body))])
                time.sleep(pause_s)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                said += more
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered, or closed, before it had everything
        return said


BODY = json.dumps({"model": MODEL, "input": ["a dog"]}).encode()


def test_case_22_a_length_beyond_the_limit_is_413_before_anything_is_read(server: Running) -> None:
    said = talk(server, ["content-length: 10000000000"], b"{")
    assert said.startswith(b"HTTP/1.1 413")


def test_case_22_a_length_that_is_too_long_is_nobodys_request(
    house: House, server: Running
) -> None:
    lines = [f"content-length: {len(BODY) + 100}", f"{headers.IDEMPOTENCY_KEY}: liar"]
    assert b" 200 " not in talk(server, lines, BODY).split(b"\r\n")[0]
    assert "liar" not in house.charges()


def test_case_22_a_length_that_is_too_short_is_400(house: House, server: Running) -> None:
    lines = [f"content-length: {len(BODY) - 10}", f"{headers.IDEMPOTENCY_KEY}: liar"]
    said = talk(server, lines, BODY)
    assert said.startswith(b"HTTP/1.1 400")
    assert "liar" not in house.charges()


def test_case_22_a_body_that_drips_is_408(server: Running) -> None:
    began = time.monotonic()
    said = talk(server, [f"content-length: {len(BODY)}"], BODY, pause_s=0.2)
    assert said.startswith(b"HTTP/1.1 408") or not said
    assert time.monotonic() - began < 8


def test_case_22_a_compressed_body_is_400(server: Running) -> None:
    with server.client() as http:
        answer = http.post(
            "/v1/embeddings", content=b"\x1f\x8b" * 100, headers={"content-encoding": "gzip"}
        )
    refuse(answer, 400, "invalid_request")


@pytest.mark.parametrize("parts", [10_000, 100_000])
def test_case_22_a_form_is_refused_whatever_its_parts(server: Running, parts: int) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    with server.client() as http:
        try:
            answer: Any = http.post(
                "/v1/embeddings", content=uploads.multipart(parts), headers=kind
            )
        except httpx.TransportError:
            return
    assert answer.status_code in (400, 413)
