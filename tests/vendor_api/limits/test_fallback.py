"""Redis wiped, stopped, killed, restarted with an old dump: limits loosen, nobody waits."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.redis_server import RedisServer
from vendor_api.limits.breaker import COOLDOWN_S, Breaker
from vendor_api.limits.fallback import FallbackStore
from vendor_api.limits.memory import MemoryStore
from vendor_api.limits.policies import Demand, Lease
from vendor_api.limits.remote import TIMEOUT_S, RemoteStore

ONE = [Demand("requests", 1, 1)]
FREE = [Demand("requests", 1, 1_000_000)]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """A store over a Redis of its own, and what it said of Redis."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.clock = Clock()
        self.heard: list[bool] = []
        self.local = MemoryStore()
        self.store = FallbackStore(
            RemoteStore.open(server.url, timeout_s=0.5),
            self.local,
            breaker=Breaker(clock=self.clock),
            observe=lambda error: self.heard.append(error is None),
        )

    async def scope(self) -> str:
        return (await self.store.take("any", FREE, None)).scope

    async def settle(self) -> None:
        """Let what runs beside the requests end."""
        for task in (self.store._probing, self.store._paying):
            if task is not None:
                await task

    async def look_again(self) -> str:
        """What a request meets once Redis has been looked for again."""
        self.clock.now += COOLDOWN_S
        await self.scope()
        await self.settle()
        return await self.scope()

    def places(self) -> list[int]:
        """How many leases each set in Redis has."""
        with self.server.connect() as client:
            return [int(client.zcard(name)) for name in client.keys("*leases*")]


@pytest.fixture
async def setting(own_redis: RedisServer) -> AsyncIterator[Setting]:
    made = Setting(own_redis)
    await made.store.connect()
    yield made
    await made.store.close()


def test_redis_has_fifty_milliseconds() -> None:
    assert TIMEOUT_S <= 0.05
    assert COOLDOWN_S <= 1.5


async def test_two_stores_on_one_redis_share_a_limit(own_redis: RedisServer) -> None:
    first, second = Setting(own_redis), Setting(own_redis)
    assert (await first.store.take("key", ONE, None)).admitted
    assert not (await second.store.take("key", ONE, None)).admitted
    for made in (first, second):
        await made.store.close()


async def test_a_wiped_redis_forgets_and_goes_on(setting: Setting) -> None:
    lease = Lease("a", 1, 90)
    assert (await setting.store.take("key", ONE, lease)).admitted
    setting.server.run("FLUSHALL")
    setting.server.run("SCRIPT", "FLUSH")
    outcome = await setting.store.take("key", ONE, Lease("b", 1, 90))
    assert (outcome.admitted, outcome.scope) == (True, "shared")
    setting.store.give_back("key", "a")
    assert setting.heard == []


async def test_a_redis_that_hangs_is_left_alone_for_a_second(setting: Setting) -> None:
    setting.server.pause()
    assert await setting.scope() == "process"
    began = time.monotonic()
    for _ in range(100):
        assert await setting.scope() == "process"
    assert time.monotonic() - began < 0.4  # not one of them has waited for Redis
    assert setting.heard == [False]
    setting.clock.now += COOLDOWN_S
    began = time.monotonic()
    assert {await setting.scope() for _ in range(20)} == {"process"}
    assert time.monotonic() - began < 0.4  # it is looked for beside the requests
    setting.server.resume()
    await setting.settle()
    assert await setting.look_again() == "shared"
    assert setting.heard == [False, True]


async def test_a_killed_redis_is_found_again(setting: Setting) -> None:
    setting.server.kill()
    assert await setting.scope() == "process"
    setting.server.start()
    assert await setting.look_again() == "shared"
    assert setting.heard == [False, True]


async def test_a_redis_that_is_not_there_at_the_start(own_redis: RedisServer) -> None:
    own_redis.kill()
    setting = Setting(own_redis)
    await setting.store.connect()
    assert setting.heard == [False]
    assert await setting.scope() == "process"
    await setting.store.close()


async def test_places_asked_for_while_redis_hung_are_given_back(setting: Setting) -> None:
    before = await setting.store.take("key", FREE, Lease("before", 8, 90))
    assert before.scope == "shared"
    setting.server.pause()
    outcomes = await asyncio.gather(
        *(setting.store.take("key", FREE, Lease(f"while {number}", 8, 90)) for number in range(3))
    )
    assert {(each.admitted, each.scope) for each in outcomes} == {(True, "process")}
    for name in ("before", "while 0", "while 1", "while 2"):
        setting.store.give_back("key", name)
    setting.server.resume()
    assert await setting.look_again() == "shared"
    await setting.settle()
    assert sum(setting.places()) == 0


async def test_places_of_an_old_dump_are_nobodys(setting: Setting) -> None:
    assert (await setting.store.take("key", FREE, Lease("old", 1, 90))).scope == "shared"
    setting.server.run("SAVE")
    setting.store.give_back("key", "old")
    await setting.settle()
    setting.server.kill()
    setting.server.start()
    assert setting.places() == [1]
    await setting.look_again()
    for number in range(3):
        await setting.look_again()
        outcome = await setting.store.take("key", FREE, Lease(f"new {number}", 1, 90))
        assert outcome.admitted, outcome
        setting.store.give_back("key", f"new {number}")
        await setting.settle()
    assert outcome.scope == "shared"


async def test_a_place_that_nobody_gave_back_frees_itself(own_redis: RedisServer) -> None:
    store = RemoteStore.open(own_redis.url, timeout_s=0.5)
    assert (await store.take("key", [], Lease("lost", 1, 90), now_us=10**15)).admitted
    later = 10**15 + 89 * 10**6
    assert not (await store.take("key", [], Lease("next", 1, 90), now_us=later)).admitted
    later += 10**6
    assert (await store.take("key", [], Lease("next", 1, 90), now_us=later)).admitted
    await store.close()


async def test_something_else_under_the_keys_name_is_a_failure_like_any_other(
    setting: Setting,
) -> None:
    setting.server.run("LPUSH", "vl2v:limit:{key}:requests", "nonsense")
    assert (await setting.store.take("key", ONE, None)).scope == "process"
    assert setting.heard == [False]


def test_a_breaker_lets_one_try_through_a_second() -> None:
    clock = Clock()
    breaker = Breaker(cooldown_s=1.0, clock=clock)
    assert [breaker.permits(), breaker.permits(), breaker.is_open] == [True, True, False]
    breaker.fail()
    assert [breaker.permits(), breaker.is_open] == [False, True]
    clock.now += 1.0
    assert [breaker.permits(), breaker.permits()] == [True, False]
    breaker.succeed()
    assert [breaker.permits(), breaker.is_open] == [True, False]
