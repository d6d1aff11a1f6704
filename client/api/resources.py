"""What can be asked of a vendor, one small class per noun."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from client.api.answers import EmbeddingResult, read_document, read_embeddings
from client.api.calls import Call, ImageInput, Input, TextInput, build_embedding, build_get
from client.api.http import Answer
from shared.codecs import EmbedDtype
from shared.wire import (
    BalanceDocument,
    ChargeList,
    ModelDocument,
    ModelList,
    UsageDocument,
)

Send = Callable[[Call], tuple[Answer, int]]

__all__ = ["Balances", "Charges", "Embeddings", "Images", "Models", "Usages"]


class Embeddings:
    """Vectors of texts and images."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def create(
        self,
        *,
        input: str | Sequence[str | Input],
        model: str,
        idempotency_key: str | None = None,
        embed_dtype: EmbedDtype = "float32",
        dimensions: int | None = None,
    ) -> EmbeddingResult:
        """One vector or error per item, in order; charged per distinct item not bought before.

        `model` is `id` or `id@revision`. Calls with the same `idempotency_key` are one purchase.
        Raises VendorError.
        """
        items = [_as_input(item) for item in ([input] if isinstance(input, str) else input)]
        call = build_embedding(
            items,
            model=model,
            dtype=embed_dtype,
            idempotency_key=idempotency_key,
            dimensions=dimensions,
        )
        answer, retries = self._send(call)
        return read_embeddings(
            answer.body, answer.headers, items=len(items), dtype=embed_dtype, retries=retries
        )


class Images:
    """Vectors of image files."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    def embed(
        self,
        images: Sequence[Path | str | bytes],
        *,
        model: str,
        idempotency_key: str | None = None,
        embed_dtype: EmbedDtype = "float32",
    ) -> EmbeddingResult:
        """One vector or error per image, in order; an image is a path or a file's bytes.

        Raises OSError for a file that cannot be read, VendorError for what the vendor refuses.
        """
        items = [
            ImageInput(image if isinstance(image, bytes) else Path(image).read_bytes())
            for image in images
        ]
        return self._embeddings.create(
            input=items, model=model, idempotency_key=idempotency_key, embed_dtype=embed_dtype
        )


class Models:
    """Models on sale."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def list(self) -> ModelList:
        """Every model on sale, with its price."""
        return read_document(ModelList, self._send(build_get("/v1/models"))[0].body)

    def get(self, model_id: str) -> ModelDocument:
        """One model. Raises NotFoundError when it is not served."""
        path = f"/v1/models/{quote(model_id, safe='/@')}"
        return read_document(ModelDocument, self._send(build_get(path))[0].body)


class Balances:
    """The account's money."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self) -> BalanceDocument:
        """What was credited, spent and held, and what is left."""
        return read_document(BalanceDocument, self._send(build_get("/v1/balance"))[0].body)


class Usages:
    """What was embedded, hour by hour."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, *, since: datetime | None = None, until: datetime | None = None) -> UsageDocument:
        """Hourly rows between two instants; the vendor's default span without them."""
        call = build_get(
            "/v1/usage",
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
        )
        return read_document(UsageDocument, self._send(call)[0].body)


class Charges:
    """Paid requests as the vendor's ledger holds them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def list(
        self,
        *,
        idempotency_key: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> ChargeList:
        """Charges, oldest first; with a key, the one it made or none."""
        call = build_get("/v1/charges", idempotency_key=idempotency_key, limit=limit, after=after)
        return read_document(ChargeList, self._send(call)[0].body)


def _as_input(item: str | Input) -> Input:
    return TextInput(item) if isinstance(item, str) else item
