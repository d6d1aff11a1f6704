"""Checks the books again and again beside the service, and freezes the accounts that are wrong."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import SQLAlchemyError

from vendor_api.db import Database, read_clock
from vendor_api.db.tables import account, audit_log
from vendor_api.ledger.audit import Violation, audit
from vendor_api.ledger.ids import new_id
from vendor_api.ledger.rules import OVERDUE

INTERVAL_S = 60
PATIENCE_S = 5
"""How long a server that stops waits for the audit under way."""
REST = 20
"""Rests so many times as long as it worked: an audit takes less than 5 % of the time."""

_log = logging.getLogger(__name__)

__all__ = ["AuditReport", "Auditor"]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the last audit found."""

    at: int
    """The database's time, microseconds."""
    ok: bool
    violations: tuple[Violation, ...]
    seconds: float
    """How long it took."""
    frozen: tuple[str, ...]
    """Accounts that were active until this audit."""


class Auditor:
    """Runs the audit at start and then every minute, less often when it takes long.

    An account that a violation names is frozen (unless `freeze` is off), with an entry in the audit
    log; a hold that is only overdue freezes nobody. `last` is None until the first audit is done.
    """

    def __init__(
        self,
        database: Database,
        *,
        interval_s: float = INTERVAL_S,
        freeze: bool = True,
        on_result: Callable[[AuditReport], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.last: AuditReport | None = None
        self._database = database
        self._interval_s = interval_s
        self._freeze = freeze
        self._on_result = on_result
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Audit until cancelled; a database that does not answer is asked again."""
        while True:
            began = self._clock()
            try:
                await _finish(asyncio.create_task(asyncio.to_thread(self.check)))
            except SQLAlchemyError as error:
                _log.warning("an audit failed: %r", error)
            await self._sleep(max(self._interval_s, REST * (self._clock() - began)))

    def check(self) -> AuditReport:
        """One audit, with what follows from it."""
        began = self._clock()
        found = audit(self._database)
        for violation in found.violations:
            _log.error(
                "the books are wrong: %s: %s %s",
                violation.rule,
                violation.subject,
                violation.detail,
            )
        frozen = self._freeze_owners(found.violations) if self._freeze else ()
        seconds = self._clock() - began
        self.last = AuditReport(found.at, found.ok, found.violations, seconds, frozen)
        if self._on_result is not None:
            self._on_result(self.last)
        return self.last

    def _freeze_owners(self, violations: Sequence[Violation]) -> tuple[str, ...]:
        wrong: dict[str, list[Violation]] = {}
        for violation in violations:
            if violation.account_id is not None and violation.rule != OVERDUE:
                wrong.setdefault(violation.account_id, []).append(violation)
        return tuple(
            account_id
            for account_id in sorted(wrong)
            if self._database.change(lambda c, it=account_id: _freeze(c, it, wrong[it]))  # type: ignore[misc]
        )


async def _finish(check: "asyncio.Task[AuditReport]") -> None:
    """Let an audit end before the database it reads is closed, unless it takes long."""
    try:
        await asyncio.shield(check)
    except asyncio.CancelledError:
        await asyncio.wait({check}, timeout=PATIENCE_S)
        raise


def _freeze(connection: Connection, account_id: str, violations: Sequence[Violation]) -> bool:
    statement = update(account).where(account.c.id == account_id, account.c.status == "active")
    if connection.execute(statement.values(status="frozen")).rowcount != 1:
        return False
    detail = {"violations": [asdict(violation) for violation in violations[:100]]}
    connection.execute(
        insert(audit_log).values(
            id=new_id("log"),
            at=read_clock(connection),
            actor="auditor",
            action="account.freeze",
            subject=account_id,
            detail=json.dumps(detail),
        )
    )
    return True
