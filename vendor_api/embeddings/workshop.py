"""What requests are prepared with: threads for pictures, threads for the rest, the way in to each engine."""

from concurrent.futures import ThreadPoolExecutor

from vendor_api.embeddings.decoding import Decoder
from vendor_api.embeddings.entrance import Entrance
from vendor_api.engine.base import ServedModel

DESK_THREADS = 2

__all__ = ["Workshop"]


class Workshop:
    """Made once a process; for one event loop."""

    def __init__(self, *, decode_threads: int | None, max_queued_ms: float) -> None:
        """`decode_threads`: one for each core but one when None. `max_queued_ms`: how much time's work
        may wait for an engine before callers are told when to come back."""
        self.decoder = Decoder(decode_threads)
        self.desk = ThreadPoolExecutor(DESK_THREADS, "desk")
        """For short work that must not wait for pictures: reading, tokenising, rotating."""
        self._max_queued_ms = max_queued_ms
        self._entrances: dict[str, Entrance] = {}

    def entrance(self, model: ServedModel) -> Entrance:
        """The way in to the model's engine."""
        found = self._entrances.get(model.info.id)
        if found is None:
            found = self._entrances[model.info.id] = Entrance(
                model.engine, self.decoder, max_queued_ms=self._max_queued_ms
            )
        return found

    def close(self) -> None:
        """Finish what is under way, then end the threads."""
        self.decoder.close()
        self.desk.shutdown()
