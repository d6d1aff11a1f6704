"""The computing of one request's distinct items: decode in threads, then the engine."""

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from shared.codecs import Vector
from shared.errors import ErrorCode
from shared.wire import ItemError, ProblemItem
from vendor_api import failpoints
from vendor_api.embeddings.departure import Departure
from vendor_api.embeddings.drawing import Drawing
from vendor_api.embeddings.entrance import Passage
from vendor_api.embeddings.requests import Ask
from vendor_api.embeddings.results import Claims, Key, Results
from vendor_api.embeddings.terms import Terms
from vendor_api.embeddings.workshop import Workshop
from vendor_api.engine.base import (
    EngineUnavailable,
    Item,
    ItemFailure,
    ServedModel,
)
from vendor_api.errors import VendorError
from vendor_api.metering.service import NothingDelivered
from vendor_api.spaces import Rotation
from vendor_api.stopwatch import Stopwatch

_NOT_CHARGED = ItemError(
    code=ErrorCode.NOT_READY,
    message="the item was not charged when the request was: ask for it in a new request",
)

QUICK_CHARACTERS = 256
"""Texts up to this length together are tokenised sooner than a thread could be woken for it."""

__all__ = ["ClientGone", "Work", "refuse_all"]


class ClientGone(Exception):
    """The client closed the connection before anything was computed; nothing was charged."""


