"""Requests as large as an endpoint takes, and one bad item never costs its neighbours their vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client.api import APIStatusError, Input
from client.teachers.outcomes import INVALID, Outcome, modality_of
from shared.wire import ItemError

TOO_MUCH = frozenset({413, 422})
"""Said of a request that has too many items or bytes; of an item, too."""
ITS_OWN = frozenset({400, 413, 415, 422, 500})
"""Statuses that one item may be the cause of; any other is about the endpoint or the key."""
MOST = 2048
"""Items a request to begin with, what infinity takes of texts; of images it takes 32."""
SHOWN = 300

Ask = Callable[[Sequence[Input]], list[Outcome]]
"""Sends one request. Raises APIStatusError."""

__all__ = ["ITS_OWN", "Divider"]


@dataclass(slots=True)
class Divider:
    """Asks in parts; a part that is refused is halved until the item that is to blame stands alone."""

    ask: Ask
    works: Callable[[], bool]
    """Whether the endpoint answers an item that is known to be good."""
    most: int = MOST
    """Items a request, learned from what was refused for its length."""

    def embed(self, items: Sequence[Input]) -> list[Outcome]:
        """A vector or an error for each item, in order.

        Raises the endpoint's own APIStatusError when it is to blame, not an item.
        """
        outcomes: list[Outcome] = []
        while len(outcomes) < len(items):
            start = len(outcomes)
            outcomes += self._embed_part(items[start : start + self.most])
        return outcomes

    def _embed_part(self, part: Sequence[Input]) -> list[Outcome]:
        try:
            return self.ask(part)
        except APIStatusError as error:
            if error.status_code not in ITS_OWN:
                raise
            if len(part) == 1:
                return [self._blame(part[0], error)]
            refused = error
        half = (len(part) + 1) // 2
        outcomes = self._embed_part(part[:half]) + self._embed_part(part[half:])
        if refused.status_code in TOO_MUCH and not any(map(_failed, outcomes)):
            self.most = min(self.most, half)
        return outcomes

    def _blame(self, item: Input, error: APIStatusError) -> ItemError:
        if not self.works():
            raise error
        code: str = INVALID[modality_of(item)]
        if error.status_code >= 500:
            code = "endpoint_failed"  # asked again the next time: it may have been something else
        return ItemError(code=code, message=str(error)[:SHOWN])


def _failed(outcome: Outcome) -> bool:
    return isinstance(outcome, ItemError)
