"""The way in to an engine: what it can take comes in, the rest is told when its turn comes.

Asked once a request's items are known by their headers and before anything is held, decoded or
computed, so that a refusal costs little. One rule for a single item and for a list: work counts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from shared.errors import ErrorCode
from shared.wire import Modality
from vendor_api.embeddings.decoding import Decoder
from vendor_api.embeddings.pace import Pace
from vendor_api.embeddings.promises import Caller, Load, Promises, Refused
from vendor_api.embeddings.requests import Ask
from vendor_api.engine.base import Engine, LaneLoad
from vendor_api.errors import VendorError

BUSY = 0.1
"""Of the queue's length: an engine with more before it than this never has to wait for work."""
MAX_WAITING = 4096
"""Items in memory, decoded, however fast the engine is."""

__all__ = ["Entrance", "Passage"]


@dataclass(slots=True)
class _Lane:
    """What is known of one modality's queue. Work is counted in items: what the engine says that one
    takes changes with what else the machine does, and what was promised before would change with it."""

    promises: Promises = field(default_factory=Promises)
    pace: Pace = field(default_factory=Pace)
    each: float = 0.0
    """The work of an item of the last request that came, decoding included."""
    coming: float = 0.0
    """Work that was let in and has not reached the engine."""


class Passage:
    """One request on its way through; use it in a `with`. The engine is told of it by `hand_over`."""

    def __init__(self, entrance: "Entrance", lane: Modality, work: float) -> None:
        self._entrance = entrance
        self._lane: Modality = lane
        self._work = work
        self._coming = True

    def __enter__(self) -> "Passage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The request has ended; what it was estimated at and took teaches the pace."""
        self.hand_over()
        if error is None and self._work:
            self._entrance.note_done(self._lane, self._work)

    def hand_over(self) -> None:
        """From now on the engine counts this work itself."""
        if self._coming:
            self._coming = False
            self._entrance.note_arrived(self._lane, self._work)


class Entrance:
    """Admission to one engine. For one event loop."""

    def __init__(
        self,
        engine: Engine,
        decoder: Decoder,
        *,
        max_queued_ms: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_queued_ms`: how much time's work may wait in a lane."""
        self._engine = engine
        self._decoder = decoder
        self._max_queued_ms = max_queued_ms
        self._clock = clock
        self._lanes: dict[Modality, _Lane] = {"image": _Lane(), "text": _Lane()}

    def admit(self, caller: Caller, asks: Sequence[Ask]) -> Passage:
        """Let a request in that is to compute these items. Raises VendorError (503) with the moment to
        come back at.

        Texts and images wait in lanes of their own; a request with both waits with the images.
        """
        if not asks:
            return Passage(self, "text", 0.0)
        name: Modality = "image" if any(ask.modality == "image" for ask in asks) else "text"
        lane, loads = self._lanes[name], self._read_lanes()
        item_ms = loads[name].item_ms
        work = sum(self._estimate(ask, loads[ask.modality]) for ask in asks) / item_ms
        lane.each = work / len(asks)
        refused = lane.promises.ask(caller, work, self._read_load(lane, loads[name]), self._clock())
        if refused is not None:
            raise _refuse(refused)
        lane.coming += work
        return Passage(self, name, work)

    def note_arrived(self, name: Modality, work: float) -> None:
        """Work that was on its way has reached the engine, or has been given up."""
        self._lanes[name].coming -= work

    def note_done(self, name: Modality, work: float) -> None:
        """A request of that work was answered."""
        lane = self._lanes[name]
        load = self._read_load(lane, self._read_lanes()[name])
        lane.pace.note(work, busy=load.backlog > BUSY * load.bound, now=self._clock())

    def _estimate(self, ask: Ask, load: LaneLoad) -> float:
        decode_ms = self._decoder.estimate(ask.area) if ask.data else 0.0
        return load.item_ms + decode_ms

    def _read_lanes(self) -> dict[Modality, LaneLoad]:
        state = self._engine.state()
        return {"image": state.load_of("image"), "text": state.load_of("text")}

    def _read_load(self, lane: _Lane, load: LaneLoad) -> Load:
        pace = lane.pace.read(load.item_ms)
        return Load(
            load.queued_ms / load.item_ms + lane.coming,
            min(self._max_queued_ms * pace, MAX_WAITING * max(1.0, lane.each)),
            pace,
            lane.pace.read_best(load.item_ms),
        )


def _refuse(refused: Refused) -> VendorError:
    place = (
        "a place is kept for it then" if refused.promised else "no place can be kept so far ahead"
    )
    return VendorError(
        ErrorCode.OVERLOADED,
        "Nothing was computed or charged: the engine has too much to do. Send the same request again "
        f"in {refused.delay_s:.1f} s; {place}.",
        retry_after_s=refused.delay_s,
    )