class Work:
    """Computes once for each line of a quote and remembers what came out; use it in a `with`."""

    def __init__(  # noqa: PLR0913  (each is a seam of its own)
        self,
        model: ServedModel,
        asks: Sequence[Ask],
        *,
        account: str,
        results: Results,
        workshop: Workshop,
        passage: Passage,
        deadline: float,
        gone: Departure,
        terms: Terms,
        watch: Stopwatch,
        rotation: Rotation | None = None,
    ) -> None:
        self._model = model
        self._asks = asks
        self._account = account
        self._results = results
        self._workshop = workshop
        self._passage = passage
        self._deadline = deadline
        self._gone = gone
        self._terms = terms
        self._watch = watch
        self._rotation = rotation
        self._failure: str | None = None
        """Of the machine, not of an item."""
        self._drawing = Drawing(
            asks,
            decoder=workshop.decoder,
            preparation=model.preparation,
            watch=watch,
            is_abandoned=self._is_abandoned,
        )
        self._computed = False
        """Whether the engine was asked anything."""
        self.vectors: list[Vector | None] = [None] * len(asks)
        self.problems: list[ItemError | None] = [None] * len(asks)
        self.truncated: list[bool] = [False] * len(asks)
        self.tokens: list[int] = [0] * len(asks)

    def __enter__(self) -> "Work":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give up what was prepared and not asked for."""
        self._drawing.drop()

    def prepare(self) -> None:
        """Begin to decode what `run` will most likely be asked for; nothing of it goes to the engine."""
        lines = range(len(self._asks))
        self._drawing.begin([line for line in lines if not self._results.knows(self._key(line))])

    async def run(self, lines: Sequence[bool]) -> list[bool]:
        """Which of the `lines` asked for have a vector now.

        Raises NothingDelivered when no image can be decoded (or one cannot, of an atomic request),
        ClientGone, or VendorError when the engine has failed and the client has not asked for parts.
        """
        await failpoints.pause("before_decode")
        for line, wanted in enumerate(lines):
            if not wanted:
                self.problems[line] = _NOT_CHARGED
        asked = {line: self._key(line) for line, wanted in enumerate(lines) if wanted}
        with self._results.claim(asked) as claims:
            for line, vector in claims.found.items():
                self.vectors[line] = vector
            await self._tokenize([line for line in asked if line not in claims.own])
            await self._compute(list(claims.own), claims.settle)
            again = await self._collect(claims)
        await self._compute(again, lambda line, vector: None)
        if not any(vector is not None for vector in self.vectors):
            if not self._computed:
                raise refuse_all(self.problems)
            reason = self._failure or "the model failed on every item"
            raise _unavailable(EngineUnavailable(reason))
        await self._rotate()
        return [vector is not None for vector in self.vectors]

    def _key(self, line: int) -> Key:
        ask = self._asks[line]
        return self._account, self._model.info.revision, ask.modality, ask.digest

    async def _compute(
        self, lines: Sequence[int], settle: Callable[[int, Vector | None], None]
    ) -> None:
        """Prepare and embed these lines; `settle` is told of each that went through the engine."""
        prepared = await self._prepare(lines) if lines else {}
        if self._is_abandoned():
            raise ClientGone
        self._check_problems()
        if not prepared:
            return
        self._computed = True
        self._passage.hand_over()
        outcomes = await self._embed(list(prepared.values()))
        for line, outcome in zip(prepared, outcomes, strict=True):
            self._note(line, outcome)
            settle(line, self.vectors[line])
        self._check_problems()

    async def _collect(self, claims: Claims) -> list[int]:
        """Take what other requests compute; the lines that they gave up are to be done here."""
        if not claims.shared:
            return []
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                for line, future in claims.shared.items():
                    self.vectors[line] = await asyncio.shield(future)
        except TimeoutError:
            raise _unavailable(EngineUnavailable("the engine did not finish in time")) from None
        return [line for line in claims.shared if self.vectors[line] is None]

    def _check_problems(self) -> None:
        """Raises what ends the whole request: the machine's failure, or one item's if it is atomic."""
        if self._failure and not self._terms.partial_ok:
            raise _unavailable(EngineUnavailable(self._failure))
        if self._terms.atomic and any(self.problems):
            raise refuse_all(self.problems, atomic=True)

    async def _prepare(self, lines: Sequence[int]) -> dict[int, Item]:
        """Line → what the model reads; a line that is missing has a problem."""
        with self._watch.measure("decode"):
            items = await self._tokenize(lines)
        for line, drawn in (await self._drawing.finish(lines)).items():
            if isinstance(drawn, ItemError):
                self.problems[line] = drawn
            elif isinstance(drawn, ItemFailure):
                self._note(line, drawn)
            else:
                items[line] = drawn
        return {line: items[line] for line in lines if line in items}

    async def _tokenize(self, lines: Sequence[int]) -> dict[int, Item]:
        texts = [line for line in lines if self._asks[line].modality == "text"]
        if not texts:
            return {}
        words = [self._asks[line].text for line in texts]
        tokenize = self._model.preparation.tokenize
        if sum(map(len, words)) <= QUICK_CHARACTERS:
            result = tokenize(words)
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._workshop.desk, tokenize, words)
        for row, line in enumerate(texts):
            self.truncated[line] = result.truncated[row]
            self.tokens[line] = result.counts[row]
        return dict(zip(texts, result.tokens, strict=True))

    def _is_abandoned(self) -> bool:
        """Whether the client has gone before there was anything to charge for."""
        return self._gone.happened and not any(vector is not None for vector in self.vectors)

    async def _embed(self, items: list[Item]) -> list[Vector | ItemFailure]:
        """The engine's outcomes; a client that goes while they wait their turn frees their place."""
        embedding = asyncio.ensure_future(
            self._model.engine.embed(items, self._deadline, self._watch)
        )
        try:
            # The engine ignores this once it has begun: what is computed is then charged for.
            with self._gone.told_to(embedding.cancel):
                return await asyncio.shield(embedding)
        except asyncio.CancelledError:
            if embedding.cancelled():
                raise ClientGone from None
            embedding.cancel()
            raise
        except EngineUnavailable as error:
            raise _unavailable(error) from error

    async def _rotate(self) -> None:
        """Take the vectors to the account's space, before anything is charged for them."""
        if self._rotation is None:
            return
        found = {line: vector for line, vector in enumerate(self.vectors) if vector is not None}
        loop = asyncio.get_running_loop()
        turned = await loop.run_in_executor(
            self._workshop.desk, self._rotation.turn, list(found.values())
        )
        for line, vector in zip(found, turned, strict=True):
            self.vectors[line] = vector

    def _note(self, line: int, outcome: Vector | ItemFailure) -> None:
        if isinstance(outcome, ItemFailure) and outcome.fault == "engine":
            self._failure = outcome.reason
            message = f"the engine failed ({outcome.reason}): ask for this item in a new request"
            self.problems[line] = ItemError(code=ErrorCode.NOT_READY, message=message)
        elif isinstance(outcome, ItemFailure):
            message = f"the model failed on this item: {outcome.reason}"
            self.problems[line] = ItemError(code=ErrorCode.INTERNAL, message=message)
        else:
            self.vectors[line] = outcome


def refuse_all(problems: Sequence[ItemError | None], *, atomic: bool = False) -> NothingDelivered:
    """The 422 for a request of which nothing is delivered; `problems` by the item's index."""
    items = [
        ProblemItem(index=index, code=problem.code, message=problem.message)
        for index, problem in enumerate(problems)
        if problem is not None
    ]
    what = (
        f"{len(items)} of {len(problems)} items cannot be embedded and the request is atomic"
        if atomic
        else "No item can be embedded"
    )
    return NothingDelivered(
        ErrorCode.ITEMS_REFUSED if atomic else ErrorCode.NO_VALID_ITEM,
        f"{what}, nothing was charged. The first: {items[0].message}.",
        param="input",
        items=items,
    )


def _unavailable(error: EngineUnavailable) -> VendorError:
    return VendorError(
        ErrorCode.OVERLOADED,
        f"Nothing was computed or charged: {error}. Send the same request again.",
        retry_after_s=error.retry_after_s,
    )
