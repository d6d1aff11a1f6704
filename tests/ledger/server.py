"""The vendor in a process of its own, with the tiny model: everything else is the product's."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.ledger.tiny import INFO, TinyModel, TinyPreparation
from vendor_api import failpoints
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher, BatcherLimits
from vendor_api.ledger import Ledger
from vendor_api.logs import configure_logs
from vendor_api.server import bind, run_server, url_of
from vendor_api.settings import VendorSettings


@dataclass(frozen=True)
class Options:
    """Where a server works and how it is set."""

    database_url: str
    pepper: bytes
    home: Path
    """For the gate, the calls and the log."""
    failpoints: str = ""
    port: int = 0
    alone: bool = True
    """Whether no other server can be alive, so that every hold found at the start is an orphan."""
    batch: int = 4
    settings: Mapping[str, Any] = field(default_factory=dict)


def serve(options: Options, ready: Connection) -> None:
    """Serve until SIGTERM; sends the address through `ready` when it listens."""
    _redirect_output(options.home / "log")
    os.environ[failpoints.VARIABLE] = options.failpoints
    failpoints.arm()
    configure_logs(json=False, level="warning")
    settings = VendorSettings(**options.settings)
    ledger = Ledger.open(options.database_url, busy_timeout_s=settings.busy_timeout_s)
    if options.alone and options.database_url.startswith("sqlite"):
        asyncio.run(ledger.expire_orphans())
    authenticator = Authenticator.open(options.database_url, options.pepper)
    limits = BatcherLimits(
        max_images=options.batch,
        max_texts=options.batch,
        max_queued_ms=settings.max_queued_ms,
    )
    engine = Batcher(TinyModel(options.home), limits=limits)
    served = {INFO.id: ServedModel(INFO, TinyPreparation(), engine)}
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    listening = bind("127.0.0.1", options.port)
    run_server(app, listening, lambda: ready.send(url_of(listening)))
    asyncio.run(ledger.close())
    asyncio.run(authenticator.close())
    os._exit(0)


def _redirect_output(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
