"""What a fetch would buy and what it would cost at most, before anything is spent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from client.acquire.batches import MAX_BYTES, wire_size
from client.acquire.scratch import CHUNK, Scratch
from client.acquire.wants import Wants
from client.budget import Budget, ItemOutcome, Journal
from client.cache import EmbeddingStore
from client.cache.store import FILE_VIEW
from client.data import DataError
from client.data.views import bound_bytes
from shared.errors import ErrorCode
from shared.money import parse_usd
from shared.wire import Modality, ModelDocument

MODALITIES: tuple[Modality, ...] = ("text", "image")
"""Texts first: they are few and cheap, and no training can do without them."""

LASTING = frozenset({ErrorCode.INVALID_IMAGE, ErrorCode.INVALID_TEXT})
"""Refusals that the same bytes would meet again; anything else is worth another try."""

__all__ = ["LASTING", "MODALITIES", "Quote", "QuoteLine", "make_quote"]


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One modality's part of a quote; of images, one view's."""

    modality: Modality
    distinct: int
    cached: int
    refused: tuple[ItemOutcome, ...]
    """Not asked again: the vendor cannot embed them, or they are too large to send."""
    missing: Mapping[bytes, int]
    """Digest → bytes on the wire, of what is to be bought."""
    price_nanousd: int
    view: str = FILE_VIEW
    """How the images are shown."""

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"{self.modality}s" + ("" if self.view == FILE_VIEW else f", {self.view}")

    @property
    def cost_nanousd(self) -> int:
        """At most: what was bought before on this account may turn out free."""
        return len(self.missing) * self.price_nanousd


@dataclass(frozen=True, slots=True)
class Quote:
    """What a fetch would do."""

    run: str
    wants: Wants
    document: ModelDocument
    lines: tuple[QuoteLine, ...]
    budget: Budget | None
    balance_nanousd: int | None

    @property
    def to_buy(self) -> int:
        """Items, texts and images together."""
        return sum(len(line.missing) for line in self.lines)

    @property
    def cost_nanousd(self) -> int:
        """At most."""
        return sum(line.cost_nanousd for line in self.lines)


def make_quote(
    wants: Wants,
    document: ModelDocument,
    *,
    store: EmbeddingStore,
    journal: Journal,
    run: str,
    budget: Budget | None = None,
    balance_nanousd: int | None = None,
    scratch: Scratch | None = None,
) -> Quote:
    """Compare what is wanted with what the cache holds; spends and changes nothing.

    What is missing is written to `scratch`, so that a few hundred items are in memory at a time, and
    what was refused.
    """
    prices: dict[Modality, str] = {
        "image": document.price_per_image_usd,
        "text": document.price_per_text_usd,
    }
    shown: dict[Modality, tuple[str, ...]] = {"image": wants.views, "text": (FILE_VIEW,)}
    desk = _Comparison(document.revision, store, journal, scratch or Scratch())
    side = document.preprocessing.image_size
    lines = tuple(
        desk.make_line(
            modality, view, _find_sizes(wants, modality, view, side), parse_usd(prices[modality])
        )
        for modality in MODALITIES
        for view in shown[modality]
    )
    return Quote(run, wants, document, lines, budget, balance_nanousd)


def _find_sizes(
    wants: Wants, modality: Modality, view: str, side: int
) -> Iterator[tuple[bytes, int]]:
    """Digest and bytes on the wire; of a view, which is drawn when it is sent, the most it can be."""
    if modality == "text":
        return ((digest, len(text.encode())) for digest, text in wants.texts.items())
    if view != FILE_VIEW:
        most = wire_size(bound_bytes(side))
        return ((digest, most) for digest in wants.images)
    return ((digest, _image_size(path)) for digest, path in wants.images.items())


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is wanted, held against what was bought and what was refused before."""

    revision: str
    store: EmbeddingStore
    journal: Journal
    scratch: Scratch

    def make_line(
        self, modality: Modality, view: str, sizes: Iterator[tuple[bytes, int]], price_nanousd: int
    ) -> QuoteLine:
        """The quote's line on one way of asking."""
        distinct = cached = 0
        refused: dict[bytes, ItemOutcome] = {}
        missing = self.scratch.sizes()
        while part := dict(islice(sizes, CHUNK)):
            held = self.store.held(self.revision, modality, list(part), view=view)
            wanted = {digest: size for digest, size in part.items() if digest not in held}
            refused |= self._find_refused(modality, view, wanted)
            missing.add((digest, n) for digest, n in wanted.items() if digest not in refused)
            distinct += len(part)
            cached += len(held)
        return QuoteLine(
            modality=modality,
            distinct=distinct,
            cached=cached,
            refused=tuple(refused[digest] for digest in sorted(refused)),
            missing=missing,
            price_nanousd=price_nanousd,
            view=view,
        )

    def _find_refused(
        self, modality: Modality, view: str, wanted: Mapping[bytes, int]
    ) -> dict[bytes, ItemOutcome]:
        known = self.journal.failures(self.revision, modality, list(wanted), view=view)
        refused = {digest: outcome for digest, outcome in known.items() if outcome.code in LASTING}
        for digest, size in wanted.items():
            if size > MAX_BYTES:
                said = f"{size:,} bytes in base64 are more than {MAX_BYTES:,}"
                refused.setdefault(digest, ItemOutcome(digest, "too_large", said))
        return refused


def _image_size(path: Path) -> int:
    try:
        return wire_size(path.stat().st_size)
    except OSError as error:
        raise DataError(
            f"{path} vanished ({error.strerror}): run the same command again"
        ) from error
