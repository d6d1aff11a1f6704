"""The write-ahead journal: what is not written here first is never sent."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from client.budget import holds
from client.budget.claims import Claim, find_bought, find_rivals
from client.budget.entries import (
    OPEN,
    UNDER_WAY,
    Batch,
    Entry,
    Form,
    ItemOutcome,
    Settlement,
    Total,
)
from client.budget.holds import Sum
from client.budget.rows import (
    count_delivered,
    find_row,
    read_row,
    sum_paid,
    write_failures,
    write_row,
)
from client.budget.totals import sum_totals
from client.budget.uploads import find_bought_otherwise
from client.cache.database import Database
from client.cache.digests import CHUNK
from client.cache.statements import Statement, given
from client.cache.store import FILE_VIEW
from client.cache.tables import journal, journal_item, journal_view
from client.cache.vectors import keep_vectors
from client.failpoints import reach
from shared.codecs import Vector
from shared.wire import Modality

DAY_NS = 24 * 3600 * 10**9
_MARK_SENT = Statement(
    update(journal)
    .where(journal.c.idempotency_key == given("key"), journal.c.state.in_(OPEN))
    .values(state="sent", sent_ns=given("now"))
)
_CLOSED = (
    "state",
    "closed_ns",
    "cost_nanousd",
    "spent_items",
    "charge_id",
    "request_id",
    "problem",
)
_CLOSE = Statement(
    update(journal)
    .where(journal.c.id == given("number"))
    .values({name: given(f"new_{name}") for name in _CLOSED} | {"held_nanousd": 0, "held_items": 0})
)

__all__ = ["Journal"]


class Journal:
    """Every paid request of all runs; each method is one transaction with its budget."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._clock = clock

    def plan(self, batch: Batch) -> None:
        """Write the batch down and hold its maximum cost and its items, both or neither.

        A batch that failed, or whose vectors were lost after it was settled, opens again under its
        old key; what it cost before counts towards the maximum. Raises BudgetTooSmall.
        """
        with self._database.write() as connection:
            self._plan(connection, batch)

    def _plan(self, connection: Connection, batch: Batch) -> None:
        old = find_row(connection, batch.idempotency_key)
        if old is not None and old.state in OPEN:
            raise RuntimeError(f"batch {batch.idempotency_key} is still {old.state}")
        paid = sum_paid(old)
        held = Sum(
            max(0, batch.max_cost_nanousd - paid.nanousd),
            max(0, len(batch.digests) - paid.items),
        )
        holds.hold(connection, batch.run, held)
        reach("held")
        write_row(connection, batch, held, old, self._clock())

    def claim(self, key: str, *, besides: Collection[str] = ()) -> Claim:
        """Mark a planned batch as sent, unless another run has or is fetching items of it.

        Then nothing changes and the answer says why. Of two runs that claim the same item at once one
        gets it. Requests of the keys `besides` are nobody's rivals.
        """
        with self._database.write() as connection:
            row = find_row(connection, key)
            if row is None or row.state not in OPEN:
                raise RuntimeError(f"batch {key} is not open")
            rivals = find_rivals(connection, row, besides)
            claim = Claim(rivals) if rivals else Claim(bought=find_bought(connection, row))
            if claim.granted:
                self._mark_sent(connection, key)
        return claim

    def rivals(self, key: str, *, besides: Collection[str] = ()) -> tuple[Entry, ...]:
        """Requests of other runs that are under way for items of this one."""
        with self._database.read() as connection:
            row = find_row(connection, key)
            return () if row is None else find_rivals(connection, row, besides)

    def narrow(self, key: str, rest: Batch, problem: str) -> None:
        """Close a planned batch that was never sent and plan the rest of it, in one step.

        Nobody else can hold in between what the one gives back and the other needs. Raises
        BudgetTooSmall, and changes nothing, where a cap has been set below what was held.
        """
        with self._database.write() as connection:
            self._fail(connection, key, problem)
            self._plan(connection, rest)

    def mark_sent(self, key: str) -> None:
        """The first byte goes out after this has been committed."""
        with self._database.write() as connection:
            self._mark_sent(connection, key)

    def _mark_sent(self, connection: Connection, key: str) -> None:
        _MARK_SENT.run(connection, key=key, now=self._clock())

    def note_form(self, key: str, form: Form) -> None:
        """Write down in which form an open batch is asked for next, before it is."""
        with self._database.write() as connection:
            connection.execute(
                update(journal)
                .where(journal.c.idempotency_key == key, journal.c.state.in_(OPEN))
                .values(form=form)
            )

    def mark_unknown(self, key: str, problem: str) -> None:
        """No answer came: the money stays held until recovery finds out."""
        with self._database.write() as connection:
            connection.execute(
                update(journal)
                .where(journal.c.idempotency_key == key, journal.c.state.in_(UNDER_WAY))
                .values(state="unknown", problem=problem)
            )

    def settle(self, key: str, settlement: Settlement) -> int | None:
        """Close a batch at its receipt; what that adds to the run's spending, in nano-dollars.

        A batch that was opened again has been paid before: only the difference is new. None when it
        was closed before; then nothing changes.
        """
        with self._database.write() as connection:
            return self._settle(connection, key, settlement)

    def deliver(
        self, batch: Batch, vectors: Mapping[bytes, Vector], settlement: Settlement
    ) -> int | None:
        """Keep a batch's vectors and close it at its receipt, as `settle` does: both or neither."""
        with self._database.write() as connection:
            keep_vectors(
                connection, batch.revision, batch.modality, vectors, batch.purpose, batch.view
            )
            reach("stored")
            return self._settle(connection, batch.idempotency_key, settlement)

    def _settle(self, connection: Connection, key: str, settlement: Settlement) -> int | None:
        row = find_row(connection, key)
        if row is None or row.state not in UNDER_WAY:
            return None
        write_failures(connection, row.id, settlement.failures)
        self._close(
            connection,
            row,
            state="settled",
            cost_nanousd=settlement.cost_nanousd,
            spent_items=count_delivered(connection, row.id),
            charge_id=settlement.charge_id or row.charge_id,
            request_id=settlement.request_id or row.request_id,
            problem=settlement.problem,
        )
        reach("settling")
        return settlement.cost_nanousd - sum_paid(row).nanousd

    def fail(self, key: str, problem: str) -> bool:
        """Close a batch that was certainly not charged; false when it was closed before."""
        with self._database.write() as connection:
            return self._fail(connection, key, problem)

    def _fail(self, connection: Connection, key: str, problem: str) -> bool:
        row = find_row(connection, key)
        if row is None or row.state not in OPEN:
            return False
        self._close(connection, row, state="failed", problem=problem)
        return True

    def _close(self, connection: Connection, row: Row[Any], **said: Any) -> None:
        """Give the hold back; of the columns that are not said, what an earlier time left stays."""
        new = {name: getattr(row, name) for name in _CLOSED} | {"closed_ns": self._clock()} | said
        values = {f"new_{name}": value for name, value in new.items()}
        _CLOSE.run(connection, number=row.id, **values)
        # A batch that was opened again has been paid before: only the difference is new.
        paid = sum_paid(row)
        cost, items = new["cost_nanousd"] or 0, new["spent_items"] or 0
        holds.settle(
            connection,
            row.run,
            held=Sum(row.held_nanousd, row.held_items),
            spent=Sum(cost - paid.nanousd, items - paid.items),
        )

    def get(self, key: str) -> Entry | None:
        """One batch by its idempotency key."""
        with self._database.read() as connection:
            row = find_row(connection, key)
            return read_row(connection, row) if row is not None else None

    def is_spent(self, key: str) -> bool:
        """Whether asking again under this key is useless: no item was valid, or no replay is left.

        A vendor counts its replays by the day, so that a used-up key is good again after one.
        """
        with self._database.read() as connection:
            row = find_row(connection, key)
            if row is None or row.state != "settled":
                return False
            if row.problem is not None:
                return bool(self._clock() - row.closed_ns < DAY_NS)
            outcomes = connection.execute(
                select(journal_item.c.error_code).where(journal_item.c.journal_id == row.id)
            ).scalars()
            return all(code is not None for code in outcomes)

    def unfinished(self, run: str) -> list[Entry]:
        """A run's batches that are planned, sent or unknown, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(journal)
                .where(journal.c.run == run, journal.c.state.in_(OPEN))
                .order_by(journal.c.id)
            ).all()
            return [read_row(connection, row) for row in rows]

    def failures(
        self,
        revision: str,
        modality: Modality,
        digests: Sequence[bytes],
        *,
        view: str = FILE_VIEW,
    ) -> dict[bytes, ItemOutcome]:
        """Digest → why the vendor refused this view of it, of those that it did, in any run."""
        found: dict[bytes, ItemOutcome] = {}
        query = (
            select(journal_item.c.digest, journal_item.c.error_code, journal_item.c.error_message)
            .select_from(journal_item)
            .join(journal, journal.c.id == journal_item.c.journal_id)
            .outerjoin(journal_view, journal_view.c.journal_id == journal.c.id)
            .where(
                func.coalesce(journal_view.c.view, FILE_VIEW) == view,
                journal.c.revision == revision,
                journal.c.modality == modality,
                journal_item.c.error_code.is_not(None),
            )
            .order_by(journal_item.c.id)
        )
        with self._database.read() as connection:
            for start in range(0, len(digests), CHUNK):
                part = digests[start : start + CHUNK]
                for row in connection.execute(query.where(journal_item.c.digest.in_(part))):
                    found[row.digest] = ItemOutcome(*row)
        return found

    def bought_otherwise(
        self, revision: str, digests: Sequence[bytes], *, view: str = FILE_VIEW, pixels: bool
    ) -> frozenset[bytes]:
        """Those pictures that were paid for, in any run, but not in this form: as pixels, or as files."""
        with self._database.read() as connection:
            return find_bought_otherwise(connection, revision, digests, view=view, pixels=pixels)

    def totals(
        self, *, run: str | None = None, model_id: str | None = None, revision: str | None = None
    ) -> list[Total]:
        """Items and money by purpose and modality, by the vendor's receipts."""
        with self._database.read() as connection:
            return sum_totals(connection, run=run, model_id=model_id, revision=revision)
