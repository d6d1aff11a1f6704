"""What a key may do and until when; a change is heard here at once and elsewhere soon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.redis_server import RedisServer
from vendor_api.auth import Authenticator, InvalidKey
from vendor_api.auth.changes import KeyChanges, announce_change
from vendor_api.auth.repository import KeySettings, find_key, issue_key, revoke_key
from vendor_api.auth.service import USE_SECONDS
from vendor_api.cli import app
from vendor_api.db import read_clock
from vendor_api.db.clock import SECOND


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def authenticators(
    vendor_database_url: str, pepper: bytes, clock: Clock
) -> AsyncIterator[list[Authenticator]]:
    """As two processes have them."""
    opened = [Authenticator.open(vendor_database_url, pepper, clock=clock) for _ in range(2)]
    yield opened
    for authenticator in opened:
        await authenticator.close()


@pytest.fixture
def issue(shop: Any, pepper: bytes) -> Callable[..., str]:
    """Makes a key: `issue(scopes=…, models=…, seconds=…)`."""

    def make(seconds: float | None = None, **chosen: Any) -> str:
        with shop.database.write() as connection:
            now = read_clock(connection)
            until = None if seconds is None else now + int(seconds * SECOND)
            settings = KeySettings("k", expires_at=until, **chosen)
            return issue_key(connection, now, pepper, shop.account.id, settings=settings).text

    return make


class TestAccess:
    async def test_a_key_that_reads_does_not_buy(self, vendor: Any, issue: Any) -> None:
        vendor.http.headers["authorization"] = f"Bearer {issue(scopes=['read'])}"
        answer = await vendor.embed("a dog")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "`embed`" in answer.json()["detail"]
        assert answer.headers["x-should-retry"] == "false"
        assert (await vendor.http.get("/v1/balance")).status_code == 200

    async def test_a_key_that_buys_does_not_read_the_books(self, vendor: Any, issue: Any) -> None:
        vendor.http.headers["authorization"] = f"Bearer {issue(scopes=['embed'])}"
        assert (await vendor.embed("a dog")).status_code == 200
        for path in ("/v1/balance", "/v1/usage", "/v1/charges"):
            answer = await vendor.http.get(path)
            assert answer.status_code == 403
            assert "`read`" in answer.json()["detail"]
        assert (await vendor.http.get("/v1/models")).status_code == 200

    async def test_a_key_from_before_scopes_had_these_names_reads(
        self, vendor: Any, shop: Any
    ) -> None:
        with shop.database.write() as connection:
            connection.exec_driver_sql("UPDATE api_key SET scopes = 'embed account'")
        assert (await vendor.http.get("/v1/balance")).status_code == 200

    async def test_a_key_buys_from_its_models_only(self, vendor: Any, issue: Any) -> None:
        vendor.http.headers["authorization"] = f"Bearer {issue(models=['other'])}"
        answer = await vendor.embed("a dog")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "it may buy from: other" in answer.json()["detail"]
        vendor.http.headers["authorization"] = f"Bearer {issue(models=['other', 'icon-clip'])}"
        assert (await vendor.embed("a dog")).status_code == 200


class TestEnd:
    async def test_a_key_whose_time_is_over_says_so(
        self, authenticators: list[Authenticator], issue: Any
    ) -> None:
        with pytest.raises(InvalidKey, match="time ended at 20"):
            await authenticators[0].authenticate(issue(seconds=-1))

    async def test_a_remembered_key_ends_on_time(
        self, authenticators: list[Authenticator], issue: Any, clock: Clock, shop: Any
    ) -> None:
        key = issue(seconds=5)
        await authenticators[0].authenticate(key)
        with shop.database.write() as connection:
            connection.exec_driver_sql("UPDATE api_key SET expires_at = 1")
        await authenticators[0].authenticate(key)
        clock.now += 5
        with pytest.raises(InvalidKey, match="time ended"):
            await authenticators[0].authenticate(key)


class TestUse:
    async def test_last_use_is_written_once_a_minute(
        self, vendor_database_url: str, pepper: bytes, shop: Any, api_key: Any, clock: Clock
    ) -> None:
        def last_use() -> int | None:
            with shop.database.read() as connection:
                key = find_key(connection, api_key.key_id)
                assert key is not None
                return key.last_used_at

        assert last_use() is None
        authenticator = Authenticator.open(vendor_database_url, pepper, clock=clock)
        for _ in range(3):
            await authenticator.authenticate(api_key.text)
        await eventually(lambda: awaited(last_use() is not None))
        first = last_use()
        clock.now += USE_SECONDS - 1
        await authenticator.authenticate(api_key.text)
        clock.now += 1
        assert last_use() == first
        await authenticator.authenticate(api_key.text)
        await authenticator.close()
        second = last_use()
        assert first is not None
        assert second is not None
        assert second > first


class TestChanges:
    async def test_a_revocation_is_heard_in_another_process(
        self, authenticators: list[Authenticator], api_key: Any, own_redis: RedisServer
    ) -> None:
        here, there = authenticators
        changes = [KeyChanges.open(own_redis.url, each) for each in authenticators]
        listening = [asyncio.create_task(each.listen()) for each in changes]
        await eventually(lambda: awaited(subscribers(own_redis) == 2))
        await there.authenticate(api_key.text)
        assert await here.revoke(api_key.key_id)
        await eventually(lambda: is_refused(there, api_key.text))
        await stop(listening, changes)

    async def test_a_command_announces_too(
        self,
        authenticators: list[Authenticator],
        api_key: Any,
        own_redis: RedisServer,
        vendor_database_url: str,
    ) -> None:
        changes = KeyChanges.open(own_redis.url, authenticators[0])
        listening = asyncio.create_task(changes.listen())
        await eventually(lambda: awaited(subscribers(own_redis) == 1))
        await authenticators[0].authenticate(api_key.text)
        done = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            ["keys", "revoke", api_key.key_id],
            env={"VENDOR_DATABASE_URL": vendor_database_url, "VENDOR_REDIS_URL": own_redis.url},
        )
        assert done.exit_code == 0, done.output
        await eventually(lambda: is_refused(authenticators[0], api_key.text))
        await stop([listening], [changes])

    async def test_what_was_announced_while_redis_was_away_is_not_missed(
        self, authenticators: list[Authenticator], api_key: Any, own_redis: RedisServer, shop: Any
    ) -> None:
        changes = KeyChanges.open(own_redis.url, authenticators[0])
        listening = asyncio.create_task(changes.listen())
        await eventually(lambda: awaited(subscribers(own_redis) == 1))
        await authenticators[0].authenticate(api_key.text)
        own_redis.kill()
        with shop.database.write() as connection:
            revoke_key(connection, read_clock(connection), api_key.key_id)
        assert not await asyncio.to_thread(announce_change, own_redis.url, api_key.key_id)
        own_redis.start()
        await eventually(lambda: is_refused(authenticators[0], api_key.text))
        await stop([listening], [changes])

    async def test_without_redis_a_key_is_revoked_here_all_the_same(
        self, authenticators: list[Authenticator], api_key: Any, own_redis: RedisServer
    ) -> None:
        own_redis.kill()
        changes = KeyChanges.open(own_redis.url, authenticators[0])
        await authenticators[0].authenticate(api_key.text)
        await authenticators[0].revoke(api_key.key_id)
        assert await is_refused(authenticators[0], api_key.text)
        await changes.close()


async def awaited(value: bool) -> bool:
    return value


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110  (another process makes it so)
            await asyncio.sleep(0.02)


async def is_refused(authenticator: Authenticator, key: str) -> bool:
    try:
        await authenticator.authenticate(key)
    except InvalidKey:
        return True
    return False


def subscribers(server: RedisServer) -> int:
    with server.connect() as client:
        return int(client.pubsub_numsub("vl2v:key-changed")[0][1])


async def stop(listening: list[Any], changes: list[KeyChanges]) -> None:
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for each in changes:
        await each.close()
