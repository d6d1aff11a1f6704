"""The ledger as the API sees it: awaitable, exact, durable before it answers."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Self, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from shared.wire import BalanceDocument, ChargeList, Modality, UsageDocument
from vendor_api.db import Database, as_microseconds, open_database, read_clock
from vendor_api.db.checkpoints import Checkpointer
from vendor_api.ledger import balance, credits, reservation, statements
from vendor_api.ledger.audit import Audit, audit
from vendor_api.ledger.capture import Counts
from vendor_api.ledger.commands import (
    Credit,
    Hold,
    LedgerUnavailable,
    Line,
    Price,
    Receipt,
    Replay,
    Reserve,
)
from vendor_api.ledger.delivery import await_result
from vendor_api.ledger.jobs import Capture, Release, Work
from vendor_api.ledger.prices import current_prices
from vendor_api.ledger.purchases import find_bought
from vendor_api.ledger.shelves import Shelves
from vendor_api.ledger.writer import GROUP_LIMIT, OnCommit, Writer, ignore_commit

T = TypeVar("T")

__all__ = ["Ledger"]


class Ledger:
    """Holds, captures and statements over one SQL database.

    Writes go to the writer's threads, reads to a small pool; no transaction is open across an await.
    """

    def __init__(
        self,
        database: Database,
        *,
        writers: int = 1,
        readers: int = 4,
        group_limit: int = GROUP_LIMIT,
        on_commit: OnCommit = ignore_commit,
    ) -> None:
        self.database = database
        """For what reads beside the ledger, such as the auditor; closed with it."""
        self._checkpointer = Checkpointer(database.checkpoint)
        self._on_commit = on_commit
        self._shelves = Shelves()
        self._writer = Writer(
            database,
            threads=writers,
            group_limit=group_limit,
            on_commit=self._hear_commit,
            shelves=self._shelves,
        )
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="ledger-reader")

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        busy_timeout_s: float = 5.0,
        group_limit: int = GROUP_LIMIT,
        on_commit: OnCommit = ignore_commit,
    ) -> Self:
        """The ledger at `database_url`, overdue holds expired.

        One writer thread: commands group best there, and those of one account keep their order.

        Raises PendingMigrations when the schema is not at its head, Refusal for an address that
        cannot be used, LedgerUnavailable when the database does not answer.
        """
        database = open_database(database_url, busy_timeout_s=busy_timeout_s)
        ledger = cls(database, group_limit=group_limit, on_commit=on_commit)
        try:
            ledger._expire(everything=False)
        except BaseException:
            ledger._close()
            raise
        return ledger

    async def reserve(self, command: Reserve) -> Hold | Replay:
        """Claim the idempotency key and hold the money.

        Raises InsufficientCredit, KeyReused, RequestInFlight, NothingValid, ReplayLimit,
        AccountFrozen or UnknownAccount; then nothing has changed. A caller that is cancelled
        meanwhile holds nothing: its hold is released as soon as it exists.
        """
        reservation.validate(command)
        future = self._writer.submit(command.account_id, command)
        try:
            return await await_result(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._release_unwanted)
            raise

    async def capture(
        self, hold: Hold, delivered: Sequence[bool], *, failed: Counts = 0, repeated: Counts = 0
    ) -> Receipt:
        """Charge the lines that were embedded (`delivered[i]`), committed before this returns.

        `failed` and `repeated` count items that never became lines, for the usage statement.
        Raises HoldLost: the result must not be delivered.
        """
        command = Capture(hold, tuple(delivered), failed, repeated)
        return await await_result(self._writer.submit(hold.account_id, command))

    async def release(self, hold: Hold, *, final: bool) -> None:
        """Give the money back. `final`: no item was valid, the key is spent at amount 0.

        Raises HoldLost when there is nothing left to release.
        """
        await await_result(self._release(hold, final=final))

    async def sweep(self) -> int:
        """Expire the holds and the credit that are past their time; returns how many holds."""
        return await self._run(partial(self._expire, everything=False))

    async def expire_orphans(self) -> int:
        """Expire every hold at once; returns how many.

        For a server that has just started and owns the database alone (`ServerLock.exclusive`):
        whoever held them is dead. A worker that is not is fenced off.
        """
        return await self._run(partial(self._expire, everything=True))

    async def credit(self, account_id: str, amount_nanousd: int, external_ref: str) -> bool:
        """Pay money in, once for each reference; False when this credit was there already.

        Raises UnknownAccount and ReferenceReused.
        """

        command = Credit(account_id, amount_nanousd, external_ref)

        def work(connection: Connection, now: int) -> bool:
            return credits.add_credit(connection, now, command).new

        return await await_result(self._writer.submit(account_id, work))

    async def change(self, account_id: str, work: Work[T]) -> T:
        """`work`'s result once it is committed, `work(connection, now)` run by the writer.

        Raises what `work` raised (then nothing has changed) and LedgerUnavailable.
        """
        return await await_result(self._writer.submit(account_id, work))

    async def read(self, query: Callable[[Connection], T]) -> T:
        """`query`'s result over one state of the database. Raises LedgerUnavailable."""
        return await self._read(query)

    async def survey(self, query: Callable[[Connection], T]) -> T:
        """Like `read`, with one state for every statement of the query, and minutes for each."""

        def run() -> T:
            with self.database.snapshot() as connection:
                return query(connection)

        return await self._run(run)

    async def find_bought(
        self, account_id: str, revision: str, lines: Sequence[Line]
    ) -> list[bool]:
        """Line by line, whether the account has ever paid for it; of one revision of a model."""
        return await self._read(
            lambda c: find_bought(c, self._shelves, account_id, revision, lines)
        )

    async def prices(self, model: str) -> dict[Modality, Price]:
        """The model's current prices; empty when it is not for sale."""
        return await self._read(lambda c: current_prices(c, read_clock(c), model))

    async def balance(self, account_id: str) -> BalanceDocument:
        """The account's balance. Raises UnknownAccount."""
        return await self._read(lambda c: balance.describe(c, account_id, read_clock(c)))

    async def usage(self, account_id: str, since: datetime, until: datetime) -> UsageDocument:
        """The account's use by hour of capture; both instants must know their time zone."""
        start, end = as_microseconds(since), as_microseconds(until)
        return await self._read(
            lambda c: statements.list_usage(c, read_clock(c), account_id, start, end)
        )

    async def charges(
        self,
        account_id: str,
        *,
        idempotency_key: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> ChargeList:
        """The account's charges, oldest first, from behind the charge `after`."""
        query = partial(
            statements.list_charges,
            account_id=account_id,
            idempotency_key=idempotency_key,
            limit=limit,
            after=after,
        )
        return await self._read(query)

    async def ping(self) -> None:
        """Raises LedgerUnavailable when the database does not answer."""
        await self._read(lambda c: c.execute(text("SELECT 1")).scalar_one())

    async def verify(self) -> Audit:
        """Every rule of the books checked against every row, in one snapshot."""
        return await self._run(lambda: audit(self.database))

    async def close(self) -> None:
        """Finish queued commands, then give every connection back."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._checkpointer.close()
        self._readers.shutdown()
        self.database.close()

    def _expire(self, *, everything: bool) -> int:
        with self.database.read() as connection:
            now = None if everything else read_clock(connection)
            accounts = set(reservation.accounts_to_sweep(connection, now))
            if now is not None:
                accounts.update(credits.accounts_due(connection, now))
        expire = partial(reservation.expire, everything=everything)
        futures = [
            self._writer.submit(account_id, partial(expire, account_id=account_id))
            for account_id in sorted(accounts)
        ]
        return sum(future.result() for future in futures)

    def _release(self, hold: Hold, *, final: bool) -> "Future[None]":
        return self._writer.submit(hold.account_id, Release(hold, final))

    def _release_unwanted(self, future: "Future[Hold | Replay]") -> None:
        if future.exception() is None and isinstance(hold := future.result(), Hold):
            with suppress(LedgerUnavailable):  # closing: the next start expires it
                self._release(hold, final=False)

    def _hear_commit(self, jobs: int, seconds: float) -> None:
        self._checkpointer.wake()
        self._on_commit(jobs, seconds)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self.database.read() as connection:
                return query(connection)

        return await self._run(run)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            future = self._readers.submit(work)
        except RuntimeError as error:  # the pool is shut down
            raise LedgerUnavailable("the ledger is closed") from error
        try:
            return await await_result(future)
        except SQLAlchemyError as error:
            raise LedgerUnavailable("the database did not answer") from error
