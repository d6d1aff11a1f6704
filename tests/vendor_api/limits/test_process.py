"""A real server process with Redis, which then dies."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import MODEL, Shop
from tests.redis_server import RedisServer
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock
from vendor_api.limits.breaker import COOLDOWN_S


@pytest.mark.slow
def test_a_server_outlives_its_redis(
    make_shop: Any,
    sqlite_url: str,
    pepper_file: Path,
    pepper: bytes,
    serve_vendor: Any,
    own_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VENDOR_REDIS_URL", own_redis.url)
    key = issue(make_shop(sqlite_url), pepper)
    with (
        serve_vendor(sqlite_url, pepper_file) as serving,
        httpx.Client(
            base_url=serving.url, headers={"authorization": f"Bearer {key}"}, timeout=60
        ) as http,
    ):

        def buy(text: str) -> str:
            answer = http.post("/v1/embeddings", json={"model": MODEL, "input": text})
            assert answer.status_code == 200
            return answer.headers["ratelimit-policy"]

        def wait_for(alone: bool) -> None:
            """Both what clients and what operators see; a busy machine may look like a dead Redis."""
            gauge, deadline = f"vl2v_redis_degraded {float(alone)}", time.monotonic() + 120
            while ('vendor-scope="process"' in buy("a")) != alone or gauge not in http.get(
                "/metrics"
            ).text:
                assert time.monotonic() < deadline
                time.sleep(COOLDOWN_S / 5)

        wait_for(alone=False)
        own_redis.kill()
        wait_for(alone=True)
        own_redis.start()
        wait_for(alone=False)
        own_redis.pause()
        wait_for(alone=True)
        assert serving.stop() == 0


def issue(shop: Shop, pepper: bytes) -> str:
    with shop.database.write() as connection:
        return issue_key(connection, read_clock(connection), pepper, shop.account.id, name="k").text
