"""Erases beside the service, again and again; the command does the same once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from vendor_api.db import Database, read_clock
from vendor_api.ledger.commands import LedgerError
from vendor_api.retention.erasing import (
    SLICE,
    Erased,
    accounts_to_erase,
    erase_names,
    erase_purchases,
)

__all__ = ["Eraser", "erase_due"]

_log = structlog.get_logger("vendor")


def erase_due(
    database: Database,
    *,
    days: int,
    slice_size: int = SLICE,
    progress: Callable[[int], None] = lambda purchases: None,
    stop: threading.Event | None = None,
) -> list[Erased]:
    """Erase every account whose time has come; what went.

    Stopped half-way, it goes on next time. `progress` hears how many digests went in each transaction.
    """
    with database.read() as connection:
        due = accounts_to_erase(connection, read_clock(connection), days=days)
    erased: list[Erased] = []
    for found in due:
        gone = slice_size
        while gone:
            if stop is not None and stop.is_set():
                return erased
            gone = _erase_slice(database, found.account_id, slice_size)
            progress(gone)
        if database.change(lambda c, it=found: erase_names(c, read_clock(c), it)):  # type: ignore[misc]
            erased.append(found)
    return erased


def _erase_slice(database: Database, account_id: str, size: int) -> int:
    return database.change(lambda c: erase_purchases(c, account_id, limit=size))


class Eraser:
    """Erases when the server starts, and then at an interval."""

    def __init__(
        self,
        database: Database,
        *,
        days: int,
        interval_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._days = days
        self._interval_s = interval_s
        self._sleep = sleep
        self._stop = threading.Event()

    async def run(self) -> None:
        """Erase until cancelled; a database that does not answer is asked again."""
        while True:
            try:
                await self._finish(asyncio.create_task(asyncio.to_thread(self._erase)))
            except (SQLAlchemyError, LedgerError) as error:
                _log.warning("erasing_failed", error=repr(error))
            await self._sleep(self._interval_s)

    def _erase(self) -> None:
        for found in erase_due(self._database, days=self._days, stop=self._stop):
            _log.info("account_erased", account_id=found.account_id, purchases=found.purchases)

    async def _finish(self, erasing: "asyncio.Task[None]") -> None:
        """Let the transaction under way end before the database is closed."""
        try:
            await asyncio.shield(erasing)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait({erasing})
            raise
