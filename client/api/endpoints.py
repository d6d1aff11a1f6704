"""What can be asked of a vendor, as pure functions: arguments in, a request and its reading out.

`resources` sends them and waits, `async_resources` sends them and awaits; nothing is written twice.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from client.api.answers import D, EmbeddingResult, read_document, read_embeddings
from client.api.calls import (
    Answer,
    Call,
    Input,
    Request,
    TextInput,
    Wire,
    build_embedding,
    build_frames,
    build_get,
    build_tensor,
    find_repeated_pixels,
    find_repeats,
)
from client.api.errors import InvalidInputError
from client.api.inputs import Picture, check_pixels, read_inputs, read_pictures
from client.api.octets import read_octets
from shared.codecs import EmbedDtype
from shared.wire import (
    BalanceDocument,
    ChargeDocument,
    ChargeList,
    ModelDocument,
    ModelList,
    UsageDocument,
)

__all__ = [
    "create_embeddings",
    "embed_images",
    "embed_pixels",
    "export_account",
    "get_balance",
    "get_charge",
    "get_model",
    "get_usage",
    "list_charges",
    "list_models",
]


def create_embeddings(
    *,
    input: str | Sequence[str | Input],
    model: str,
    idempotency_key: str | None = None,
    embed_dtype: EmbedDtype = "float32",
    dimensions: int | None = None,
    atomic: bool = False,
    partial_ok: bool = False,
    wire: Wire = "json",
) -> Request[EmbeddingResult]:
    """One vector or error per item, in order; charged per distinct item not bought before.

    `model` is `id` or `id@revision`. Calls with the same `idempotency_key` are one purchase; without
    one, each call has its own. With `atomic`, one item that cannot be embedded refuses the request,
    free. With `partial_ok`, an engine that fails part-way delivers and charges what it has. With
    `wire="frames"` items of one kind travel as octets, of a model whose document says `octets`: the
    same purchase in fewer bytes, but another request to an idempotency key. Raises InvalidInputError
    before anything is sent, VendorError for what the vendor refuses.
    """
    return _embed(
        read_inputs(input),
        model,
        idempotency_key,
        embed_dtype,
        wire,
        dimensions=dimensions,
        atomic=atomic,
        partial_ok=partial_ok,
    )


def embed_images(
    images: Picture | Iterable[Picture],
    *,
    model: str,
    idempotency_key: str | None = None,
    embed_dtype: EmbedDtype = "float32",
    atomic: bool = False,
    partial_ok: bool = False,
    wire: Wire = "json",
) -> Request[EmbeddingResult]:
    """One vector or error per image, in order; charged per distinct image not bought before.

    An image is a path, the bytes of a JPEG, PNG or WebP file, a PIL image, or a uint8 array of shape
    (height, width) or (height, width, 3); one alone is a list of one. A file is known again by its
    bytes: pass its path rather than the opened image. Raises InvalidInputError, which names every
    image that cannot be read by its index, before anything is sent; VendorError for what the vendor
    refuses. The other options are those of `embeddings.create`.
    """
    return _embed(
        read_pictures(images),
        model,
        idempotency_key,
        embed_dtype,
        wire,
        atomic=atomic,
        partial_ok=partial_ok,
    )


def embed_pixels(
    pixels: NDArray[np.uint8],
    *,
    model: str,
    idempotency_key: str | None = None,
    embed_dtype: EmbedDtype = "float32",
    atomic: bool = False,
    partial_ok: bool = False,
) -> Request[EmbeddingResult]:
    """One vector or error per picture of uint8[n, side, side, 3], prepared as the model's document says.

    For clients that resize themselves (`shared.pixels.PixelTransform`), so that the vendor need not
    decode. Pixels are another item than the file they came from: what was bought as one is charged
    again as the other. Raises InvalidInputError for another shape, before anything is sent. The other
    options are those of `embeddings.create`.
    """
    checked = check_pixels(pixels)
    call = build_tensor(
        checked,
        model=model,
        dtype=embed_dtype,
        idempotency_key=idempotency_key,
        atomic=atomic,
        partial_ok=partial_ok,
    )
    return Request(call, _reader(read_octets, find_repeated_pixels(checked), embed_dtype))


def list_models() -> Request[ModelList]:
    """Every model on sale, with its price."""
    return _ask(ModelList, build_get("/v1/models"))


def get_model(model_id: str) -> Request[ModelDocument]:
    """One model. Raises NotFoundError when it is not served."""
    return _ask(ModelDocument, build_get(f"/v1/models/{quote(model_id, safe='/@')}"))


def get_balance() -> Request[BalanceDocument]:
    """What was credited, spent and held, and what is left."""
    return _ask(BalanceDocument, build_get("/v1/balance"))


def get_usage(
    *, since: datetime | None = None, until: datetime | None = None
) -> Request[UsageDocument]:
    """Hourly rows between two instants; the vendor's default span without them."""
    call = build_get(
        "/v1/usage",
        since=since.isoformat() if since else None,
        until=until.isoformat() if until else None,
    )
    return _ask(UsageDocument, call)


def list_charges(
    *,
    idempotency_key: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Request[ChargeList]:
    """One page of charges, oldest first, from behind the charge with the id `after`.

    With an idempotency key: the charge that it made, or none.
    """
    return _ask(
        ChargeList,
        build_get("/v1/charges", idempotency_key=idempotency_key, limit=limit, after=after),
    )


def get_charge(idempotency_key: str) -> Request[ChargeDocument | None]:
    """The charge that an idempotency key made; None when the vendor never charged under it."""
    page = list_charges(idempotency_key=idempotency_key)

    def read(answer: Answer, retries: int) -> ChargeDocument | None:
        charges = page.read(answer, retries).data
        return charges[-1] if charges else None

    return Request(page.call, read)


def export_account() -> Request[bytes]:
    """All that the vendor keeps about the account: a ZIP of JSON lines, whose `manifest.json` counts
    the rows of each file and has its SHA-256."""
    return Request(build_get("/v1/account/export"), lambda answer, _retries: answer.body)


def _embed(
    items: Sequence[Input],
    model: str,
    idempotency_key: str | None,
    dtype: EmbedDtype,
    wire: Wire,
    **options: int | None,
) -> Request[EmbeddingResult]:
    build, read = build_embedding, read_embeddings
    if wire == "frames":
        _check_frames(items, options.get("dimensions"))
        build, read = build_frames, read_octets
    call = build(items, model=model, dtype=dtype, idempotency_key=idempotency_key, **options)
    return Request(call, _reader(read, find_repeats(items), dtype))


def _check_frames(items: Sequence[Input], dimensions: int | None) -> None:
    if len({isinstance(item, TextInput) for item in items}) > 1:
        raise InvalidInputError(
            "nothing was sent: frames hold texts or images, not both: ask twice, or with wire='json'"
        )
    if dimensions is not None:
        raise InvalidInputError(
            "nothing was sent: frames have the model's own dimension: leave `dimensions` out"
        )


def _reader(
    read: Callable[..., EmbeddingResult], repeats: Sequence[bool], dtype: EmbedDtype
) -> Callable[[Answer, int], EmbeddingResult]:
    def read_answer(answer: Answer, retries: int) -> EmbeddingResult:
        return read(answer.body, answer.headers, repeats=repeats, dtype=dtype, retries=retries)

    return read_answer


def _ask(kind: type[D], call: Call) -> Request[D]:
    return Request(call, partial(_read, kind))


def _read(kind: type[D], answer: Answer, _retries: int) -> D:
    return read_document(kind, answer.body)
