"""The requests that a cold fetch sends, made beforehand for the load generator."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from client.acquire import is_wanted
from client.acquire.batches import make_batches, wire_size
from client.api import Input, TextInput, VendorClient
from client.api.calls import ImageInput, build_frames
from client.cli.stocktaking import DEFAULT_TEMPLATE
from client.data import make_prompts, scan_folders
from client.data.manifest import Manifest
from shared.digests import digest_text
from tests.bench.client_load import write_bodies
from tests.bench.client_vendor import MODEL, Vendor

if TYPE_CHECKING:
    from shared.wire import Modality

__all__ = ["make_bodies"]


def make_bodies(data: Path, file: Path, vendor: Vendor) -> int:
    """Write the requests that a fetch of these pictures sends; how many texts and pictures they are."""
    manifest = scan_folders(data)
    texts = list_texts(manifest, vendor)
    wanted = {p.digest: manifest.file(p) for p in manifest.pictures if is_wanted(p, "training")}
    asked: list[list[Input]] = [
        [TextInput(texts[digest]) for digest in batch]
        for batch in make_batches("text", {d: len(t.encode()) for d, t in texts.items()})
    ]
    wire = {digest: wire_size(path.stat().st_size) for digest, path in wanted.items()}
    pictures = (
        list[Input](ImageInput(wanted[digest].read_bytes()) for digest in batch)
        for batch in make_batches("image", wire)
    )
    bodies: list[tuple[Modality, bytes]] = [("text", build_body(items)) for items in asked]
    write_bodies(file, chain(bodies, (("image", build_body(items)) for items in pictures)))
    return len(texts) + len(wanted)


def list_texts(manifest: Manifest, vendor: Vendor) -> dict[bytes, str]:
    """Digest → what a fetch asks of the classes, in the words that the vendor recommends."""
    with VendorClient(api_key=vendor.key, base_url=vendor.url) as client:
        templates = tuple(client.models.get(MODEL).prompt_templates) or (DEFAULT_TEMPLATE,)
    prompts = make_prompts(manifest, "vendor", templates=templates, sources=manifest.domains)
    return {digest_text(text): text for words in prompts.values() for text in words}


def build_body(items: Sequence[Input]) -> bytes:
    """A request's body, as `vl2v fetch` sends it."""
    key = "told by the generator"
    request = build_frames(items, model=MODEL, dtype="float16", idempotency_key=key)
    assert request.body is not None
    return request.body
