"""Executes a group of jobs in one transaction, most of them by the set instead of one by one.

Order. The jobs of one account take effect first come, first served; accounts share no row that a
command decides by, so their order among each other does not matter. Each account's jobs are
decided in that order on rows read under the lock of its balance, up to its first unusual one: a
function, a replay, a key that enters again, a capped key, an account that is not active or has
credit expiring. What was decided is written, one statement for each table; then every account's
remaining jobs run one by one in their order, each in a savepoint. An account never returns to the
set-based way within a group, so no job of it can overtake another.

When a set-based statement fails, its savepoint takes all of it back and every job runs by itself:
only the one that is to blame fails.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError, OperationalError

from vendor_api.db import read_clock
from vendor_api.ledger import balance
from vendor_api.ledger.commands import LedgerError, Reserve
from vendor_api.ledger.groups_books import read_books
from vendor_api.ledger.groups_plan import Plan, Unusual
from vendor_api.ledger.groups_rows import write
from vendor_api.ledger.jobs import Capture, Job, Release, perform

_log = logging.getLogger(__name__)
_WAITING = object()

__all__ = ["execute"]


def execute(connection: Connection, jobs: Sequence[Job]) -> list[Any]:
    """What each job returned or raised, in the jobs' order; nothing holds before the commit.

    Raises SQLAlchemyError when the transaction as a whole is lost.
    """
    now = read_clock(connection)
    # Before the savepoint: rolling back to it must not give these locks up.
    balances = balance.lock(connection, {job.account_id for job in jobs if job.account_id})
    return [
        _attempt(connection, now, job) if outcome is _WAITING else outcome
        for job, outcome in zip(
            jobs, _execute_together(connection, now, balances, jobs), strict=True
        )
    ]


def _execute_together(
    connection: Connection, now: int, balances: Sequence[Row[Any]], jobs: Sequence[Job]
) -> list[Any]:
    commands = [job.task for job in jobs if isinstance(job.task, Reserve | Capture | Release)]
    if not commands:
        return [_WAITING] * len(jobs)
    savepoint = connection.begin_nested()
    try:
        plan = Plan(now, read_books(connection, now, balances, commands))
        outcomes = _decide(plan, jobs)
        write(connection, plan)
    except Exception as error:
        if _ends_transaction(error):
            raise
        _log.warning("a group of %d ledger commands runs one by one: %s", len(jobs), error)
        savepoint.rollback()
        return [_WAITING] * len(jobs)
    savepoint.commit()
    return outcomes


def _decide(plan: Plan, jobs: Sequence[Job]) -> list[Any]:
    outcomes: list[Any] = []
    left: set[str] = set()
    for job in jobs:
        outcome = _WAITING if job.account_id in left else _decide_one(plan, job)
        if outcome is _WAITING:
            left.add(job.account_id)
        outcomes.append(outcome)
    return outcomes


def _decide_one(plan: Plan, job: Job) -> Any:
    if not isinstance(job.task, Reserve | Capture | Release):
        return _WAITING
    try:
        return plan.decide(job.task)
    except Unusual:
        return _WAITING
    except LedgerError as error:
        return error


def _attempt(connection: Connection, now: int, job: Job) -> Any:
    savepoint = connection.begin_nested()
    try:
        result = perform(connection, now, job.task)
    except Exception as error:
        if _ends_transaction(error):
            raise
        savepoint.rollback()
        return error
    savepoint.commit()
    return result


def _ends_transaction(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return isinstance(error, OperationalError) or error.connection_invalidated
