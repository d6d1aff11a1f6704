"""A model in a process of its own, watched and started again when it dies or hangs.

Whatever happens in there (a segmentation fault, an OOM kill, a driver that hangs), the API goes on
answering, says truthfully that the engine is down, and has it back within seconds.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.codecs import Vector
from vendor_api.engine.base import EngineLost, ModelInfo
from vendor_api.engine.cuda_plan import CUDA_LINES, DEFAULT_PLAN, CudaPlan, CudaReport
from vendor_api.engine.lines import TWO_LINES, Batch, Lines, Operation
from vendor_api.engine.worker import read_info
from vendor_api.refusal import Refusal

CALM = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait for each other sleep; spinning, they would keep decoders and the server off the cores."""
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a start that follows so many failed ones; the last for all further."""

__all__ = ["ModelProcess", "Patience", "WorkerOrder"]

_log = structlog.get_logger("vendor")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may give no sign of life, in seconds."""

    look: float = 0.3
    """Between two looks at whether it still runs."""
    silence: float = 4.0
    """Then its engine is said to be down: on a crowded machine a healthy one may be as slow as that."""
    hang: float = 20.0
    """Then it is killed and started again."""
    halt: float = 4.0
    """The same for one that the system says is stopped."""
    loading: float = 60.0
    """The same while it imports and loads, which may keep a slow machine from anything else."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is to load."""

    id: str
    spec: str
    precision: str = "fp32"
    runtime: str = "torch"
    device: str = "cpu"
    threads: int | None = None
    cuda: CudaPlan = DEFAULT_PLAN


@dataclass(slots=True)
class _Worker:
    """One life of the process."""

    process: "subprocess.Popen[bytes]"
    lines: Lines
    pulse: Connection
    heard: float
    ready: bool = False
    stopped: bool = False
    """By a signal, or by a debugger."""

    def end(self) -> None:
        """Kill it, so that whoever waits for its answer is told at once."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Close what led to it, when it has ended."""
        self.lines.close()
        self.pulse.close()


