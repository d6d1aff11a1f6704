"""The computing of one request's distinct items: decode in threads, then the engine."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from shared.codecs import Vector
from shared.errors import ErrorCode
from shared.wire import ItemError, ProblemItem
from vendor_api.embeddings.images import ImageRefused, open_image
from vendor_api.embeddings.requests import Ask
from vendor_api.engine.base import (
    EngineUnavailable,
    Item,
    ItemFailure,
    Pixels,
    Preparation,
    ServedModel,
)
from vendor_api.errors import VendorError
from vendor_api.metering.service import NothingDelivered

__all__ = ["ClientGone", "Work", "refuse_all"]


class ClientGone(Exception):
    """The client closed the connection before anything was computed; nothing was charged."""


class Work:
    """Computes once for each line of a quote and remembers what came out."""

    def __init__(
        self,
        model: ServedModel,
        asks: Sequence[Ask],
        *,
        pool: Executor,
        deadline: float,
        gone: asyncio.Event,
    ) -> None:
        self._model = model
        self._asks = asks
        self._pool = pool
        self._deadline = deadline
        self._gone = gone
        self.vectors: list[Vector | None] = [None] * len(asks)
        self.problems: list[ItemError | None] = [None] * len(asks)
        self.truncated: list[bool] = [False] * len(asks)
        self.tokens: list[int] = [0] * len(asks)

    async def run(self) -> list[bool]:
        """Which lines have a vector now.

        Raises NothingDelivered when no image can be decoded, ClientGone, or VendorError when the
        engine has failed.
        """
        prepared = await self._prepare()
        ready = [line for line, item in enumerate(prepared) if item is not None]
        if not ready:
            raise refuse_all(self.problems)
        if self._gone.is_set():
            raise ClientGone
        outcomes = await self._embed([item for item in prepared if item is not None])
        for line, outcome in zip(ready, outcomes, strict=True):
            self._note(line, outcome)
        if not any(vector is not None for vector in self.vectors):
            raise _unavailable(EngineUnavailable("the model failed on every item"))
        return [vector is not None for vector in self.vectors]

    async def _prepare(self) -> list[Item | None]:
        loop = asyncio.get_running_loop()
        texts = [line for line, ask in enumerate(self._asks) if ask.modality == "text"]
        images = [line for line, ask in enumerate(self._asks) if ask.modality == "image"]
        preparation = self._model.preparation
        prepared: list[Item | None] = [None] * len(self._asks)

        async def tokenize() -> None:
            words = [self._asks[line].text for line in texts]
            result = await loop.run_in_executor(self._pool, preparation.tokenize, words)
            for row, line in enumerate(texts):
                prepared[line] = result.tokens[row]
                self.truncated[line] = result.truncated[row]
                self.tokens[line] = result.counts[row]

        async def decode(line: int) -> None:
            data = self._asks[line].data
            result = await loop.run_in_executor(self._pool, _decode, preparation, data)
            if isinstance(result, ItemError):
                self.problems[line] = result
            else:
                prepared[line] = result

        jobs = [decode(line) for line in images] + ([tokenize()] if texts else [])
        await asyncio.gather(*jobs)
        return prepared

    async def _embed(self, items: list[Item]) -> list[Vector | ItemFailure]:
        """The engine's outcomes; a client that goes while they wait their turn frees their place."""
        embedding = asyncio.ensure_future(self._model.engine.embed(items, self._deadline))
        leaving = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({embedding, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not embedding.done():
                # The engine ignores this once it has begun: what is computed is then charged for.
                embedding.cancel()
            return await embedding
        except asyncio.CancelledError:
            if embedding.cancelled():
                raise ClientGone from None
            embedding.cancel()
            raise
        except EngineUnavailable as error:
            raise _unavailable(error) from error
        finally:
            leaving.cancel()

    def _note(self, line: int, outcome: Vector | ItemFailure) -> None:
        if isinstance(outcome, ItemFailure):
            message = f"the model failed on this item: {outcome.reason}"
            self.problems[line] = ItemError(code=ErrorCode.INTERNAL, message=message)
        else:
            self.vectors[line] = outcome


def refuse_all(problems: Sequence[ItemError | None]) -> NothingDelivered:
    """The 422 for a request without one usable item; `problems` by the item's index."""
    items = [
        ProblemItem(index=index, code=problem.code, message=problem.message)
        for index, problem in enumerate(problems)
        if problem is not None
    ]
    return NothingDelivered(
        ErrorCode.NO_VALID_ITEM,
        f"No item can be embedded, nothing was charged. The first: {items[0].message}.",
        param="input",
        items=items,
    )


def _decode(preparation: Preparation, data: bytes) -> Pixels | ItemError:
    try:
        with open_image(data) as image:
            return preparation.preprocess(image)
    except ImageRefused as error:
        return ItemError(code=ErrorCode.INVALID_IMAGE, message=str(error))
    except Exception as error:  # a picture that only the resize chokes on is still its sender's
        return ItemError(code=ErrorCode.INVALID_IMAGE, message=f"the image cannot be used: {error}")


def _unavailable(error: EngineUnavailable) -> VendorError:
    return VendorError(
        ErrorCode.OVERLOADED,
        f"Nothing was computed or charged: {error}. Send the same request again.",
        retry_after_s=error.retry_after_s,
    )
