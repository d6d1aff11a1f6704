"""A fetch's parts put together by hand, with pictures and texts of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from client.acquire import (
    Fetch,
    Forms,
    Pixels,
    Purchaser,
    Receipt,
    Sources,
    Wants,
    choose_forms,
    make_quote,
    recover,
)
from client.acquire.pixels import Load, load_transform
from client.budget import Budgets, Journal, check_books
from client.cache import EmbeddingStore
from client.teachers import Teacher, VendorTeacher
from shared.digests import digest_image, digest_text
from shared.wire import ModelDocument
from tests.client.pictures import make_picture
from tests.client.standin import StandInVendor

if TYPE_CHECKING:
    from client.settings import Upload

RUN = "run"


def instant(_seconds: float) -> None:
    """A sleep for tests."""


class Shop:
    """A fetch's parts, with pictures and texts of its own."""

    def __init__(
        self,
        vendor: StandInVendor,
        store: EmbeddingStore,
        folder: Path,
        *,
        run: str = RUN,
        sleep: Callable[[float], object] = instant,
    ) -> None:
        self.vendor, self.store, self.run, self.sleep = vendor, store, run, sleep
        self.journal, self.budgets = Journal(store.database), Budgets(store.database)
        self.images: dict[bytes, Path] = {}
        self.texts: dict[bytes, str] = {}
        self.folder = folder
        self.cap = 10**9
        self.threads = 2
        self.teacher: Teacher | None = None
        """Asked instead of the vendor."""
        self.upload: Upload = "original"
        self.load: Load = load_transform
        """What makes pixels, when they are asked for."""

    def add_images(self, count: int, extra: bytes = b"") -> list[Path]:
        files = []
        for number in range(count):
            data = make_picture(len(self.images) + number) + extra
            file = self.folder / f"{digest_image(data).hex()[:12]}.png"
            file.write_bytes(data)
            files.append(file)
            self.images[digest_image(data)] = file
        return files

    def add_texts(self, *texts: str) -> None:
        self.texts |= {digest_text(text): text for text in texts}

    def choose_forms(self) -> Forms:
        document = ModelDocument.model_validate(self.vendor.model_document())
        return choose_forms(self.upload, document, Pixels(document, self.load))

    def purchaser(self) -> Purchaser:
        forms = self.choose_forms()
        return Purchaser(
            self.teacher or VendorTeacher(self.vendor.client(sleep=self.sleep)),
            self.store,
            self.journal,
            Sources(self.images, self.texts, pixels=forms.pixels),
            self.vendor.rebuy_free_days,
            forms,
            sleep=self.sleep,
        )

    def fetch(
        self, purchaser: Purchaser | None = None, *, kind: type[Fetch] = Fetch, **changes: object
    ) -> Receipt:
        """Recover, quote from the vendor's document with these changes, and buy."""
        purchaser = purchaser or self.purchaser()
        receipt = Receipt()
        for bought in recover(purchaser, self.run):
            receipt.add(bought)
        quote = make_quote(
            Wants("training", self.images, self.texts),
            ModelDocument.model_validate(self.vendor.model_document() | changes),
            store=self.store,
            journal=self.journal,
            run=self.run,
            forms=purchaser.forms,
        )
        self.budgets.set_cap(self.run, self.cap)
        fetch = kind(
            purchaser,
            self.budgets,
            quote,
            receipt=receipt,
            in_flight=self.threads,
            at_first=self.threads,
        )
        return fetch.run()

    def check(self) -> None:
        assert len(self.vendor.sold) == len(set(self.vendor.sold))
        assert sum(t.cost_nanousd for t in self.journal.totals()) == self.vendor.debited
        check_books(self.store.database)
