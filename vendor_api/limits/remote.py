"""Limits counted in Redis, by all processes together."""

import asyncio
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from vendor_api.limits.policies import WINDOW_US, Bucket, Demand, Lease, Outcome

TIMEOUT_S = 0.05
PATIENCE_S = 1.0
"""For what no request waits for: a first connection with its questions, the end of leases."""
CONNECTIONS = 32
PREFIX = "vl2v:limit"
UNNAMED = "unnamed"

FAILURES = (RedisError, OSError, TimeoutError)
"""All that a Redis which is down, slow, full, loading or not a Redis may raise."""

__all__ = ["FAILURES", "TIMEOUT_S", "RemoteStore"]


class RemoteStore:
    """The same limits for every process that shares one Redis. Raises one of FAILURES at any time."""

    def __init__(self, pool: BlockingConnectionPool, timeout_s: float) -> None:
        pool.connection_kwargs["redis_connect_func"] = self._greet
        self._redis = Redis.from_pool(pool)
        self._timeout_s = timeout_s
        script = resources.files("vendor_api.limits").joinpath("gcra.lua").read_text("utf-8")
        self._script = self._redis.register_script(script)
        self._server = ""
        """The server's run id. Leases in a dump that a restarted server has read are nobody's."""
        self._leases: dict[str, str] = {}
        """Lease → the name of the set that it is in, or may be in when no answer came."""

    @classmethod
    def open(cls, url: str, *, timeout_s: float = TIMEOUT_S) -> Self:
        """A store at `redis://…` or `unix://…`; connects when it is first used."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        return cls(pool, timeout_s)

    async def ping(self) -> None:
        """Connect, learn which server this is, and teach it the script."""
        async with self._patience():
            await self._redis.script_load(self._script.script)

    async def take(
        self, key: str, demands: Sequence[Demand], lease: Lease | None, *, now_us: int | None = None
    ) -> Outcome:
        """Take all that is asked, or nothing. `now_us` stands in for the server's clock in tests."""
        if not self._server:
            await self.ping()
        server = self._server
        outcome = await self._run(key, demands, lease, now_us)
        if not outcome.admitted and server != self._server:
            outcome = await self._run(key, demands, lease, now_us)
        if lease is not None and not outcome.admitted:
            self._leases.pop(lease.id, None)
        return outcome

    async def drop(self, lease_ids: Iterable[str]) -> None:
        """End leases, those included of which it is not known whether they were taken."""
        named = {lease: self._leases[lease] for lease in lease_ids if lease in self._leases}
        if not named:
            return
        async with self._patience(), self._redis.pipeline(False) as pipeline:
            for lease, name in named.items():
                pipeline.zrem(name, lease)
            await pipeline.execute()
        for lease in named:
            self._leases.pop(lease, None)

    def forget(self, lease_id: str) -> None:
        """Leave a lease to free itself."""
        self._leases.pop(lease_id, None)

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _patience(self) -> asyncio.Timeout:
        return asyncio.timeout(max(PATIENCE_S, self._timeout_s))

    async def _run(
        self, key: str, demands: Sequence[Demand], lease: Lease | None, now_us: int | None
    ) -> Outcome:
        # The braces keep a key's entries on one node of a cluster.
        prefix = f"{PREFIX}:{{{key}}}"
        leases = f"{prefix}:leases:{self._server}"
        if lease is not None:
            self._leases[lease.id] = leases
        asked = (lease.id, lease.limit, lease.seconds * 1_000_000) if lease else ("", 0, 0)
        async with asyncio.timeout(self._timeout_s):
            reply: list[int] = await self._script(
                keys=[leases, *(f"{prefix}:{demand.policy}" for demand in demands)],
                args=[
                    "" if now_us is None else now_us,
                    WINDOW_US,
                    *asked,
                    *(demand.interval_us for demand in demands),
                ],
            )
        admitted, active, *rest = (int(number) for number in reply)
        buckets = tuple(Bucket(*pair) for pair in zip(rest[::2], rest[1::2], strict=True))
        return Outcome(bool(admitted), buckets, active, "shared")

    async def _greet(self, connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        try:
            text = bytes(await connection.read_response()).decode()
        except ResponseError:  # not everybody may ask; then a dump's leases last their time
            self._server = UNNAMED
            return
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        self._server = lines.get("run_id", UNNAMED)
