"""Who computes batches: each crew is a thread with one batch at a time, from lanes of its own."""

import threading
from dataclasses import dataclass, field

from vendor_api.engine.lanes import LANE_NAMES, LaneName

APART: tuple[tuple[LaneName, ...], ...] = (("text",), ("image",))
"""For a model that computes both at the same time: no text waits for pictures."""

__all__ = ["APART", "Crew"]


@dataclass(slots=True, eq=False)
class Crew:
    """One batch at a time of certain lanes."""

    lanes: tuple[LaneName, ...] = LANE_NAMES
    turn: LaneName = "text"
    """The lane of the latest batch."""
    since: float | None = None
    """When it took the batch that it has, by the batcher's clock."""
    batch_ms: float = 0.0
    """Estimated work of that batch."""
    thread: threading.Thread = field(default_factory=threading.current_thread)

    def order(self) -> tuple[LaneName, ...]:
        """Lanes take turns while both have work."""
        order = LANE_NAMES if self.turn == "image" else LANE_NAMES[::-1]
        return tuple(name for name in order if name in self.lanes)

    def take(self, lane: LaneName, batch_ms: float, now: float) -> None:
        """Note that it has begun with a batch."""
        self.turn, self.batch_ms, self.since = lane, batch_ms, now

    def rest(self) -> None:
        """Note that it has none."""
        self.batch_ms, self.since = 0.0, None

    def is_at(self, lane: LaneName) -> bool:
        """Whether what it has, or had, is of that lane."""
        return self.turn == lane
