"""One request's pictures on their way to pixels, which may begin while its money is being held."""

import asyncio
from collections.abc import Callable, Sequence

from vendor_api.embeddings.decoding import Decoder, Drawn
from vendor_api.embeddings.requests import Ask
from vendor_api.engine.base import Preparation
from vendor_api.stopwatch import Stopwatch

__all__ = ["Drawing"]


class Drawing:
    """Decodes each of a request's pictures once, `Decoder.threads` of them at a time."""

    def __init__(
        self,
        asks: Sequence[Ask],
        *,
        decoder: Decoder,
        preparation: Preparation,
        watch: Stopwatch,
        is_abandoned: Callable[[], bool],
    ) -> None:
        """`is_abandoned`: whether nobody waits for the pictures any more; `watch` is told of `decode`."""
        self._asks = asks
        self._decoder = decoder
        self._preparation = preparation
        self._watch = watch
        self._is_abandoned = is_abandoned
        self._share = decoder.share()
        self._begun: asyncio.Task[dict[int, Drawn]] | None = None

    def begin(self, lines: Sequence[int]) -> None:
        """Decode the files among these lines meanwhile; `finish` has them, `drop` gives them up."""
        files = [line for line in lines if self._asks[line].data]
        if files:
            self._begun = asyncio.create_task(self._draw_all(files))
            self._begun.add_done_callback(_hear)

    async def finish(self, lines: Sequence[int]) -> dict[int, Drawn]:
        """What becomes of the pictures among these lines; one is missing only if nobody waits for it."""
        wanted = [line for line in lines if self._asks[line].modality == "image"]
        drawn = await self._begun if self._begun is not None and wanted else {}
        # What was begun and is missing seemed to be waited for by nobody at that time.
        missing = [line for line in wanted if line not in drawn]
        drawn = drawn | (await self._draw_all(missing) if missing else {})
        return {line: drawn[line] for line in wanted if line in drawn}

    def drop(self) -> None:
        """Give up what has not been finished; a picture that a thread is busy with is decoded in vain."""
        if self._begun is not None:
            self._begun.cancel()

    async def _draw_all(self, lines: Sequence[int]) -> dict[int, Drawn]:
        with self._watch.measure("decode"):
            if len(lines) == 1:  # a lone picture is with its thread a turn of the loop sooner
                drawn = [await self._draw(lines[0])]
            else:
                drawn = await asyncio.gather(*map(self._draw, lines))
        return {line: one for line, one in zip(lines, drawn, strict=True) if one is not None}

    async def _draw(self, line: int) -> Drawn | None:
        ask = self._asks[line]
        if ask.pixels is not None:
            return ask.pixels
        async with self._share:
            if self._is_abandoned():
                return None
            return await self._decoder.decode(self._preparation, ask.data, ask.area)


def _hear(task: asyncio.Task[dict[int, Drawn]]) -> None:
    """Nobody may ask for what was begun; what went wrong with it is then nobody's affair."""
    if not task.cancelled():
        task.exception()
