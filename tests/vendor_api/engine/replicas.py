"""Replicas of the fake model without Ray: what the engine, the gateway and the line are tested against."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.vendor_api.conftest import INFO, FakeModel
from vendor_api.engine.base import USUAL_ITEM_MS, ModelInfo
from vendor_api.engine.ray_replica import ClipReplica, ReplicaOrder


def make_replica(model: Any = None, *, max_queued_ms: float = 10_000.0) -> ClipReplica:
    """A replica that computes with the fake model."""
    loaded: Any = FakeModel() if model is None else model
    loaded.fill, loaded.cuda, loaded.find_trouble = 0, None, lambda: None
    order = ReplicaOrder(INFO.id, "fake", max_queued_ms=max_queued_ms)
    return ClipReplica(order, load=lambda _: loaded, measure=lambda _: USUAL_ITEM_MS)


@dataclass
class FakeLine:
    """Asks its replicas in turn; an exception in the script is raised instead of a reply."""

    replicas: list[ClipReplica]
    script: list[Exception | None] = field(default_factory=list)
    info: ModelInfo = INFO
    load_s: float = 7.0
    trouble: str | None = None
    asked: list[int] = field(default_factory=list)
    """Octets of each ask."""
    closed: bool = False

    async def ask(self, data: bytes) -> bytes:
        self.asked.append(len(data))
        await asyncio.sleep(0)
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure
        replica = self.replicas[len(self.asked) % len(self.replicas)]
        # It is on another machine: whoever leaves here does not end it there.
        return await asyncio.shield(asyncio.ensure_future(replica.embed(data)))

    def find_trouble(self) -> str | None:
        return self.trouble

    def give_up(self, why: str) -> None:
        self.trouble = why

    def close(self) -> None:
        self.closed = True
