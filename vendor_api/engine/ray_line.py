"""An API process's line to a Ray cluster: a gateway process, watched and started again when it ends."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from vendor_api.engine.base import ModelInfo
from vendor_api.engine.ray_road import Frame, QueuesFull, ReplicaLost, read_frame, write_frame
from vendor_api.engine.worker import read_info
from vendor_api.refusal import Refusal

PAUSES = (0.2, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a start that follows so many failed ones; the last for all further."""
PROGRAM = (sys.executable, "-m", "vendor_api.engine.ray_gateway")

__all__ = ["LinePatience", "RayLine"]

_log = structlog.get_logger("vendor")


@dataclass(frozen=True, slots=True)
class LinePatience:
    """How long a gateway may say nothing of the cluster, in seconds."""

    loading: float = 90.0
    """Until its first word, which waits for a replica."""
    silence: float = 4.0
    """Then the engine is said to be down."""
    hang: float = 20.0
    """Then the gateway is killed and started again."""


class RayLine:
    """Sends asks to a model's replicas; may be used from any event loop and thread."""

    info: ModelInfo
    fill: int
    """What open_clip pads pictures with."""
    load_s: float
    """How long a replica takes to load the model."""

    def __init__(
        self,
        model_id: str,
        address: str,
        *,
        program: Sequence[str] = PROGRAM,
        patience: LinePatience = LinePatience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the gateway and wait until it has found a replica. Raises Refusal."""
        self._model = model_id
        self._address = address
        self._program = program
        self._patience = patience
        self._clock = clock
        self._trouble: str | None = f"the gateway of {model_id} to the Ray cluster ended at once"
        self._lasting = False
        """Whether the trouble stays until the server is started again."""
        self._heard = clock()
        self._running = 0
        self._number = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._first: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._keeping = self._loop.create_task(self._keep())
        self._thread = threading.Thread(target=self._work, name=f"ray-{model_id}", daemon=True)
        self._thread.start()
        try:
            self._first.result()
        except Refusal:
            self.close()
            raise

    @property
    def gateway(self) -> int | None:
        """Its process; None when it could not be started."""
        return None if self._process is None else self._process.pid

    async def ask(self, data: bytes) -> bytes:
        """A replica's reply. Raises ReplicaLost or QueuesFull; who is cancelled takes the ask back."""
        asking = asyncio.run_coroutine_threadsafe(self._ask(data), self._loop)
        return await asyncio.wrap_future(asking)

    def find_trouble(self) -> str | None:
        """Why nothing can be computed now; None when all is well."""
        if self._trouble:
            return self._trouble
        if self._clock() - self._heard > self._patience.silence:
            return "the Ray cluster does not answer"
        return None if self._running else "no replica is running"

    def close(self) -> None:
        """End the gateway; what it has under way is lost."""
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._keeping.cancel)
        self._thread.join()

    def give_up(self, why: str) -> None:
        """Be down from now on, for what only a new start of the server can put right."""
        self._trouble, self._lasting = why, True
        _log.error("engine_changed", model=self._model, reason=why)

    async def _ask(self, data: bytes) -> bytes:
        writer = self._writer
        if writer is None:
            raise ReplicaLost("the line to the Ray cluster is down")
        self._number = number = self._number + 1
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[number] = answer
        write_frame(writer, Frame("ask", number, data))
        try:
            return await answer
        except asyncio.CancelledError:
            write_frame(writer, Frame("withdraw", number))
            raise
        finally:
            self._waiting.pop(number, None)

    def _work(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._keeping)
        # Who still waits for a reply is told that it is lost.
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _keep(self) -> None:
        """Start one gateway after the other until closed."""
        failed = 0
        while True:
            spoke = await self._live()
            if not self._first.done():
                self._first.set_exception(Refusal(self._trouble))
                return
            failed = 0 if spoke else failed + 1
            _log.error("engine_lost", model=self._model, reason=self._trouble)
            await asyncio.sleep(PAUSES[min(failed, len(PAUSES) - 1)])

    async def _live(self) -> bool:
        """One life of a gateway; whether it found a replica."""
        try:
            reader, self._writer = await asyncio.open_connection(sock=self._start())
        except OSError as error:
            # Out of processes, memory or files: this thread must live to try again.
            self._trouble = f"its gateway cannot be started: {error}"
            return False
        spoke = False
        try:
            while True:
                patience = self._patience.hang if spoke else self._patience.loading
                async with asyncio.timeout(patience):
                    frame = await read_frame(reader)
                spoke = self._hear(frame) or spoke
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            if spoke:
                self._note("the gateway to the Ray cluster is being started again")
        finally:
            self._end_gateway()
            self._writer = None
            self._lose_all()
        return spoke

    def _start(self) -> socket.socket:
        """Start a gateway: our end of the road to it."""
        ours, theirs = socket.socketpair()
        given = {"road": theirs.fileno(), "address": self._address, "id": self._model}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [*self._program, json.dumps(given)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Ray's words are no lines of this server's log; its own are in its session's folder.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
            )
        return ours

    def _hear(self, frame: Frame) -> bool:
        """Take note of a frame; whether it shows that there are replicas."""
        answer = self._waiting.get(frame.number)
        match frame.kind:
            case "hello":
                self._welcome(json.loads(frame.data))
            case "state":
                self._heard = self._clock()
                self._running = json.loads(frame.data)["running"]
            case "refusal":
                self._note(frame.data.decode())
                return False
            case _ if answer is not None and not answer.done():
                _settle(answer, frame)
        return True

    def _welcome(self, said: dict[str, Any]) -> None:
        info = read_info(said["info"])
        if not self._first.done():
            self.info, self.fill, self.load_s = info, int(said["fill"]), float(said["load_s"])
        elif info.revision != self.info.revision:
            # Vectors of two revisions under one name would be a lie: only a new server may do that.
            self.give_up(f"the replicas of {self._model} have changed: restart the server")
            return
        self._heard, self._running = self._clock(), 1
        self._note(None)
        if self._first.done():
            _log.info("engine_restarted", model=self._model)
        else:
            self._first.set_result(None)

    def _note(self, trouble: str | None) -> None:
        """Set the trouble, unless there is a lasting one."""
        if not self._lasting:
            self._trouble = trouble

    def _lose_all(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ReplicaLost("the line to the Ray cluster broke"))

    def _end_gateway(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()


def _settle(answer: "asyncio.Future[bytes]", frame: Frame) -> None:
    text = frame.data.decode() if frame.kind in ("lost", "full") else ""
    if frame.kind == "reply":
        answer.set_result(frame.data)
    elif frame.kind == "full":
        answer.set_exception(QueuesFull(text))
    else:
        answer.set_exception(ReplicaLost(text))
