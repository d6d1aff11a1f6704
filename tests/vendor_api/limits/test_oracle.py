"""Both limiters against the oracle: random demands, random times, clocks that jump both ways."""

import asyncio
import multiprocessing
import time
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis_server import RedisServer
from tests.vendor_api.limits.oracle import Oracle
from vendor_api.limits.memory import MemoryStore
from vendor_api.limits.policies import Demand, Lease, Outcome
from vendor_api.limits.remote import RemoteStore

SECOND = 1_000_000
PATIENT_S = 10.0
"""A busy machine must not look like a dead Redis here."""


@dataclass(frozen=True)
class Step:
    """Move the clock, perhaps end a lease, then ask."""

    move_us: int
    requests: int
    items: int
    place: bool
    leave: int | None


steps = st.lists(
    st.builds(
        Step,
        move_us=st.one_of(
            st.just(0),
            st.integers(0, 3 * SECOND),
            st.integers(-5 * SECOND, 100 * SECOND),
            st.integers(-7200 * SECOND, 7200 * SECOND),
        ),
        requests=st.integers(0, 2),
        items=st.integers(0, 40),
        place=st.booleans(),
        leave=st.none() | st.integers(0, 30),
    ),
    max_size=30,
)
limits = st.tuples(st.integers(1, 8), st.integers(1, 100), st.integers(1, 3))


def ask(step: Step, number: int, limit: tuple[int, int, int]) -> tuple[list[Demand], Lease | None]:
    asked = (
        Demand("requests", step.requests, limit[0]),
        Demand("items", step.items, limit[1]),
    )
    demands = [demand for demand in asked if demand.cost]
    return demands, Lease(f"lease {number}", limit[2], 90) if step.place else None


def same(found: Outcome, wanted: Outcome) -> bool:
    return (found.admitted, found.buckets, found.active) == (
        wanted.admitted,
        wanted.buckets,
        wanted.active,
    )


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@given(steps=steps, limit=limits)
@settings(max_examples=300, deadline=None)
def test_the_process_agrees_with_the_oracle(steps: list[Step], limit: tuple[int, int, int]) -> None:
    async def compare() -> None:
        clock, oracle = Clock(), Oracle()
        store = MemoryStore(clock)
        for number, step in enumerate(steps):
            clock.now += step.move_us
            if step.leave is not None:
                store.give_back("key", f"lease {step.leave}")
                oracle.give_back(clock.now, f"lease {step.leave}")
            demands, lease = ask(step, number, limit)
            found = await store.take("key", demands, lease)
            assert same(found, oracle.take(clock.now, demands, lease)), number

    asyncio.run(compare())


@given(steps=steps, limit=limits)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_redis_agrees_with_the_oracle(
    redis_server: RedisServer, steps: list[Step], limit: tuple[int, int, int]
) -> None:
    async def compare() -> None:
        clock, oracle, key = Clock(), Oracle(), uuid.uuid4().hex
        store = RemoteStore.open(redis_server.url, timeout_s=PATIENT_S)
        await store.ping()
        for number, step in enumerate(steps):
            clock.now += step.move_us
            if step.leave is not None:
                await store.drop([f"lease {step.leave}"])
                oracle.give_back(clock.now, f"lease {step.leave}")
            demands, lease = ask(step, number, limit)
            found = await store.take(key, demands, lease, now_us=clock.now)
            assert same(found, oracle.take(clock.now, demands, lease)), number
        await store.close()

    asyncio.run(compare())


@given(
    moves=st.lists(st.integers(0, 20 * SECOND), max_size=60),
    limit=st.integers(1, 50),
    cost=st.integers(1, 10),
)
@settings(deadline=None)
def test_no_stretch_of_time_gets_more_than_its_share_and_one_minute(
    moves: list[int], limit: int, cost: int
) -> None:
    async def run() -> None:
        clock, admitted = Clock(), []
        store = MemoryStore(clock)
        for move in moves:
            clock.now += move
            outcome = await store.take("key", [Demand("items", cost, limit)], None)
            admitted += [clock.now] * outcome.admitted
        for first, begin in enumerate(admitted):
            for last, end in enumerate(admitted[first:], first):
                share = limit + limit * (end - begin) / (60 * SECOND)
                assert (last - first + 1) * cost <= share + 0.01

    asyncio.run(run())


def test_a_clock_set_back_locks_no_key_out_for_longer_than_its_minute() -> None:
    async def run() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        assert (await store.take("key", [Demand("requests", 1, 1)], None)).admitted
        clock.now -= 24 * 3600 * SECOND
        refused = await store.take("key", [Demand("requests", 1, 1)], None)
        assert refused.buckets[0].wait_us <= 60 * SECOND
        clock.now += 60 * SECOND
        assert (await store.take("key", [Demand("requests", 1, 1)], None)).admitted

    asyncio.run(run())


def test_what_counts_nothing_any_more_is_dropped() -> None:
    async def run() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        for number in range(20_000):
            clock.now += SECOND
            await store.take(f"key {number}", [Demand("requests", 1, 60)], Lease("l", 1, 1))
        assert len(store._arrivals) + len(store._leases) < 10_000

    asyncio.run(run())


def _hammer(url: str, key: str, seconds: float, admitted: "Any") -> None:
    async def run() -> int:
        store = RemoteStore.open(url, timeout_s=PATIENT_S)
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            outcome = await store.take(key, [Demand("requests", 1, 600)], None)
            count += outcome.admitted
        await store.close()
        return count

    admitted.put(asyncio.run(run()))


@pytest.mark.slow
def test_sixteen_processes_on_one_redis_get_what_one_would(redis_server: RedisServer) -> None:
    context = multiprocessing.get_context("fork")
    admitted, key = context.Queue(), uuid.uuid4().hex
    began = time.monotonic()
    workers = [
        context.Process(target=_hammer, args=(redis_server.url, key, 1.5, admitted))
        for _ in range(16)
    ]
    for worker in workers:
        worker.start()
    total = sum(admitted.get(timeout=120) for _ in workers)
    seconds = time.monotonic() - began
    for worker in workers:
        worker.join()
    assert 600 <= total <= 600 + 600 * seconds / 60
