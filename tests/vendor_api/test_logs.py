"""Each line of a request names it and its charge; no line of any kind holds a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from sqlalchemy import make_url

from vendor_api import notes
from vendor_api.auth.keys import make_key
from vendor_api.logs import configure_logs
from vendor_api.redaction import redact, redact_value

PASSWORD = "dont-show-me-either"
TOKEN = "the-token-of-the-metrics"


@pytest.fixture
def vendor_database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged in this process."""
    before = list(logging.getLogger().handlers)
    yield io.StringIO()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestLines:
    async def test_an_answer_leaves_one_line_that_says_who_what_and_for_how_much(
        self, stream: io.StringIO, vendor: Any, shop: Any
    ) -> None:
        configure_logs(json=True, stream=stream)
        answer = await vendor.embed("a dog", "a cat", headers={"idempotency-key": "k"})
        await vendor.embed("a dog", "a cat", headers={"idempotency-key": "k"})
        bought, replayed = [line for line in read_lines(stream.getvalue()) if "route" in line]
        assert bought.pop("duration_ms") >= 0
        assert bought.pop("timestamp").endswith("Z")
        assert bought == {
            "event": "request",
            "level": "info",
            "request_id": answer.headers["x-request-id"],
            "account_id": shop.account.id,
            "key_id": bought["key_id"],
            "model": "icon-clip",
            "items": 2,
            "charge_id": answer.json()["charge_id"],
            "cost_usd": "0.000020000",
            "method": "POST",
            "route": "/v1/embeddings",
            "path": "/v1/embeddings",
            "status": 200,
        }
        assert replayed["charge_id"] == bought["charge_id"]
        assert replayed["cost_usd"] == "0.000000000"
        assert replayed["replayed"] is True

    async def test_a_refusal_says_its_code(self, stream: io.StringIO, vendor: Any) -> None:
        configure_logs(json=True, stream=stream)
        await vendor.http.get("/v1/models/none")
        (line,) = read_lines(stream.getvalue())
        assert (line["status"], line["code"]) == (404, "model_not_found")
        assert line["route"] == "/v1/models/{name:path}"

    async def test_requests_at_the_same_time_do_not_share_notes(self) -> None:
        async def ask(name: str) -> Any:
            notes.begin(name)
            await asyncio.sleep(0)
            await asyncio.create_task(self.pay(name))
            return notes.add_notes(None, "info", {})

        first, second = await asyncio.gather(ask("a"), ask("b"))
        assert first == {"request_id": "a", "charge_id": "charge of a"}
        assert second == {"request_id": "b", "charge_id": "charge of b"}

    async def test_the_next_request_of_a_connection_begins_with_empty_notes(self) -> None:
        notes.begin("a")
        await self.pay("a")
        notes.begin("b")
        assert notes.add_notes(None, "info", {}) == {"request_id": "b"}

    async def pay(self, name: str) -> None:
        notes.note(charge_id=f"charge of {name}")

    def test_a_librarys_line_is_json_too(self, stream: io.StringIO) -> None:
        configure_logs(json=True, stream=stream)
        configure_logs(json=True, stream=stream)
        try:
            raise ValueError("with Authorization: Bearer abcdefgh")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("it failed: %s", "why")
        (line,) = read_lines(stream.getvalue())
        assert line["event"] == "it failed: why"
        assert line["logger"] == "uvicorn.error"
        assert "ValueError: with Authorization: Bearer …" in line["exception"]

    def test_a_line_for_a_person_has_no_values_of_variables(self, stream: io.StringIO) -> None:
        configure_logs(json=False, stream=stream)
        local = "a value " + "of a variable"
        try:
            raise ValueError("why")
        except ValueError:
            structlog.get_logger("vendor").exception("failed", what=len(local))
        assert "ValueError: why" in stream.getvalue()
        assert local not in stream.getvalue()


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "becomes"),
        [
            ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
            ("basic dXNlcjpw for me", "basic … for me"),
            ("postgresql+psycopg://me:p4ss@host/db", "postgresql+psycopg://me:…@host/db"),
            ("redis://:p4ss@host", "redis://:…@host"),
            ("http://host/path", "http://host/path"),
        ],
    )
    def test_credentials_in_a_text(self, text: str, becomes: str) -> None:
        assert redact(text) == becomes

    def test_of_a_key_the_public_part_stays(self) -> None:
        for kind in ("live", "admin"):
            key = make_key(kind)
            shown = redact(f"({key.text})")
            assert key.text not in shown
            assert key.key_id.split("_")[1] in shown

    def test_values_deep_inside_and_by_name(self) -> None:
        value = {"headers": [{"Authorization": "x"}, "Bearer abc"], "csrf": "c", "items": 3}
        assert redact_value("", value) == {
            "headers": [{"Authorization": "…"}, "Bearer …"],
            "csrf": "…",
            "items": 3,
        }
        assert redact_value("db_password", "p") == "…"
        assert redact_value("prompt_tokens", 4) == 4


