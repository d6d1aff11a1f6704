"""The program between one API process and a Ray cluster: it holds the connection and passes asks on.

Ray ends a process whose cluster has gone; that must be this one, not one that keeps books. It is
started by `vendor_api.engine.ray_line` as `python -m vendor_api.engine.ray_gateway` and by nobody else.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Protocol

from vendor_api.engine.ray_road import Frame, QueuesFull, ReplicaLost, read_frame, write_frame
from vendor_api.refusal import Refusal

LOOK_SECONDS = 0.5
"""Between two looks at how many replicas run."""

__all__ = ["LOOK_SECONDS", "Cluster", "Gateway", "main"]


class Cluster(Protocol):
    """One model's replicas, wherever they are."""

    async def describe(self) -> dict[str, Any]:
        """What a replica says of its model. Raises Refusal when none is deployed."""
        ...

    async def embed(self, data: bytes) -> bytes:
        """Have an ask computed. Raises ReplicaLost or QueuesFull."""
        ...

    async def count_running(self) -> int:
        """Replicas that can be asked now."""
        ...


class Gateway:
    """Passes frames of an API process to a cluster and answers as they come, in any order."""

    def __init__(
        self,
        cluster: Cluster,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look_s: float = LOOK_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._writer = writer
        self._look_s = look_s
        self._asks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve until the API process closes the road, or there is nothing to be had of the cluster."""
        tasks = [asyncio.create_task(work) for work in (self._listen(), self._report())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, *self._asks.values()):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writer.close()

    async def _listen(self) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await read_frame(self._reader)
                if frame.kind == "ask":
                    task = asyncio.create_task(self._pass_on(frame))
                    self._asks[frame.number] = task
                elif frame.kind == "withdraw" and frame.number in self._asks:
                    self._asks[frame.number].cancel()

    async def _report(self) -> None:
        """Say what is on offer, then, again and again, how many replicas run."""
        try:
            self._send("hello", 0, json.dumps(await self._cluster.describe()))
        except Refusal as error:
            self._send("refusal", 0, str(error))
            await self._writer.drain()
            return
        while True:
            # A cluster that cannot say is not spoken of: the other side draws its own conclusion.
            with suppress(Exception):
                running = await self._cluster.count_running()
                self._send("state", 0, json.dumps({"running": running}))
            await asyncio.sleep(self._look_s)

    async def _pass_on(self, ask: Frame) -> None:
        try:
            reply = await self._cluster.embed(ask.data)
            write_frame(self._writer, Frame("reply", ask.number, reply))
        except QueuesFull as error:
            self._send("full", ask.number, str(error))
        except ReplicaLost as error:
            self._send("lost", ask.number, str(error))
        except Exception as error:
            # Whatever Ray raises, the caller must be told: it would wait for its deadline.
            self._send("lost", ask.number, f"{type(error).__name__}: {error}")
        finally:
            self._asks.pop(ask.number, None)

    def _send(self, kind: Any, number: int, text: str) -> None:
        write_frame(self._writer, Frame(kind, number, text.encode()))


def main(arguments: list[str]) -> None:
    """Serve one API process. `arguments`: one JSON object, see `ray_line`."""
    # Ctrl-C reaches every process of a terminal; the API process ends this one when it has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = json.loads(arguments[0])
    asyncio.run(_serve(given["road"], given["address"], given["id"]))


async def _serve(road: int, address: str, model_id: str) -> None:
    from vendor_api.engine.ray_cluster import RayCluster

    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=road))
    await Gateway(RayCluster(address, model_id), reader, writer).run()
    # A thread that waits for Ray would keep the process for as long as Ray pleases.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
