"""Looks at everything there are alerts for."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from vendor_api.alerts.alert import Alert, raise_alert
from vendor_api.alerts.books import find_book_alerts
from vendor_api.alerts.surroundings import (
    look_at_answers,
    look_at_audit,
    look_at_disk,
    look_at_engines,
    look_at_redis,
)
from vendor_api.db import read_clock, sqlite_path
from vendor_api.ledger.commands import LedgerError

if TYPE_CHECKING:
    from vendor_api.dependencies import Shop

PATIENCE_S = 5.0
"""A database that is silent for longer is down."""

__all__ = ["find_alerts"]


async def find_alerts(shop: "Shop") -> list[Alert]:
    """Every alert that is on now, the critical ones first; none is raised by asking."""
    limits = shop.settings
    found = [
        *look_at_engines(shop.catalogue.states()),
        *look_at_answers(shop.metrics.pulse, limits),
        *look_at_redis(shop.metrics),
        *look_at_disk(sqlite_path(limits.database_url), limits),
        *await _ask_database(shop),
    ]
    return sorted(found, key=lambda alert: (alert.severity, alert.name))


async def _ask_database(shop: "Shop") -> list[Alert]:
    def query(connection: Connection) -> tuple[int, list[Alert]]:
        now = read_clock(connection)
        return now, find_book_alerts(connection, now, shop.settings)

    try:
        async with asyncio.timeout(PATIENCE_S):
            now, found = await shop.ledger.read(query)
    except (LedgerError, TimeoutError):
        return [raise_alert("database_down", "The database does not answer: nothing can be sold.")]
    if shop.auditor is not None:
        found += look_at_audit(shop.auditor.last, now, shop.opened_at, shop.settings)
    return found
