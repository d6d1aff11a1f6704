"""What every teacher can do, whoever it is."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client.api import EmbeddingResult, Input
from client.cache.documents import TeacherDocument
from shared.wire import ChargeDocument

Recall = Callable[[str], Sequence[TeacherDocument]]
"""`id` → the documents under which it was asked, the last one first."""

__all__ = ["Recall", "Teacher"]


class Teacher(Protocol):
    """Answers texts and images with unit vectors; safe to use from several threads."""

    @property
    def spec(self) -> str:
        """What to type after --teacher to have it."""

    @property
    def metered(self) -> bool:
        """Whether it keeps books of its own, which `vl2v reconcile` compares with the journal."""

    def describe(self, model: str, recall: Recall) -> TeacherDocument:
        """The model that it answers with now, which `embed` is then asked for as `id@revision`.

        model: `id`, `id@revision`, or empty where it has only one. Raises UsageError for one that it
        does not have, VendorError when it cannot be asked.
        """

    def embed(
        self, items: Sequence[Input], *, model: str, idempotency_key: str, framed: bool = False
    ) -> EmbeddingResult:
        """One vector or error per item, in order, and what that costs.

        A metered teacher charges calls of one `idempotency_key` once; any other may simply be asked
        again. `framed` items, all of one modality, travel as octets to a teacher whose document says
        `octets`. Raises VendorError, for every item.
        """

    def embed_pixels(
        self, pixels: NDArray[np.uint8], *, model: str, idempotency_key: str
    ) -> EmbeddingResult:
        """`embed` of uint8[n, side, side, 3], of a teacher whose document has a `pixel_probe`."""

    def find_charge(self, idempotency_key: str) -> ChargeDocument | None:
        """Its own record of a call; None when there is none. Raises VendorError."""

    def read_balance(self) -> int | None:
        """Nano-dollars left with it; None where there is no account. Raises VendorError."""

    def close(self) -> None:
        """Let go of connections and memory."""
