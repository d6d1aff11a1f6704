"""What a fetch would buy and what it would cost at most, before anything is spent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from client.acquire.batches import MAX_BYTES
from client.acquire.forms import UNDECODABLE, USUAL, Forms, measure
from client.acquire.pixels import PixelsDiffer
from client.acquire.scratch import CHUNK, Scratch, Table
from client.acquire.wants import Wants
from client.budget import Budget, Form, ItemOutcome, Journal
from client.cache import EmbeddingStore
from client.cache.store import FILE_VIEW
from client.data import DataError
from client.data.views import bound_bytes
from client.errors import UsageError
from client.settings import Upload
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
    """Digest → bytes that decide which items travel together, of what is to be bought."""
    price_nanousd: int
    view: str = FILE_VIEW
    """How the images are shown."""
    form: Form = "json"
    """How they travel."""
    again: bool = False
    """Whether they were bought before, in this form and not in the one that is asked for now."""
    original_bytes: int = 0
    """On the wire, of what is to be bought, as it is; of views, which are drawn later, at most."""

    @property
    def title(self) -> str:
        """What a person reads."""
        again = (
            f", bought as {'pixels' if self.form == 'pixels' else 'files'}" if self.again else ""
        )
        return f"{self.modality}s" + ("" if self.view == FILE_VIEW else f", {self.view}") + again

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
    forms: Forms = USUAL
    """How the teacher is asked."""

    @property
    def upload_bytes(self) -> dict[Upload, int]:
        """What the pictures to be bought come to on the wire by each upload that the teacher takes."""
        lines = [line for line in self.lines if line.modality == "image"]
        found: dict[Upload, int] = {"original": sum(line.original_bytes for line in lines)}
        if self.forms.pixels is not None:
            side = self.document.preprocessing.image_size
            found["pixels"] = sum(len(line.missing) for line in lines) * 3 * side * side
        return found

    @property
    def to_buy(self) -> int:
        """Items, texts and images together."""
        return sum(len(line.missing) for line in self.lines)

    @property
    def cost_nanousd(self) -> int:
        """At most."""
        return sum(line.cost_nanousd for line in self.lines)


def make_quote(  # noqa: PLR0913  (each is a seam of its own)
    wants: Wants,
    document: ModelDocument,
    *,
    store: EmbeddingStore,
    journal: Journal,
    run: str,
    budget: Budget | None = None,
    balance_nanousd: int | None = None,
    scratch: Scratch | None = None,
    forms: Forms = USUAL,
) -> Quote:
    """Compare what is wanted with what the cache holds; spends and changes nothing.

    What is missing is written to `scratch`, so that a few hundred items are in memory at a time, and
    what was refused. Pictures whose vectors were bought in another form than `forms` asks for, and are
    lost, get a line of their own: they are free in that form. Raises UsageError where it needs torch.
    """
    prices: dict[Modality, str] = {
        "image": document.price_per_image_usd,
        "text": document.price_per_text_usd,
    }
    shown: dict[Modality, tuple[str, ...]] = {"image": wants.views, "text": (FILE_VIEW,)}
    side = document.preprocessing.image_size
    desk = _Comparison(document.revision, side, store, journal, scratch or Scratch(), forms)
    lines = tuple(
        line
        for modality in MODALITIES
        for view in shown[modality]
        for line in desk.make_lines(
            modality, view, _find_sizes(wants, modality, view, side), parse_usd(prices[modality])
        )
    )
    return Quote(run, wants, document, lines, budget, balance_nanousd, forms)


def _find_sizes(
    wants: Wants, modality: Modality, view: str, side: int
) -> Iterator[tuple[bytes, int]]:
    """Digest and bytes; of a view, which is drawn when it is sent, the most it can be."""
    if modality == "text":
        return ((digest, len(text.encode())) for digest, text in wants.texts.items())
    if view != FILE_VIEW:
        most = bound_bytes(side)
        return ((digest, most) for digest in wants.images)
    return ((digest, _image_size(path)) for digest, path in wants.images.items())


@dataclass(slots=True)
class _Tally:
    """A line of a quote in the making."""

    form: Form
    missing: Table[bytes, int]
    distinct: int = 0
    cached: int = 0
    refused: dict[bytes, ItemOutcome] = field(default_factory=dict)
    original_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is wanted, held against what was bought and what was refused before."""

    revision: str
    side: int
    store: EmbeddingStore
    journal: Journal
    scratch: Scratch
    forms: Forms

    def make_lines(
        self, modality: Modality, view: str, sizes: Iterator[tuple[bytes, int]], price_nanousd: int
    ) -> Iterator[QuoteLine]:
        """The quote's line on one way of asking, and one on what was bought in another form."""
        form = self.forms.image if modality == "image" else self.forms.text
        asked, again = (_Tally(form, self.scratch.sizes()) for _ in range(2))
        while part := dict(islice(sizes, CHUNK)):
            held = self.store.held(self.revision, modality, list(part), view=view)
            wanted = {digest: size for digest, size in part.items() if digest not in held}
            before = self._find_bought(again, modality, view, wanted)
            now = wanted.keys() - before
            self._count(asked, modality, view, {digest: wanted[digest] for digest in now})
            self._count(again, modality, view, {digest: wanted[digest] for digest in before})
            asked.distinct += len(held)
            asked.cached += len(held)
        for tally in (asked, again):
            if tally is asked or tally.distinct:
                yield QuoteLine(
                    modality=modality,
                    distinct=tally.distinct,
                    cached=tally.cached,
                    refused=tuple(tally.refused[digest] for digest in sorted(tally.refused)),
                    missing=tally.missing,
                    price_nanousd=price_nanousd,
                    view=view,
                    form=tally.form,
                    again=tally is again,
                    original_bytes=tally.original_bytes,
                )

    def _count(
        self, tally: _Tally, modality: Modality, view: str, wanted: Mapping[bytes, int]
    ) -> None:
        """Take items that are not in the cache into a line."""
        refused = self._find_refused(modality, view, tally.form, wanted)
        missing = {digest: size for digest, size in wanted.items() if digest not in refused}
        tally.missing.add(
            (digest, self._weigh(modality, tally.form, size)) for digest, size in missing.items()
        )
        tally.refused |= refused
        tally.distinct += len(wanted)
        whole = self.forms.originals
        tally.original_bytes += sum(measure(modality, whole, n, 0) for n in missing.values())

    def _weigh(self, modality: Modality, form: Form, size: int) -> int:
        """What an item counts among those that travel together.

        A file counts as in JSON, however it travels: the same files then are the same requests, under
        the same keys.
        """
        return measure(modality, "pixels" if form == "pixels" else "json", size, self.side)

    def _find_bought(
        self, again: _Tally, modality: Modality, view: str, wanted: Mapping[bytes, int]
    ) -> frozenset[bytes]:
        """Those that were paid for in another form, which `again` then is; none where that is no more."""
        if modality != "image" or not wanted:
            return frozenset()
        pixels = self.forms.image == "pixels"
        found = self.journal.bought_otherwise(self.revision, list(wanted), view=view, pixels=pixels)
        if not found:
            return found
        again.form = self.forms.originals if pixels else "pixels"
        return found if pixels or self._can_draw() else frozenset()

    def _can_draw(self) -> bool:
        """Whether pixels are still what they were. Raises UsageError without torch."""
        if self.forms.pixels is None:
            return False
        try:
            self.forms.pixels.check()
        except PixelsDiffer:
            return False
        except UsageError as error:
            raise UsageError(
                "some pictures were bought as pixels and are free again only as pixels, which need "
                "torch: type `pip install 'vl2v[train]'`"
            ) from error
        return True

    def _find_refused(
        self, modality: Modality, view: str, form: Form, wanted: Mapping[bytes, int]
    ) -> dict[bytes, ItemOutcome]:
        known = self.journal.failures(self.revision, modality, list(wanted), view=view)
        lasting = LASTING | {UNDECODABLE} if form == "pixels" else LASTING
        refused = {digest: outcome for digest, outcome in known.items() if outcome.code in lasting}
        for digest, size in wanted.items():
            weight = self._weigh(modality, form, size)
            if weight > MAX_BYTES:
                said = f"{weight:,} bytes in base64 are more than {MAX_BYTES:,}"
                refused.setdefault(digest, ItemOutcome(digest, "too_large", said))
        return refused


def _image_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} vanished ({error.strerror}): run the same command again"
        ) from error
