"""A gateway program with a replica of the fake model in it instead of a Ray cluster."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.vendor_api.conftest import INFO
from tests.vendor_api.engine.replicas import make_replica
from vendor_api.engine.ray_gateway import Gateway
from vendor_api.refusal import Refusal


class StandIn:
    """One replica, in this process."""

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self.replica = make_replica()

    async def describe(self) -> dict[str, Any]:
        if self.model_id != INFO.id:
            raise Refusal(f"{self.model_id} is not deployed")
        return await self.replica.describe()

    async def embed(self, data: bytes) -> bytes:
        if data == b"wait":
            await asyncio.Event().wait()
        return await self.replica.embed(data)

    async def count_running(self) -> int:
        return 1


async def main() -> None:
    given = json.loads(sys.argv[1])
    road = await asyncio.open_connection(sock=socket.socket(fileno=given["road"]))
    await Gateway(StandIn(given["id"]), *road, look_s=0.1).run()
    os._exit(0)


asyncio.run(main())