@pytest.mark.slow
def test_a_server_with_every_kind_of_trouble_writes_no_secret(
    serve_vendor: Any, shop: Any, postgres_url: str, api_key: Any, pepper: bytes, tmp_path: Path
) -> None:
    pepper_file, log = tmp_path / "pepper", tmp_path / "log"
    pepper_file.write_bytes(pepper)
    pepper_file.chmod(0o600)
    stranger, operator = make_key("live").text, make_key("admin").text
    url = make_url(postgres_url).set(password=PASSWORD)
    settings = {
        "VENDOR_LOG_JSON": "1",
        "VENDOR_METRICS_TOKEN": TOKEN,
        "VENDOR_FAILPOINTS": "before_capture_commit=error@1,mid_forward=error@3+",
        "VENDOR_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    }
    secrets = {
        "key": api_key.text.rsplit("_", 1)[1],
        "stranger's key": stranger.rsplit("_", 1)[1],
        "operator's key": operator.rsplit("_", 1)[1],
        "pepper": pepper.decode(),
        "password": PASSWORD,
        "token": TOKEN,
    }
    with serve_vendor(
        url.render_as_string(hide_password=False), pepper_file, log=log, **settings
    ) as serving:
        seen = make_trouble(serving.url, api_key.text, stranger, operator)
        close_database(postgres_url)
        seen += make_trouble(serving.url, api_key.text, stranger, operator)
        open_database(postgres_url)
        serving.stop()
    assert {400, 401, 403, 404, 405, 413, 503} <= set(seen)
    text = log.read_text(encoding="utf-8")
    assert "request" in text
    for name, secret in secrets.items():
        assert secret not in text, name
    lines = read_lines(text)
    assert any("Traceback" in line.get("exception", "") for line in lines)
    assert all("request_id" in line for line in lines if line["event"].startswith("request"))


def make_trouble(url: str, key: str, stranger: str, operator: str) -> list[int]:
    """Whatever a client can get wrong, and what fails without its fault: the statuses."""
    good = {"authorization": f"Bearer {key}"}
    body = {"model": "icon-clip", "input": ["a dog", key]}
    with httpx.Client(base_url=url, headers=good, timeout=90) as http:
        answers = [
            http.post("/v1/embeddings", json=body),
            http.post("/v1/embeddings", json=body, headers={"idempotency-key": key[:60]}),
            http.post("/v1/embeddings", json={**body, "model": key}),
            http.post("/v1/embeddings", json={**body, key: 1}),
            http.post("/v1/embeddings", content=b"{" + key.encode()),
            http.post("/v1/embeddings", content=b" " * 70_000_000),
            http.post(f"/v1/{key}", params={"key": key}),
            http.get("/v1/embeddings", params={"token": TOKEN}),
            http.get(f"/v1/models/{key}"),
            http.get("/metrics"),
            http.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}),
            http.get("/v1/balance", headers={"authorization": f"Bearer {stranger}"}),
            http.get("/v1/balance", headers={"authorization": f"Bearer {key}x"}),
            http.get("/v1/balance", headers={"authorization": f"Basic {stranger}"}),
            http.get("/v1/admin/accounts", headers={"authorization": f"Bearer {operator}"}),
            http.get("/v1/admin/accounts"),
            http.get("/dashboard", auth=("eva", operator)),
        ]
    return [answer.status_code for answer in answers]


def close_database(url: str) -> None:
    """Every connection ends, and no new one begins."""
    name = make_url(url).database
    with connect_beside(url) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, [name])


def open_database(url: str) -> None:
    with connect_beside(url) as connection:
        name = make_url(url).database
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def connect_beside(url: str) -> Any:
    other = make_url(url).set(drivername="postgresql", database="postgres")
    return psycopg.connect(other.render_as_string(hide_password=False), autocommit=True)
