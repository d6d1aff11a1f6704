"""From the folder or list that a fetch names to what it wants of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from rich.status import Status

from client.acquire import Catalogue, Scratch, Sources, Wants, check_targets, is_wanted, take_stock
from client.cache.store import FILE_VIEW
from client.cli.order import FetchOrder
from client.cli.screen import errors
from client.data import DigestMemo, Manifest, make_prompts, scan_folders
from client.data.descriptions import list_texts
from client.data.folders import open_source, read_pictures
from client.data.manifest import Picture, Source, Unreadable
from client.data.views import name_views
from shared.digests import digest_text
from shared.wire import ModelDocument

DEFAULT_TEMPLATE = "a photo of a {}"
"""For a vendor that recommends none."""
COUNTED = 500

__all__ = ["Stock", "read_stock"]


@dataclass(frozen=True, slots=True)
class Stock:
    """A data source as one fetch sees it."""

    source: Source
    catalogue: Catalogue
    texts: tuple[str, ...]
    """Beside the prompts: described classes, and captions of the wanted pictures where a file has them."""

    def choose(self, order: FetchOrder, document: ModelDocument) -> tuple[Wants, Sources]:
        """What is wanted of a model, and where the bytes of it and of everything else are."""
        texts = self._list_prompts(order, document)
        if order.purpose == "training":
            texts |= {digest_text(text): text for text in self.texts}
        views = name_views(order.narrowing.views) or (FILE_VIEW,)
        wants = Wants(order.purpose, self.catalogue.wanted, texts, views)
        return wants, Sources(self.catalogue.images, texts, document.preprocessing.image_size)

    def _list_prompts(self, order: FetchOrder, document: ModelDocument) -> dict[bytes, str]:
        if not self.catalogue.classes:
            return {}
        templates = order.templates or tuple(document.prompt_templates) or (DEFAULT_TEMPLATE,)
        sources = [domain for domain in self.catalogue.domains if domain not in order.targets]
        prompts = make_prompts(self.catalogue, order.prompts, templates=templates, sources=sources)
        return {digest_text(text): text for words in prompts.values() for text in words}


def read_stock(order: FetchOrder, memo: DigestMemo, scratch: Scratch) -> Stock:
    """Read the order's data. Raises DataError, and UsageError for targets that it has not.

    In memory are a few hundred pictures at a time, unless the order compares them with each other.
    """
    source = open_source(order.data)
    with errors().status("reading the pictures") as status:
        if order.compares:
            return _choose_among(order, source, scan_folders(order.data, memo=memo), scratch)

        def wanted(picture: Picture) -> bool:
            seed = order.split_seed
            return is_wanted(picture, order.purpose, order.targets, split_seed=seed)

        stream = _count(read_pictures(source, memo=memo), status)
        catalogue = take_stock(source.root, stream, wanted, scratch)
    check_targets(catalogue.domains, source.data, order.targets, order.purpose)
    return Stock(source, catalogue, _list_texts(order, catalogue, ()))


def _choose_among(order: FetchOrder, source: Source, manifest: Manifest, scratch: Scratch) -> Stock:
    check_targets(manifest.domains, source.data, order.targets, order.purpose)
    pictures, seed = manifest.pictures, order.split_seed
    rows = [
        row
        for row, picture in enumerate(pictures)
        if is_wanted(picture, order.purpose, order.targets, split_seed=seed)
    ]
    chosen = [pictures[row] for row in order.narrowing.picker(manifest, order.targets)(rows)]
    digests = {picture.digest for picture in chosen}
    bad = (Unreadable(path, reason) for path, reason in manifest.unreadable)
    stream: Iterator[Picture | Unreadable] = chain(pictures, bad)
    catalogue = take_stock(source.root, stream, lambda p: p.digest in digests, scratch)
    return Stock(source, catalogue, _list_texts(order, catalogue, chosen))


def _list_texts(
    order: FetchOrder, catalogue: Catalogue, pictures: Sequence[Picture]
) -> tuple[str, ...]:
    if order.purpose != "training":
        return ()
    return tuple(
        list_texts(catalogue.root, catalogue.classes, pictures, order.descriptions, order.captions)
    )


def _count(
    stream: Iterator[Picture | Unreadable], status: Status
) -> Iterator[Picture | Unreadable]:
    for number, item in enumerate(stream, start=1):
        if number % COUNTED == 0:
            status.update(f"reading the pictures: {number:,}")
        yield item
