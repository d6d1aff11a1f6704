"""The requests that a quote comes to, each made when its turn comes."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from client.acquire.batches import measure_batches
from client.acquire.keys import name_request
from client.acquire.quote import Quote, QuoteLine
from client.budget import Batch, Journal

__all__ = ["Plan", "Planned"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A request to come."""

    batch: Batch
    line: QuoteLine
    """The part of the quote that it belongs to."""
    size: int
    """Bytes of its items on the wire."""

    @property
    def kind(self) -> str:
        """Requests of one kind take equally long."""
        return self.line.title


@dataclass(slots=True)
class Plan:
    """What is still to be asked, in the quote's order; holds a request or two in memory."""

    quote: Quote
    journal: Journal
    renderer: str
    """What draws views: `Sources.renderer`."""
    items_left: int = field(init=False)
    cost_left_nanousd: int = field(init=False)
    """At most."""
    _returned: deque[Planned] = field(init=False, default_factory=deque)
    _coming: Iterator[Planned] = field(init=False)

    def __post_init__(self) -> None:
        self.items_left = self.quote.to_buy
        self.cost_left_nanousd = self.quote.cost_nanousd
        self._coming = self._make_all()

    def take(self) -> Planned | None:
        """The next request; None when all were taken."""
        planned = self._returned.popleft() if self._returned else next(self._coming, None)
        if planned is not None:
            self._count(planned, -1)
        return planned

    def put_back(self, planned: Planned) -> None:
        """Let a request that was taken be the next again."""
        self._returned.appendleft(planned)
        self._count(planned, 1)

    def cut(self, planned: Planned, items: int) -> Planned:
        """The first so many items of a request that was taken; the others are put back."""
        digests, line = planned.batch.digests, planned.line
        size = sum(line.missing[digest] for digest in digests[:items])
        self.put_back(self._make(line, digests[items:], planned.size - size))
        return self._make(line, digests[:items], size)

    def rejoin(self, part: Planned, whole: Planned) -> Planned:
        """Undo a `cut`: the whole request, as if it had just been taken."""
        rest = self.take()
        if rest is None or part.batch.digests + rest.batch.digests != whole.batch.digests:
            raise RuntimeError("the request was not the last one cut")
        return whole

    def _count(self, planned: Planned, sign: int) -> None:
        self.items_left += sign * len(planned.batch.digests)
        self.cost_left_nanousd += sign * planned.batch.max_cost_nanousd

    def _make_all(self) -> Iterator[Planned]:
        for line in self.quote.lines:
            for digests, size in measure_batches(line.modality, line.missing):
                yield self._make(line, digests, size)

    def _make(self, line: QuoteLine, digests: tuple[bytes, ...], size: int) -> Planned:
        document = self.quote.document
        batch = Batch(
            run=self.quote.run,
            idempotency_key="",
            model_id=document.id,
            revision=document.revision,
            modality=line.modality,
            purpose=self.quote.wants.purpose,
            digests=digests,
            max_cost_nanousd=len(digests) * line.price_nanousd,
            view=line.view,
            form=line.form,
        )
        return Planned(name_request(batch, self.journal, self.renderer), line, size)