class ModelProcess:
    """`Model` over a worker process; raises EngineLost for what a dying worker leaves undone."""

    info: ModelInfo
    fill: int
    """What open_clip pads pictures with."""
    cuda: CudaReport | None = None
    """Of a worker that computes on a GPU."""

    def __init__(
        self,
        order: WorkerOrder,
        *,
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the worker and wait until it has loaded the model. Raises Refusal."""
        self._order = order
        self._patience = patience
        self._clock = clock
        self._closing = threading.Event()
        self._trouble: str | None = None
        """Why it cannot be started again, ever."""
        self._worker = self._start()
        try:
            self.info = self._welcome(self._worker)
        except Refusal:
            self._worker.close()
            raise
        # What was settled once holds for every later life.
        self._order = replace(order, precision=self.info.precision)
        self._watch = threading.Thread(target=self._guard, name=f"guard-{order.id}", daemon=True)
        self._watch.start()

    @property
    def pid(self) -> int:
        """Of the worker."""
        return self._worker.process.pid

    def encode_images(self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Vector:
        """See `Model`; pictures need not lie together."""
        return self._ask("images", pixels)

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """See `Model`."""
        return self._ask("texts", tokens)

    def find_trouble(self) -> str | None:
        """Why nothing can be computed now; None when all is well."""
        worker = self._worker
        if self._trouble:
            return self._trouble
        # The guard hears at once of a process that has ended: its end of the pulse is closed then.
        if not worker.ready:
            return "its process has ended and is being started again"
        if worker.stopped or self._clock() - worker.heard > self._patience.silence:
            return "its process does not react"
        return None

    def close(self) -> None:
        """End the worker."""
        self._closing.set()
        self._worker.end()
        self._watch.join()
        self._worker.close()

    def _start(self) -> _Worker:
        order, on_gpu = self._order, self._order.device == "cuda"
        lines = Lines(CUDA_LINES if on_gpu else TWO_LINES, desks=on_gpu)
        pulse, theirs = socket.socketpair()
        ends = [asdict(end) for end in lines.ends]
        given = {**asdict(order), "lines": ends, "pulse": theirs.fileno()}
        try:
            process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-m", "vendor_api.engine.worker", json.dumps(given)],
                pass_fds=[theirs.fileno(), *lines.files],
                stdin=subprocess.DEVNULL,
                env=CALM | os.environ | _limit(order.threads),
            )
        except OSError:
            lines.close()
            pulse.close()
            raise
        finally:
            lines.hand_over()
            theirs.close()
        return _Worker(process, lines, Connection(pulse.detach()), self._clock())

    def _welcome(self, worker: _Worker) -> ModelInfo:
        """What a new worker says of its model. Raises Refusal when it cannot load it."""
        try:
            self._await_hello(worker)
            said, _ = worker.lines.hello.receive()
        except (EOFError, OSError) as error:
            worker.end()
            raise Refusal(
                f"the engine of {self._order.id} ended while it loaded the model"
            ) from error
        if "refusal" in said:
            worker.end()
            raise Refusal(said["refusal"])
        self.fill = int(said["fill"])
        self.cuda = CudaReport(**said["cuda"]) if said["cuda"] else None
        worker.heard = self._clock()
        worker.ready = True
        return read_info(said["info"])

    def _await_hello(self, worker: _Worker) -> None:
        """Return once the worker has spoken. Raises OSError when it gives no sign of life either."""
        while not wait([worker.lines.hello.fileno()], timeout=0.2):
            if wait([worker.pulse], timeout=0):
                worker.pulse.recv_bytes()
                worker.heard = self._clock()
            if self._clock() - worker.heard > self._patience.loading:
                raise OSError("silent")

    def _ask(self, operation: Operation, items: Batch) -> Vector:
        worker = self._worker
        trouble = self.find_trouble()
        if trouble:
            raise EngineLost(trouble)
        try:
            return worker.lines.ask(operation, items)
        except (EOFError, OSError) as error:
            raise EngineLost("its process ended while it computed") from error

    def _guard(self) -> None:
        """Watch the worker, and start another when it is gone or hangs."""
        failed = 0
        while not self._closing.is_set():
            if self._listen(self._worker):
                continue
            if self._closing.is_set():
                return
            _log.error("engine_lost", model=self._order.id, exit=self._worker.process.returncode)
            failed = 0 if self._worker.ready else failed + 1
            self._worker.ready = False
            if not self._closing.wait(PAUSES[min(failed, len(PAUSES) - 1)]):
                self._restart()

    def _listen(self, worker: _Worker) -> bool:
        """Wait a little for a sign of life; False when the worker is gone, or was hanging and is now."""
        try:
            if wait([worker.pulse], timeout=self._patience.look):
                worker.pulse.recv_bytes()
                worker.heard = self._clock()
            worker.stopped = _is_stopped(worker.process.pid)
        except (EOFError, OSError):
            worker.end()
            return False
        enough = self._patience.halt if worker.stopped else self._patience.hang
        if self._clock() - worker.heard > enough:
            worker.end()
            return False
        return True

    def _restart(self) -> None:
        previous = self._worker
        try:
            worker = self._worker = self._start()
        except OSError as error:
            # Out of processes, memory or files: this thread must live to try again.
            _log.error("engine_not_started", model=self._order.id, reason=str(error))
            return
        previous.close()
        try:
            info = self._welcome(worker)
        except Refusal as error:
            _log.error("engine_not_started", model=self._order.id, reason=str(error))
            return
        if info.revision != self.info.revision:
            # Vectors of two revisions under one name would be a lie: only a new server may do that.
            self._trouble = f"the files of {self._order.id} have changed: restart the server"
            _log.error("engine_changed", model=self._order.id, revision=info.revision)
            self._closing.set()
            worker.end()
        elif self._closing.is_set():
            worker.end()
        else:
            _log.info("engine_restarted", model=self._order.id)


def _limit(threads: int | None) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(threads)} if threads else {}


def _is_stopped(pid: int) -> bool:
    """Whether the system has stopped the process (state T); False where it does not tell."""
    try:
        # The name stands in brackets and may hold anything, so the state is what follows the last one.
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in ("T", "t")
