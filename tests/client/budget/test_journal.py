"""The journal and the budgets: what is held, what is spent, and that they always agree."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.budget import (
    Batch,
    Budgets,
    BudgetTooSmall,
    ItemOutcome,
    Journal,
    Settlement,
    check_books,
)
from client.cache import CacheError, EmbeddingStore

PRICE = 100
keep_fixture = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)


def make_batch(key: str = "k1", *, run: str = "run", items: int = 3, **more: Any) -> Batch:
    digests = tuple(bytes([n]) * 32 for n in range(items))
    values: dict[str, Any] = {
        "run": run,
        "idempotency_key": key,
        "model_id": "toy",
        "revision": "r1",
        "modality": "image",
        "purpose": "training",
        "digests": digests,
        "max_cost_nanousd": items * PRICE,
    }
    return Batch(**(values | more))


def money(budgets: Budgets, run: str) -> tuple[int, int, int]:
    """Cap, held, spent."""
    found = budgets.get(run)
    assert found is not None
    return found.cap_nanousd, found.held_nanousd, found.spent_nanousd


@pytest.fixture
def journal(store) -> Journal:
    return Journal(store.database)


@pytest.fixture
def budgets(store) -> Budgets:
    made = Budgets(store.database)
    made.set_cap("run", 1000)
    return made


class TestHolds:
    def test_planning_holds_the_maximum_cost(self, journal, budgets) -> None:
        journal.plan(make_batch())
        assert money(budgets, "run") == (1000, 300, 0)
        (entry,) = journal.unfinished("run")
        assert entry.state == "planned"
        assert entry.batch == make_batch()

    def test_budget_under_one_batch_changes_nothing(self, journal, budgets) -> None:
        with pytest.raises(BudgetTooSmall):
            journal.plan(make_batch(items=11))
        assert money(budgets, "run") == (1000, 0, 0)
        assert journal.unfinished("run") == []
        assert journal.get("k1") is None

    def test_a_run_without_a_budget_may_spend_nothing(self, journal) -> None:
        with pytest.raises(BudgetTooSmall):
            journal.plan(make_batch(run="other"))

    def test_settling_gives_the_hold_back_and_books_the_receipt(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        assert journal.settle("k1", Settlement(200, "chg_1", "req_1"))
        assert money(budgets, "run") == (1000, 0, 200)
        entry = journal.get("k1")
        assert entry is not None
        assert (entry.state, entry.cost_nanousd) == ("settled", 200)

    def test_settling_twice_counts_once(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        assert journal.settle("k1", Settlement(200))
        assert not journal.settle("k1", Settlement(200))
        assert not journal.fail("k1", "too late")
        assert money(budgets, "run") == (1000, 0, 200)

    def test_failing_gives_the_hold_back(self, journal, budgets) -> None:
        journal.plan(make_batch())
        assert journal.fail("k1", "refused")
        assert not journal.fail("nobody", "unknown")
        assert money(budgets, "run") == (1000, 0, 0)

    def test_an_unknown_end_keeps_the_hold_until_it_is_known(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        journal.mark_unknown("k1", "no answer")
        assert money(budgets, "run") == (1000, 300, 0)
        assert journal.unfinished("run")[0].state == "unknown"
        journal.settle("k1", Settlement(300))
        assert money(budgets, "run") == (1000, 0, 300)

    def test_what_was_never_sent_cannot_be_settled_or_unknown(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_unknown("k1", "no answer")
        assert not journal.settle("k1", Settlement(300))
        assert journal.unfinished("run")[0].state == "planned"

    def test_an_open_batch_cannot_be_planned_again(self, journal, budgets) -> None:
        journal.plan(make_batch())
        with pytest.raises(RuntimeError, match="still planned"):
            journal.plan(make_batch())
        assert money(budgets, "run") == (1000, 300, 0)


def test_a_database_server_keeps_the_journal_and_the_vectors_too(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        journal, budgets = Journal(store.database), Budgets(store.database)
        for run in ("run", "other"):
            budgets.set_cap(run, 1000)
        batch, twin = make_batch(), make_batch("k2", run="other", view="view-1")
        vectors = {digest: np.eye(4, dtype=np.float32)[0] for digest in batch.digests[1:]}
        for one in (batch, twin, make_batch("k3", run="other")):
            journal.plan(one)
        assert journal.claim("k1").granted
        assert journal.claim("k2").granted
        assert [rival.batch for rival in journal.claim("k3").rivals] == [batch]
        assert journal.claim("k3", besides=["k1"]).granted
        failed = ItemOutcome(batch.digests[0], "invalid_image", "damaged")
        settlement = Settlement(2 * PRICE, "chg_1", "req_1", (failed,))
        assert journal.deliver(batch, vectors, settlement) == 2 * PRICE
        assert store.held("r1", "image", batch.digests) == set(vectors)
        assert journal.claim("k3").bought == set(vectors)
        assert money(budgets, "run") == (1000, 0, 2 * PRICE)
        with pytest.raises(BudgetTooSmall):
            journal.plan(make_batch("k4", items=9))
        check_books(store.database)


def test_vectors_that_come_late_are_kept_although_the_request_is_closed(
    store: EmbeddingStore, journal: Journal, budgets: Budgets
) -> None:
    batch = make_batch(items=1)
    journal.plan(batch)
    journal.mark_sent("k1")
    journal.settle("k1", Settlement(PRICE))
    vectors = {batch.digests[0]: np.eye(4, dtype=np.float32)[0]}
    assert journal.deliver(batch, vectors, Settlement(PRICE)) is None
    assert store.held("r1", "image", batch.digests) == set(batch.digests)
    assert money(budgets, "run") == (1000, 0, PRICE)


class TestReopening:
    def test_a_failed_batch_opens_again_under_its_key(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.fail("k1", "no credit")
        journal.plan(make_batch())
        assert money(budgets, "run") == (1000, 300, 0)
        assert journal.get("k1").state == "planned"

    def test_a_settled_batch_opens_again_without_counting_its_cost_twice(
        self, journal, budgets
    ) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        journal.settle("k1", Settlement(300, "chg_1"))
        journal.plan(make_batch())
        assert money(budgets, "run") == (1000, 0, 300)
        journal.mark_sent("k1")
        journal.settle("k1", Settlement(300, "chg_1"))
        assert money(budgets, "run") == (1000, 0, 300)

    def test_a_batch_that_was_paid_and_fails_later_stays_paid(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        journal.settle("k1", Settlement(300))
        journal.plan(make_batch())
        journal.fail("k1", "no answer")
        assert money(budgets, "run") == (1000, 0, 300)
        assert sum(total.cost_nanousd for total in journal.totals()) == 300

    def test_a_free_batch_fits_into_a_budget_below_its_spending(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        journal.settle("k1", Settlement(300))
        assert budgets.set_cap("run", 100).left_nanousd == 0
        journal.plan(make_batch())
        assert journal.get("k1").state == "planned"


class TestFailures:
    def test_refused_items_are_remembered_with_their_reason(self, journal, budgets) -> None:
        journal.plan(make_batch())
        journal.mark_sent("k1")
        digest = make_batch().digests[1]
        refused = ItemOutcome(digest, "invalid_image", "damaged")
        journal.settle("k1", Settlement(200, failures=(refused,)))
        asked = [*make_batch().digests, b"9" * 32]
        assert journal.failures("r1", "image", asked) == {digest: refused}
        assert journal.failures("r2", "image", asked) == {}
        assert journal.failures("r1", "text", asked) == {}

    def test_a_key_is_spent_when_no_item_of_it_was_valid(self, journal, budgets) -> None:
        batch = make_batch()
        assert not journal.is_spent("k1")
        journal.plan(batch)
        assert not journal.is_spent("k1")
        journal.mark_sent("k1")
        outcomes = tuple(ItemOutcome(digest, "internal", "?") for digest in batch.digests)
        journal.settle("k1", Settlement(0, failures=outcomes))
        assert journal.is_spent("k1")

    def test_a_key_without_replays_is_good_again_after_a_day(self, store, budgets) -> None:
        now = [10**18]
        journal = Journal(store.database, clock=lambda: now[0])
        journal.plan(make_batch())
        journal.mark_sent("k1")
        journal.settle("k1", Settlement(300, problem="replay_limit"))
        assert journal.is_spent("k1")
        now[0] += 24 * 3600 * 10**9
        assert not journal.is_spent("k1")


class TestTotals:
    def test_purposes_and_modalities_are_apart(self, journal, budgets) -> None:
        cases: list[tuple[str, dict[str, Any], int]] = [
            ("a", {"purpose": "training"}, 300),
            ("b", {"purpose": "training"}, 100),
            ("c", {"purpose": "evaluation"}, 300),
            ("d", {"modality": "text"}, 30),
        ]
        for key, more, cost in cases:
            budgets.set_cap("run", 10_000)
            journal.plan(make_batch(key, **more))
            journal.mark_sent(key)
            failed = (ItemOutcome(make_batch().digests[0], "invalid_image", "damaged"),)
            journal.settle(key, Settlement(cost, failures=failed if key == "b" else ()))
        journal.plan(make_batch("open"))
        totals = [
            (t.purpose, t.modality, t.requests, t.items, t.failed, t.cost_nanousd)
            for t in journal.totals(run="run", model_id="toy", revision="r1")
        ]
        assert totals == [
            ("evaluation", "image", 1, 3, 0, 300),
            ("training", "image", 2, 5, 1, 400),
            ("training", "text", 1, 3, 0, 30),
        ]
        assert journal.totals(run="other") == []


class TestBooks:
    @keep_fixture
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.sampled_from(["plan", "send", "unknown", "settle", "fail"]),
                st.integers(0, 3),
            ),
            max_size=30,
        ),
        run=st.uuids().map(str),
    )
    def test_a_budget_is_always_the_sum_of_its_requests(self, store, steps, run) -> None:
        journal, budgets = Journal(store.database), Budgets(store.database)
        budgets.set_cap(run, 700)
        for name, step, paid in steps:
            key = f"{run}-{name}"
            try:
                match step:
                    case "plan":
                        journal.plan(make_batch(key, run=run))
                    case "send":
                        journal.mark_sent(key)
                    case "unknown":
                        journal.mark_unknown(key, "?")
                    case "settle":
                        journal.settle(key, Settlement(paid * PRICE))
                    case "fail":
                        journal.fail(key, "no")
            except (BudgetTooSmall, RuntimeError):
                pass
            assert "sums agree" in check_books(store.database)

    def test_a_budget_that_is_not_its_sum_is_reported(self, store, journal, budgets) -> None:
        journal.plan(make_batch())
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE budget SET spent_nanousd = 5")
        with pytest.raises(CacheError, match="is not the sum of its requests"):
            check_books(store.database)


def test_the_same_journal_works_on_postgresql(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        journal, budgets = Journal(store.database), Budgets(store.database)
        budgets.set_cap("run", 500)
        for key in ("a", "b"):
            if key == "b":
                with pytest.raises(BudgetTooSmall):
                    journal.plan(make_batch(key))
                budgets.set_cap("run", 600)
            journal.plan(make_batch(key))
        journal.mark_sent("a")
        failed = ItemOutcome(make_batch().digests[0], "invalid_image", "damaged")
        assert journal.settle("a", Settlement(200, failures=(failed,))) == 200
        journal.fail("b", "no")
        assert money(budgets, "run") == (600, 0, 200)
        (total,) = journal.totals(run="run")
        assert (total.items, total.failed, total.cost_nanousd) == (2, 1, 200)
        assert "sums agree" in check_books(store.database)
