"""`vl2v-vendor serve`, `models` and `doctor`: refusals in one sentence, a real process that drains."""

import base64
import gc
import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import torch
from PIL import Image
from typer.testing import CliRunner

from vendor_api.cli import app
from vendor_api.db.lock import ServerLock

MODEL = "icon-clip"


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture(autouse=True)
def _default_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(empty_sqlite_url: str, pepper_file: Path) -> Any:
    """Run a command on the test's SQLite file."""

    def invoke(*arguments: str) -> Any:
        env = {"VENDOR_DATABASE_URL": empty_sqlite_url, "VENDOR_KEY_PEPPER_FILE": str(pepper_file)}
        return CliRunner().invoke(app, list(arguments), env=env)

    return invoke


def assert_refused(result: Any, *says: str) -> None:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("vl2v-vendor: ")
    assert len(result.stderr.strip().splitlines()) == 1
    for words in says:
        assert words in result.stderr


def test_no_model(run: Any, sqlite_url: str) -> None:
    assert_refused(run("serve"), "--model ID=local-dir:PATH")


def test_pending_migration(run: Any) -> None:
    assert_refused(run("serve", "--model", "m=local-dir:x"), "vl2v-vendor migrate")


def test_missing_price(run: Any, sqlite_url: str) -> None:
    refused = run("serve", "--model", "m=local-dir:x")
    assert_refused(refused, "vl2v-vendor prices set m --image 0.0001 --text 0.00001")


def test_two_models_of_one_name(run: Any, sqlite_url: str) -> None:
    assert_refused(run("serve", "--model", "m=a", "--model", "m=b"), "same id")


def test_a_model_without_a_place(run: Any, sqlite_url: str) -> None:
    assert_refused(run("serve", "--model", "m="), "--model ID=SPEC")


def test_port_taken(run: Any, shop: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("serve", "--model", f"{MODEL}=local-dir:x", "--port", port)
    assert_refused(refused, f"port {port} on 127.0.0.1 is taken", "--port")


def test_unknown_model(run: Any, shop: Any, clip_folder: Path, tmp_path: Path) -> None:
    refused = run("serve", "--model", f"{MODEL}=local-dir:{tmp_path}", "--port", "0")
    assert_refused(refused, "open_clip_config.json")
    # The first engine runs by then: it must be closed again, and every file that led to it.
    both = ("--model", f"{MODEL}=local-dir:{clip_folder}", "--model", f"other=local-dir:{tmp_path}")
    run("prices", "set", "other", "--image", "0.0001", "--text", "0.00001")
    refused = run("serve", *both, "--port", "0")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "open_clip_config.json" in refused.stderr.splitlines()[-1]
    del refused  # its traceback would keep alive what should have been closed
    gc.collect()
    refused = run("serve", "--model", f"{MODEL}=ViT-B-32/laion2b_s34b", "--port", "0")
    assert_refused(refused, "did you mean ViT-B-32/laion2b_s34b_b79k")


def test_a_second_server_on_one_sqlite_file(run: Any, shop: Any, sqlite_url: str) -> None:
    with ServerLock(sqlite_url):
        refused = run("serve", "--model", f"{MODEL}=local-dir:x", "--port", "0")
    assert_refused(refused, "already serves")


def test_a_pepper_of_another_database(run: Any, shop: Any, pepper_file: Path) -> None:
    assert run("keys", "create", "--account", "ada").exit_code == 0
    pepper_file.write_bytes(b"another pepper that is 32 bytes long")
    refused = run("serve", "--model", f"{MODEL}=local-dir:x", "--port", "0")
    assert_refused(refused, "VENDOR_KEY_PEPPER_FILE")


def test_models_lists_what_would_be_served(run: Any, shop: Any, clip_folder: Path) -> None:
    listed = run("models", "--model", f"{MODEL}=local-dir:{clip_folder}")
    assert listed.exit_code == 0, listed.output
    assert "revision" in listed.stdout
    assert "0.000100000" in listed.stdout
    assert_refused(run("models"), "--model")


def test_doctor_says_what_to_type(
    run: Any, sqlite_url: str, clip_folder: Path, tmp_path: Path
) -> None:
    sick = run("doctor", "--model", f"{MODEL}=local-dir:{tmp_path}")
    assert sick.exit_code == 1
    assert "prices set icon-clip" in sick.stdout
    assert "open_clip_config.json" in sick.stdout
    run("prices", "set", MODEL, "--image", "0.0001", "--text", "0.00001")
    well = run("doctor", "--model", f"{MODEL}=local-dir:{clip_folder}")
    assert well.exit_code == 0, well.output
    assert "FAIL" not in well.stdout


def test_doctor_without_a_database(run: Any) -> None:
    sick = run("doctor")
    assert sick.exit_code == 1
    assert "vl2v-vendor migrate" in sick.stdout
    assert "VENDOR_MODELS" in sick.stdout


def make_images(count: int) -> list[dict[str, str]]:
    """Pictures that take a while to decode and are small to send."""
    items = []
    for level in range(count):
        buffer = BytesIO()
        Image.new("RGB", (2500, 2400 + level)).save(buffer, "JPEG")
        items.append({"image": base64.b64encode(buffer.getvalue()).decode()})
    return items


def test_sigterm_drains_without_losing_a_request(
    serve_vendor: Any, shop: Any, sqlite_url: str, pepper_file: Path, api_key: Any
) -> None:
    headers = {"authorization": f"Bearer {api_key.text}"}
    answers: list[httpx.Response] = []
    with serve_vendor(sqlite_url, pepper_file) as serving:
        body = {"model": MODEL, "input": make_images(40)}

        def ask() -> None:
            answers.append(
                httpx.post(f"{serving.url}/v1/embeddings", json=body, headers=headers, timeout=120)
            )

        asking = threading.Thread(target=ask)
        asking.start()
        with httpx.Client(base_url=serving.url, headers=headers, timeout=60) as watcher:
            give_up = time.monotonic() + 60
            while watcher.get("/v1/balance").json()["held_usd"] == "0.000000000":
                assert time.monotonic() < give_up
        assert serving.stop() == 0
        asking.join(60)
    (answer,) = answers
    assert answer.status_code == 200
    assert answer.json()["cost_usd"] == "0.004000000"
    with shop.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT state, cost_nanousd FROM charge").all()
    assert [tuple(row) for row in rows] == [("captured", 4_000_000)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there(
    run: Any, shop: Any, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("serve", "--model", f"{MODEL}=local-dir:{clip_folder}", "--port", "0")
    monkeypatch.setenv("VENDOR_DEVICE", "cuda")
    assert_refused(run(*arguments), "no CUDA device", "VENDOR_DEVICE=cpu")
    monkeypatch.setenv("VENDOR_DEVICE", "abacus")
    assert_refused(run(*arguments), "VENDOR_DEVICE")
