"""Executes ledger commands in threads of its own, many to a commit.

A thread takes what is queued and never waits for more, makes one transaction of it and commits
once; nobody hears of a result before that. `groups` says how a group is executed.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar, overload

from sqlalchemy.exc import SQLAlchemyError

from vendor_api.db import Database
from vendor_api.ledger.commands import Hold, LedgerUnavailable, Receipt, Replay, Reserve
from vendor_api.ledger.delivery import deliver_together
from vendor_api.ledger.groups import commit
from vendor_api.ledger.jobs import Capture, Command, Job, Release, Work
from vendor_api.ledger.lots import NewLot
from vendor_api.ledger.shelves import Shelves

GROUP_LIMIT = 256
"""Commands in one commit at most."""

T = TypeVar("T")
OnCommit = Callable[[int, float], None]
"""Told of a commit: how many jobs it held and the seconds it took."""

_log = logging.getLogger(__name__)

__all__ = ["GROUP_LIMIT", "OnCommit", "Writer", "ignore_commit"]


def ignore_commit(jobs: int, seconds: float) -> None:
    """An `OnCommit` for when nobody counts."""


class Writer:
    """A queue of commands and the threads that commit them; 1 thread for SQLite, 1–4 otherwise."""

    def __init__(
        self,
        database: Database,
        *,
        threads: int = 1,
        group_limit: int = GROUP_LIMIT,
        on_commit: OnCommit = ignore_commit,
        shelves: Shelves | None = None,
    ) -> None:
        self._database = database
        self._group_limit = group_limit
        self._on_commit = on_commit
        self._shelves = shelves or Shelves()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False
        self._threads = [
            Thread(target=self._run, name=f"ledger-writer-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @overload
    def submit(self, account_id: str, task: Reserve) -> Future[Hold | Replay]: ...
    @overload
    def submit(self, account_id: str, task: Capture) -> Future[Receipt]: ...
    @overload
    def submit(self, account_id: str, task: Release) -> Future[None]: ...
    @overload
    def submit(self, account_id: str, task: Work[T]) -> Future[T]: ...
    def submit(self, account_id: str, task: Command | Work[Any]) -> Future[Any]:
        """The task's result once it is committed; the future raises what the task raised.

        Raises LedgerUnavailable here when the writer is closed, in the future when the database
        did not commit. The account's balance is locked before the task runs; an empty id locks none.
        """
        job = Job(account_id, task)
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
                while running and len(group) < self._group_limit:
                    job = self._queue.get_nowait()
                    if job is None:
                        running = False
                    else:
                        group.append(job)
            self._commit(group)

    def _commit(self, group: Sequence[Job]) -> None:
        started = monotonic()
        try:
            outcomes, lots = commit(self._database, group, self._shelves)
        except SQLAlchemyError as error:
            _log.warning("a ledger commit failed: %s", error)
            unavailable = LedgerUnavailable("the database did not answer")
            unavailable.__cause__ = error
            _deliver(group, [unavailable] * len(group))
        except Exception as error:
            _log.exception("a ledger commit failed")
            _deliver(group, [error] * len(group))
        else:
            self._on_commit(len(group), monotonic() - started)
            _deliver(group, outcomes)
            # Afterwards: while callers make use of what they hear, this costs nobody time.
            self._remember(lots)

    def _remember(self, lots: Sequence[NewLot]) -> None:
        try:
            self._shelves.learn(lots)
        except Exception:
            # It is committed all the same, and who next asks for the shelf reads it.
            _log.exception("what was bought must be read again")


def _deliver(group: Sequence[Job], outcomes: Sequence[Any]) -> None:
    with deliver_together():
        for job, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
