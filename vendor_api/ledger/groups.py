"""Executes a group of jobs in one transaction, most of them by the set instead of one by one.

Order. The jobs of one account take effect first come, first served; accounts share no row that a
command decides by, so their order among each other does not matter. Each account's jobs are
decided in that order on rows read under the lock of its balance, up to its first unusual one: a
function, a replay, a key that enters again, a capped key, an account that is not active or has
credit expiring. What was decided is written, one statement for each table; then every account's
remaining jobs run one by one in their order, each in a savepoint. An account never returns to the
set-based way within a group, so no job of it can overtake another.

When anything set-based fails, the transaction is taken back and a second one runs every job by
itself: only the one that is to blame fails. A savepoint instead would make SQLite keep a copy of
every page that the group touches.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from vendor_api import failpoints
from vendor_api.db import Database, read_clock
from vendor_api.ledger import balance
from vendor_api.ledger.commands import LedgerError
from vendor_api.ledger.groups_books import read_books
from vendor_api.ledger.groups_plan import Plan, Unusual
from vendor_api.ledger.groups_rows import write
from vendor_api.ledger.jobs import Command, Job, perform
from vendor_api.ledger.lots import NewLot
from vendor_api.ledger.shelves import Shelves

_log = logging.getLogger(__name__)
_WAITING = object()

__all__ = ["Committed", "commit"]


class Committed(NamedTuple):
    """What came of a group."""

    outcomes: list[Any]
    """What each job returned or raised, in the jobs' order."""
    lots: Sequence[NewLot]
    """What was bought, in the order of the lots' numbers, as far as the set wrote it."""


class _SetFailed(Exception):
    """A set-based statement failed, and its transaction with it."""


def commit(database: Database, jobs: Sequence[Job], shelves: Shelves) -> Committed:
    """Execute the jobs in one transaction, or, where a set failed, one by one in another.

    `shelves` knows what earlier groups have bought, and is to learn the lots of this one. Raises
    SQLAlchemyError when the database did not commit; then nothing has changed.
    """
    execute = partial(_execute, jobs=jobs, shelves=shelves)
    try:
        return database.change(execute)
    except _SetFailed as failure:
        _log.warning("%d ledger commands run one by one: %s", len(jobs), failure.__cause__)
        return database.change(partial(execute, one_by_one=True))


def _execute(
    connection: Connection, jobs: Sequence[Job], shelves: Shelves, *, one_by_one: bool = False
) -> Committed:
    """What the jobs come to, before the commit."""
    now = read_clock(connection)
    balances = balance.lock(connection, {job.account_id for job in jobs if job.account_id})
    commands = [job.task for job in jobs if isinstance(job.task, Command)]
    if one_by_one or not commands:
        alone = [_attempt(connection, now, job, shelves) for job in jobs]
        return Committed(failpoints.reach_commit(alone), ())
    try:
        books = read_books(connection, now, balances, commands, shelves)
        plan = Plan(now, books)
        outcomes = _decide(plan, jobs)
        write(connection, plan)
    except Exception as error:
        if _ends_transaction(error):
            raise
        raise _SetFailed from error
    final = [
        _attempt(connection, now, job, shelves) if outcome is _WAITING else outcome
        for job, outcome in zip(jobs, outcomes, strict=True)
    ]
    return Committed(failpoints.reach_commit(final), plan.lots)


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
    if not isinstance(job.task, Command):
        return _WAITING
    try:
        return plan.decide(job.task)
    except Unusual:
        return _WAITING
    except LedgerError as error:
        return error


def _attempt(connection: Connection, now: int, job: Job, shelves: Shelves) -> Any:
    savepoint = connection.begin_nested()
    try:
        result = perform(connection, now, job.task, shelves)
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
