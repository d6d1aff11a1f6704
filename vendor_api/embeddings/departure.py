"""Whether a request's client is still there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Departure"]


class Departure:
    """Happens once or never: the client closes its connection before it has its answer."""

    def __init__(self) -> None:
        self.happened = False
        self._listeners: list[Callable[[], object]] = []

    def note(self) -> None:
        """The client has gone."""
        self.happened = True
        for listener in self._listeners:
            listener()

    @contextmanager
    def told_to(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call `listener` when it happens during the block, or at once if it has happened."""
        if self.happened:
            listener()
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
