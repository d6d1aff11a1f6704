"""Executes ledger commands in threads of its own, many to a commit.

A thread takes what is queued and never waits for more; each command runs in a savepoint, so one
that is refused harms no other; nobody hears of a result before the commit.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from vendor_api import failpoints
from vendor_api.db import Database, read_clock
from vendor_api.ledger import balance
from vendor_api.ledger.commands import LedgerUnavailable

GROUP_LIMIT = 256
"""Commands in one commit at most."""

T = TypeVar("T")
Work = Callable[[Connection, int], T]
"""Runs inside a transaction, given the database's present in microseconds."""

_log = logging.getLogger(__name__)

__all__ = ["Work", "Writer"]


@dataclass(frozen=True, slots=True)
class _Job:
    account_id: str
    work: Work[Any]
    future: "Future[Any]" = field(default_factory=Future)


class Writer:
    """A queue of commands and the threads that commit them; 1 thread for SQLite, 1–4 otherwise."""

    def __init__(self, database: Database, *, threads: int = 1) -> None:
        self._database = database
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self._threads = [
            Thread(target=self._run, name=f"ledger-writer-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, account_id: str, work: Work[T]) -> "Future[T]":
        """`work`'s result once it is committed; the future raises what `work` raised.

        Raises LedgerUnavailable here when the writer is closed, in the future when the database
        did not commit. The account's balance is locked before `work` runs; an empty id locks none.
        """
        job = _Job(account_id, work)
        with self._lock:
            if self._closed:
                raise LedgerUnavailable("the ledger is closed")
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        running = True
        while running:
            job = self._queue.get()
            if job is None:
                return
            group = [job]
            with suppress(Empty):
                while running and len(group) < GROUP_LIMIT:
                    job = self._queue.get_nowait()
                    if job is None:
                        running = False
                    else:
                        group.append(job)
            self._commit(group)

    def _commit(self, group: Sequence[_Job]) -> None:
        # Stable: within an account, first come is first served.
        ordered = sorted(group, key=lambda job: job.account_id)
        try:
            outcomes = self._database.change(lambda connection: _apply(connection, ordered))
        except SQLAlchemyError as error:
            _log.warning("a ledger commit failed: %s", error)
            unavailable = LedgerUnavailable("the database did not answer")
            unavailable.__cause__ = error
            outcomes = [unavailable] * len(ordered)
        except Exception as error:
            _log.exception("a ledger commit failed")
            outcomes = [error] * len(ordered)
        for job, outcome in zip(ordered, outcomes, strict=True):
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)


def _apply(connection: Connection, jobs: Sequence[_Job]) -> list[Any]:
    now = read_clock(connection)
    balance.lock(connection, [job.account_id for job in jobs if job.account_id])
    return failpoints.reach_commit([_attempt(connection, now, job) for job in jobs])


def _attempt(connection: Connection, now: int, job: _Job) -> Any:
    savepoint = connection.begin_nested()
    try:
        result = job.work(connection, now)
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
