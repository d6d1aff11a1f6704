"""What came of a fetch, counted while it goes on."""

from collections import Counter
from dataclasses import dataclass, field

from client.acquire.concurrency import Aimd
from client.acquire.purchase import Bought
from client.budget import Batch, ItemOutcome
from client.errors import ClientError

__all__ = ["Receipt"]


@dataclass(slots=True)
class Receipt:
    """What was bought and paid; `stopped` says why it ended early."""

    items: dict[str, int] = field(default_factory=lambda: {"image": 0, "text": 0})
    """Modality → vectors received."""
    sent_bytes: dict[str, int] = field(default_factory=dict)
    """`texts`, `original` or `pixels` → octets of such items on the wire, tries made again left out."""
    failures: list[ItemOutcome] = field(default_factory=list)
    cost_nanousd: int = 0
    """By the vendor's receipts."""
    balance_nanousd: int | None = None
    """On the account after the last answer."""
    requests: int = 0
    retries: int = 0
    """Tries that failed and were made again."""
    recovered: int = 0
    """Of the vectors, those that an earlier fetch had asked for."""
    seconds: float = 0.0
    """From the first recovered request to the last answer, the quote between them included."""
    buying_seconds: float = 0.0
    """Of these, from the first new request to the last answer."""
    budget_left_nanousd: int | None = None
    """Of the run's cap and its project's, the smaller; None where none was set."""
    window: Aimd | None = None
    """How many requests were in flight; None before any."""
    stopped: ClientError | None = None

    def add(self, bought: Bought) -> None:
        """Count one settled batch."""
        self.items[bought.batch.modality] += bought.delivered
        self.failures.extend(bought.failures)
        self.cost_nanousd += bought.cost_nanousd
        self.requests += 1
        if bought.sent_bytes:
            kind = _name_kind(bought.batch)
            self.sent_bytes[kind] = self.sent_bytes.get(kind, 0) + bought.sent_bytes
        if bought.balance_nanousd is not None:
            known = self.balance_nanousd
            # Answers overtake each other; within one fetch the balance only falls.
            self.balance_nanousd = (
                bought.balance_nanousd if known is None else min(known, bought.balance_nanousd)
            )

    @property
    def rate(self) -> float:
        """Vectors a second while buying, those of earlier fetches left out."""
        new = sum(self.items.values()) - self.recovered
        return new / self.buying_seconds if self.buying_seconds else 0.0

    @property
    def reasons(self) -> dict[str, int]:
        """Error code → items that have no vector because of it, free."""
        return dict(Counter(failure.code for failure in self.failures).most_common())


def _name_kind(batch: Batch) -> str:
    if batch.modality == "text":
        return "texts"
    return "pixels" if batch.form == "pixels" else "original"
