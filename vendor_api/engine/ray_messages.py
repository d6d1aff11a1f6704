"""What an API process and a replica say to each other: JSON in front, arrays behind, as octets."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from shared.codecs import Vector
from shared.wire import Modality
from vendor_api.engine.base import Item, ItemFailure, LaneLoad
from vendor_api.engine.batcher import BatchReport

_LENGTH = struct.Struct("!I")

__all__ = ["Ask", "Reply", "pack_ask", "pack_reply", "unpack_ask", "unpack_reply"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Items of one shape for one replica."""

    items: Sequence[Item]
    seconds: float
    """Until the answer is of no use; the clocks of two machines do not agree on an instant."""
    revision: str
    """What the API process sells: a replica of another one computes nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A replica's answer: outcomes in the order of the items, or why there are none."""

    outcomes: Sequence[Vector | ItemFailure] = ()
    refusal: str | None = None
    retry_after_s: float = 1.0
    """After a refusal."""
    changed: bool = False
    """Whether it refused because it computes another revision."""
    model_s: float = 0.0
    """How long the model took; the rest of the caller's wait was queue and road."""
    queued_ms: float = 0.0
    """Estimated work that waits in this replica now."""
    lanes: Mapping[Modality, LaneLoad] = field(default_factory=dict)
    """The same by modality."""
    batches: Sequence[BatchReport] = ()
    """What it has computed since it last told anybody: each batch is told once."""


def pack_ask(ask: Ask) -> bytes:
    """The octets that `unpack_ask` reads."""
    items = np.stack(ask.items)
    head = {
        "seconds": ask.seconds,
        "revision": ask.revision,
        "dtype": items.dtype.str,
        "shape": items.shape,
    }
    return _join(head, items.tobytes())


def unpack_ask(data: bytes) -> Ask:
    """The ask that was packed."""
    head, octets = _split(data)
    # torch wants memory that it could write to.
    items = np.frombuffer(bytearray(octets), dtype=head["dtype"]).reshape(head["shape"])
    return Ask(list(items), head["seconds"], head["revision"])


def pack_reply(reply: Reply) -> bytes:
    """The octets that `unpack_reply` reads."""
    failures = {
        index: [outcome.reason, outcome.fault]
        for index, outcome in enumerate(reply.outcomes)
        if isinstance(outcome, ItemFailure)
    }
    vectors = [outcome for outcome in reply.outcomes if not isinstance(outcome, ItemFailure)]
    head = {
        "failures": failures,
        "vectors": len(vectors),
        "refusal": reply.refusal,
        "retry_after_s": reply.retry_after_s,
        "changed": reply.changed,
        "model_s": reply.model_s,
        "queued_ms": reply.queued_ms,
        "lanes": {name: asdict(load) for name, load in reply.lanes.items()},
        "batches": [asdict(batch) for batch in reply.batches],
    }
    return _join(head, np.asarray(vectors, dtype=np.float32).tobytes())


def unpack_reply(data: bytes) -> Reply:
    """The reply that was packed."""
    head, octets = _split(data)
    failures = {int(index): ItemFailure(*why) for index, why in head.pop("failures").items()}
    count = head.pop("vectors")
    vectors = iter(np.frombuffer(octets, dtype=np.float32).reshape(count, -1) if count else ())
    outcomes = [failures.get(index) or next(vectors) for index in range(count + len(failures))]
    batches = [BatchReport(**batch) for batch in head.pop("batches")]
    lanes = {name: LaneLoad(**load) for name, load in head.pop("lanes").items()}
    return Reply(outcomes, batches=batches, lanes=lanes, **head)


def _join(head: dict[str, Any], octets: bytes) -> bytes:
    words = json.dumps(head).encode()
    return _LENGTH.pack(len(words)) + words + octets


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size
    return json.loads(data[start : start + length]), memoryview(data)[start + length :]
