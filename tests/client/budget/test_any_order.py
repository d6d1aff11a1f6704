"""Any order of plans, claims, ends, recoveries and cap changes: no cap is overrun, and the sums tie."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from client.budget import (
    Batch,
    Budgets,
    BudgetTooSmall,
    ItemOutcome,
    Journal,
    Settlement,
    check_books,
)
from client.budget.entries import OPEN, UNDER_WAY
from client.cache import EmbeddingStore
from client.cache.tables import journal
from tests.conftest import IN_MEMORY

RUNS = ("a", "b", "c")
PROJECTS = ("default", "thesis")
PRICE = 100
GROUPS = tuple(
    tuple(bytes([number]) * 32 for number in range(first, first + 3)) for first in range(0, 10, 2)
)
"""What a request may ask for; neighbours share an item."""
AMOUNTS = st.none() | st.integers(4, 12)
VECTOR = np.ones(4, dtype=np.float32)


class Books:
    """Three runs in two projects over one cache."""

    def __init__(self, template: Path) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="vl2v-books-", dir=IN_MEMORY)
        file = Path(self.folder.name) / "client.db"
        shutil.copyfile(template, file)
        self.store = EmbeddingStore.open(file)
        self.journal, self.budgets = Journal(self.store.database), Budgets(self.store.database)
        self.batches: dict[str, Batch] = {}
        self.charged: dict[str, Settlement] = {}
        """Key → what the vendor tells of it, the same each time."""
        self.most: dict[tuple[str, str, str], int] = {}
        """(kind, name, unit) → what was held and spent when its cap was last changed."""
        for run in RUNS:
            self.budgets.set_cap(run, 7 * PRICE)

    def close(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def rows(self) -> dict[str, tuple[str, int | None]]:
        """Key → state and cost of every request, oldest first."""
        query = select(journal.c.idempotency_key, journal.c.state, journal.c.cost_nanousd)
        with self.store.database.read() as connection:
            rows = connection.execute(query.order_by(journal.c.id)).all()
        return {key: (state, cost) for key, state, cost in rows}

    def state(self, key: str) -> str:
        return self.rows()[key][0]

    def keys(self, states: Iterable[str]) -> list[str]:
        return [key for key, (state, _) in self.rows().items() if state in states]

    def pick(self, number: int, states: Iterable[str]) -> str | None:
        """One of the requests in these states."""
        keys = self.keys(states)
        return keys[number % len(keys)] if keys else None

    def plan(self, run: str, asked: tuple[bytes, ...], price: int) -> None:
        """A new request, or an old one whose vectors are wanted again."""
        batch = self.make(run, asked, price=price)
        known = self.journal.get(batch.idempotency_key)
        if known is not None and known.state in OPEN:
            return
        try:
            self.journal.plan(batch)
        except BudgetTooSmall:
            assert self.journal.get(batch.idempotency_key) == known
        else:
            self.batches[batch.idempotency_key] = batch

    def make(self, run: str, asked: Iterable[bytes], *, price: int) -> Batch:
        chosen = tuple(sorted(asked))
        key = f"{run} {price} {[digest[0] for digest in chosen]}"
        return Batch(run, key, "toy", "r", "image", "training", chosen, price * len(chosen))

    def claim(self, pick: int) -> None:
        """Send a request; what another run bought meanwhile is left out first."""
        key = self.pick(pick, ("planned",))
        if key is None:
            return
        batch, claim = self.batches[key], self.journal.claim(key)
        rest = [digest for digest in batch.digests if digest not in claim.bought]
        if claim.granted:
            assert self.state(key) == "sent"
        elif claim.bought and not rest:
            self.journal.fail(key, "bought")
        elif claim.bought:
            smaller = self.make(batch.run, rest, price=batch.max_cost_nanousd // len(batch.digests))
            known = self.journal.get(smaller.idempotency_key)
            if known is None or known.state not in OPEN:
                self.narrow(key, smaller)
        else:
            assert all(rival.batch.run != batch.run for rival in claim.rivals)
            assert self.state(key) == "planned"

    def narrow(self, key: str, smaller: Batch) -> None:
        try:
            self.journal.narrow(key, smaller, "bought")
        except BudgetTooSmall:  # the cap has been set below what was held
            assert self.state(key) == "planned"
        else:
            self.batches[smaller.idempotency_key] = smaller

    def lose_the_answer(self, pick: int) -> None:
        if key := self.pick(pick, ("sent",)):
            self.journal.mark_unknown(key, "no answer")

    def settle(self, pick: int, refused: set[int], discount: int) -> None:
        key = self.pick(pick, UNDER_WAY)
        if key is None:
            return
        self.answer(key, refused, discount)
        assert self.state(key) == "settled"
        assert self.journal.settle(key, self.charged[key]) is None

    def answer(self, key: str, refused: set[int], discount: int) -> None:
        batch = self.batches[key]
        failures = tuple(
            ItemOutcome(digest, "invalid_image", "damaged")
            for position, digest in enumerate(batch.digests)
            if position in refused
        )
        delivered = {d: VECTOR for d in batch.digests if d not in {f.digest for f in failures}}
        price = batch.max_cost_nanousd // len(batch.digests)
        cost = max(0, price * len(delivered) - discount)
        told = self.charged.setdefault(key, Settlement(cost, failures=failures))
        lacking = {failure.digest for failure in told.failures}
        kept = {digest: VECTOR for digest in batch.digests if digest not in lacking}
        self.store.put_many("r", "image", kept)
        self.journal.settle(key, told)

    def fail(self, pick: int) -> None:
        key = self.pick(pick, OPEN)
        if key is None or (key in self.charged and self.state(key) in UNDER_WAY):
            return  # the vendor has charged it, and says so
        assert self.journal.fail(key, "refused")
        assert not self.journal.fail(key, "refused")

    def recover(self, run: str, charged: bool) -> None:
        """What a start does with everything that an earlier one left open."""
        for entry in self.journal.unfinished(run):
            key = entry.batch.idempotency_key
            if entry.state == "planned" or not (charged or key in self.charged):
                self.journal.fail(key, "not charged")
            else:
                self.answer(key, set(), 0)
        budget = self.budgets.get(run)
        assert budget is not None
        assert (budget.held_nanousd, budget.held_items) == (0, 0)

    def lose_the_vectors(self) -> None:
        with self.store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding")

    def cap_a_run(self, run: str, usd: int, items: int | None) -> None:
        self.budgets.change_run(run, {"cap_nanousd": usd * PRICE, "cap_items": items})
        self.note("run", run)

    def cap_a_project(self, name: str, usd: int | None, items: int | None) -> None:
        cap = None if usd is None else usd * PRICE
        self.budgets.change_project(name, {"cap_nanousd": cap, "cap_items": items})
        self.note("project", name)

    def move(self, run: str, into: str) -> None:
        self.budgets.change_run(run, {}, into=into)
        for name in PROJECTS:
            self.note("project", name)

    def totals(self) -> dict[tuple[str, str, str], tuple[int | None, int]]:
        """(kind, name, unit) → its cap, and what it holds and has spent."""
        found = [("run", name, budget) for name, budget in self.budgets.list_runs().items()]
        named = [("project", project.name, project) for project in self.budgets.list_projects()]
        return {
            (kind, name, unit): (
                getattr(one, f"cap_{unit}"),
                getattr(one, f"held_{unit}") + getattr(one, f"spent_{unit}"),
            )
            for kind, name, one in (*found, *named)
            for unit in ("nanousd", "items")
        }

    def note(self, kind: str, name: str) -> None:
        for key, (_, total) in self.totals().items():
            if key[:2] == (kind, name):
                self.most[key] = total

    def no_cap_is_overrun(self) -> None:
        """Held and spent never grow beyond a cap; a cap set below them lets them only fall."""
        for key, (cap, total) in self.totals().items():
            assert cap is None or total <= max(cap, self.most.get(key, 0)), key

    def the_sums_tie(self) -> None:
        """Projects are the sums of their runs, runs of their requests, requests of their entries."""
        check_books(self.store.database)
        paid = sum(total.cost_nanousd for total in self.journal.totals())
        assert paid == sum(cost or 0 for _, cost in self.rows().values())
        spent = sum(budget.spent_nanousd for budget in self.budgets.list_runs().values())
        assert paid == spent

    def no_item_is_under_way_twice(self) -> None:
        for key in self.keys(UNDER_WAY):
            assert self.journal.rivals(key) == ()

    def check(self) -> None:
        """What holds after every step."""
        self.no_cap_is_overrun()
        self.the_sums_tie()
        self.no_item_is_under_way_twice()


PICKS = st.integers(0, 99)
ARGUMENTS: dict[str, tuple[int, tuple[st.SearchStrategy[Any], ...]]] = {
    "plan": (
        6,
        (st.sampled_from(RUNS), st.sampled_from(GROUPS), st.sampled_from([0, PRICE, PRICE])),
    ),
    "claim": (6, (PICKS,)),
    "settle": (5, (PICKS, st.sets(st.integers(0, 2)), st.sampled_from([0, 0, 150]))),
    "lose_the_answer": (1, (PICKS,)),
    "fail": (1, (PICKS,)),
    "recover": (1, (st.sampled_from(RUNS), st.booleans())),
    "lose_the_vectors": (2, ()),
    "cap_a_run": (1, (st.sampled_from(RUNS), st.integers(4, 12), AMOUNTS)),
    "cap_a_project": (1, (st.sampled_from(PROJECTS), AMOUNTS, AMOUNTS)),
    "move": (1, (st.sampled_from(RUNS), st.sampled_from(PROJECTS))),
}
"""Step → how often it is taken, and with what."""
STEP = st.sampled_from(
    [name for name, (often, _) in ARGUMENTS.items() for _ in range(often)]
).flatmap(lambda name: st.tuples(st.just(name), *ARGUMENTS[name][1]))
STEPS = st.lists(STEP, min_size=30, max_size=50)


def test_the_books_hold_in_any_order(tmp_path: Path) -> None:
    template = tmp_path / "client.db"
    EmbeddingStore.open(template).close()

    @settings(max_examples=20, deadline=None)
    @given(STEPS)
    def play(steps: list[tuple[Any, ...]]) -> None:
        books = Books(template)
        try:
            for name, *arguments in steps:
                getattr(books, name)(*arguments)
                books.check()
        finally:
            books.close()

    play()
