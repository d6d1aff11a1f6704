"""The vendor as a teacher: metered there, paid, each call safe to repeat."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.api import EmbeddingResult, Input, NotFoundError, VendorClient
from client.cache.documents import VENDOR, TeacherDocument
from client.errors import UsageError
from client.teachers.protocol import Recall
from shared.money import parse_usd
from shared.wire import ChargeDocument, ModelDocument

__all__ = ["VendorTeacher", "find_model"]


class VendorTeacher:
    """A vendor's client under the names that every teacher has."""

    spec = VENDOR
    metered = True

    def __init__(self, client: VendorClient) -> None:
        self._client = client

    def describe(self, model: str, recall: Recall) -> TeacherDocument:  # noqa: ARG002 (it publishes all)
        """The document of `id` or `id@revision` on sale now. Raises UsageError for another one."""
        return TeacherDocument(**find_model(self._client, model).model_dump())

    def embed(
        self, items: Sequence[Input], *, model: str, idempotency_key: str, framed: bool = False
    ) -> EmbeddingResult:
        """The vendor's answer, charged once under the key. Raises VendorError."""
        return self._client.embeddings.create(
            input=items,
            model=model,
            idempotency_key=idempotency_key,
            embed_dtype="float16",
            wire="frames" if framed else "json",
        )

    def embed_pixels(
        self, pixels: NDArray[np.uint8], *, model: str, idempotency_key: str
    ) -> EmbeddingResult:
        """The vendor's answer to pictures prepared here. Raises VendorError."""
        return self._client.images.embed_pixels(
            pixels, model=model, idempotency_key=idempotency_key, embed_dtype="float16"
        )

    def find_charge(self, idempotency_key: str) -> ChargeDocument | None:
        """The vendor's own record of a call. Raises VendorError."""
        return self._client.charges.get(idempotency_key)

    def read_balance(self) -> int:
        """Nano-dollars left on the account. Raises VendorError."""
        return parse_usd(self._client.balance.get().available_usd)

    def close(self) -> None:
        """Let go of every connection."""
        self._client.close()


def find_model(client: VendorClient, model: str) -> ModelDocument:
    """The document of `id` or `id@revision` on sale now. Raises UsageError for another one."""
    name, _, revision = model.partition("@")
    try:
        if not name:
            raise UsageError(f"name the model with --model: one of {_list(client)} (`vl2v models`)")
        document = client.models.get(name)
    except NotFoundError as error:
        raise UsageError(
            f"the vendor serves no model {name!r}: choose one of {_list(client)} (`vl2v models`)"
        ) from error
    if revision and revision != document.revision:
        raise UsageError(
            f"the vendor now serves {name}@{document.revision}, not {revision}: leave out "
            f"@{revision} to buy from the new revision"
        )
    return document


def _list(client: VendorClient) -> str:
    return ", ".join(sorted(item.id for item in client.models.list().data)) or "none"
