"""One paid request in the journal, as plain values."""

from dataclasses import dataclass
from typing import Literal

from client.cache.store import FILE_VIEW, Purpose
from shared.wire import Modality

State = Literal["planned", "sent", "unknown", "settled", "failed"]
"""planned → sent → settled | failed | unknown; recovery settles or fails what is sent or unknown."""
Form = Literal["json", "frames", "pixels"]
"""How a request's items travel. To the vendor a picture's file and its pixels are two items."""
OPEN: tuple[State, ...] = ("planned", "sent", "unknown")
UNDER_WAY: tuple[State, ...] = ("sent", "unknown")

__all__ = [
    "OPEN",
    "UNDER_WAY",
    "Batch",
    "Entry",
    "Form",
    "ItemOutcome",
    "Settlement",
    "State",
    "Total",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request will ask for, decided before a byte is sent."""

    run: str
    idempotency_key: str
    model_id: str
    revision: str
    modality: Modality
    purpose: Purpose
    digests: tuple[bytes, ...]
    """Distinct, in the order they are sent."""
    max_cost_nanousd: int
    view: str = FILE_VIEW
    """How every picture of it is shown; `digests` are the files' all the same."""
    form: Form = "json"
    """How they travel. The vendor answers a key in one form alone, so that asking again needs the same."""

    @property
    def model(self) -> str:
        """`id@revision`, so that the vendor refuses to answer with other weights."""
        return f"{self.model_id}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch and how far it came."""

    batch: Batch
    state: State
    cost_nanousd: int | None


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """Why an item of a settled batch has no vector."""

    digest: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a batch cost in the end, by the vendor's receipt."""

    cost_nanousd: int
    charge_id: str | None = None
    request_id: str | None = None
    failures: tuple[ItemOutcome, ...] = ()
    problem: str | None = None
    """Why its vectors did not arrive although it was charged."""


@dataclass(frozen=True, slots=True)
class Total:
    """What one purpose and modality came to."""

    purpose: Purpose
    modality: Modality
    requests: int
    items: int
    """Embedded."""
    failed: int
    """Refused one by one, free."""
    cost_nanousd: int
