"""Projects and caps in items: what all runs share is never exceeded, whoever asks, and when."""

import os
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.budget import (
    DEFAULT_PROJECT,
    Batch,
    Budgets,
    BudgetTooSmall,
    Caps,
    ItemOutcome,
    Journal,
    Project,
    Settlement,
    check_books,
)
from client.cache import EmbeddingStore, open_database

PRICE = 100
keep_fixture = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)


def make_batch(key: str, *, run: str = "run", items: int = 3, price: int = PRICE) -> Batch:
    return Batch(
        run=run,
        idempotency_key=key,
        model_id="toy",
        revision="r1",
        modality="image",
        purpose="training",
        digests=tuple(bytes([n]) * 32 for n in range(items)),
        max_cost_nanousd=items * price,
    )


@pytest.fixture
def journal(store) -> Journal:
    return Journal(store.database)


@pytest.fixture
def budgets(store) -> Budgets:
    return Budgets(store.database)


def settle(journal: Journal, key: str, cost: int, **more: Any) -> None:
    journal.mark_sent(key)
    assert journal.settle(key, Settlement(cost, **more)) is not None


class TestProjects:
    def test_a_run_belongs_to_the_project_without_a_cap_until_told_otherwise(self, budgets) -> None:
        made = budgets.set_cap("run", 1000)
        assert made.project == Project(DEFAULT_PROJECT)
        assert made.left_nanousd == 1000
        assert budgets.get_project("nobody") == Project("nobody")

    def test_all_runs_of_a_project_share_its_cap(self, journal, budgets) -> None:
        budgets.change_project(DEFAULT_PROJECT, {"cap_nanousd": 500})
        for run in "ab":
            budgets.set_cap(run, 1000)
        journal.plan(make_batch("k1", run="a"))
        assert budgets.get("b").left_nanousd == 200
        with pytest.raises(BudgetTooSmall, match=r"project default has \$0.0000002 of .*--usd "):
            journal.plan(make_batch("k2", run="b"))
        # The run's own hold went back with the refusal.
        assert budgets.get("b").held_nanousd == 0
        settle(journal, "k1", 300)
        journal.plan(make_batch("k2", run="b", items=2))
        assert budgets.get_project(DEFAULT_PROJECT).left_nanousd == 0

    def test_a_run_moves_with_what_it_holds_and_has_spent(self, journal, budgets, store) -> None:
        budgets.set_cap("run", 1000)
        journal.plan(make_batch("k1"))
        settle(journal, "k1", 200)
        journal.plan(make_batch("k2"))
        moved = budgets.change_run("run", {}, into="lab")
        assert moved.project == Project("lab", None, 300, 200, None, 3, 3)
        assert budgets.get_project(DEFAULT_PROJECT) == Project(DEFAULT_PROJECT)
        check_books(store.database)
        settle(journal, "k2", 300)
        assert budgets.get_project("lab").spent_nanousd == 500
        assert budgets.change_run("run", {}, into="lab").project.name == "lab"
        check_books(store.database)

    def test_a_new_run_may_be_made_in_a_project(self, budgets) -> None:
        assert budgets.change_run("run", {"cap_nanousd": 5}, into="lab").project.name == "lab"
        assert budgets.set_cap("run", 7).project.name == "lab"

    def test_a_cap_may_be_taken_away_from_a_project_not_from_a_run(self, budgets) -> None:
        budgets.change_project("lab", {"cap_nanousd": 5, "cap_items": 3})
        assert budgets.change_project("lab", {"cap_nanousd": None}).cap_nanousd is None
        assert budgets.get_project("lab").cap_items == 3
        with pytest.raises(ValueError, match="always has a cap in money"):
            budgets.change_run("run", {"cap_nanousd": None})

    def test_lists_are_by_name(self, budgets) -> None:
        for run in "ba":
            budgets.change_run(run, {"cap_nanousd": 5}, into=f"p{run}")
        assert list(budgets.list_runs()) == ["a", "b"]
        assert [one.name for one in budgets.list_projects()] == ["default", "pa", "pb"]
        assert budgets.list_runs()["a"].project == Project("pa")


class TestItems:
    def test_a_cap_in_items_bounds_what_is_free_too(self, journal, budgets) -> None:
        budgets.change_run("run", {"cap_nanousd": 0, "cap_items": 5})
        journal.plan(make_batch("k1", price=0))
        assert budgets.get("run").left_items == 2
        with pytest.raises(BudgetTooSmall, match=r"has 2 of 5 items left.*--run run --items 6"):
            journal.plan(make_batch("k2", price=0))
        settle(journal, "k1", 0)
        assert budgets.get("run").spent_items == 3

    def test_refused_items_do_not_count(self, journal, budgets) -> None:
        budgets.change_run("run", {"cap_nanousd": 1000, "cap_items": 3})
        batch = make_batch("k1")
        journal.plan(batch)
        refused = ItemOutcome(batch.digests[0], "invalid_image", "damaged")
        settle(journal, "k1", 200, failures=(refused,))
        assert (budgets.get("run").spent_items, budgets.get("run").left_items) == (2, 1)

    def test_a_failed_request_gives_its_items_back(self, journal, budgets) -> None:
        budgets.change_run("run", {"cap_nanousd": 1000, "cap_items": 3})
        journal.plan(make_batch("k1"))
        journal.fail("k1", "refused")
        assert budgets.get("run").left_items == 3

    def test_a_request_that_opens_again_counts_once(self, journal, budgets, store) -> None:
        budgets.change_run("run", {"cap_nanousd": 1000, "cap_items": 3})
        for _ in range(2):
            journal.plan(make_batch("k1"))
            settle(journal, "k1", 300)
            assert budgets.get("run").spent_items == 3
        journal.plan(make_batch("k1"))
        journal.fail("k1", "no answer")
        assert budgets.get("run").spent_items == 3
        check_books(store.database)

    def test_a_project_has_items_too(self, journal, budgets) -> None:
        budgets.change_project(DEFAULT_PROJECT, {"cap_items": 4})
        for run in "ab":
            budgets.set_cap(run, 1000)
        journal.plan(make_batch("k1", run="a"))
        with pytest.raises(BudgetTooSmall, match=r"project default has 1 of 4 items left"):
            journal.plan(make_batch("k2", run="b"))

    @pytest.mark.parametrize(
        ("caps", "wanted", "fits"),
        [
            ({"cap_nanousd": 250}, 9, 2),
            ({"cap_nanousd": 900, "cap_items": 1}, 9, 1),
            ({"cap_nanousd": 900}, 4, 4),
            ({"cap_nanousd": 0}, 4, 0),
        ],
    )
    def test_what_fits_is_known_before_it_is_asked(self, journal, budgets, caps, wanted, fits):
        found = budgets.change_run("run", caps)
        assert found.fits(wanted, PRICE) == fits
        assert found.fits(wanted, 0) == min(wanted, caps.get("cap_items", wanted))
        if fits:
            journal.plan(make_batch("k1", items=fits))
        if fits < wanted:
            with pytest.raises(BudgetTooSmall):
                journal.plan(make_batch("k2", items=1 if fits else wanted))


class TestRefusals:
    def test_a_run_without_a_budget_is_told_how_to_get_one(self, journal) -> None:
        with pytest.raises(BudgetTooSmall, match="vl2v budget set --run run --usd") as caught:
            journal.plan(make_batch("k1"))
        assert caught.value.exit_code == 3

    def test_what_is_left_is_never_negative(self, journal, budgets) -> None:
        budgets.change_run("run", {"cap_nanousd": 1000, "cap_items": 9})
        journal.plan(make_batch("k1"))
        lowered = budgets.change_run("run", {"cap_nanousd": 100, "cap_items": 1})
        assert (lowered.left_nanousd, lowered.left_items) == (0, 0)


class TestBooks:
    @keep_fixture
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.sampled_from("xy"),
                st.sampled_from(["plan", "send", "settle", "fail", "move"]),
                st.integers(0, 3),
            ),
            max_size=30,
        ),
        mark=st.uuids().map(str),
    )
    def test_caps_hold_and_sums_agree_after_any_steps(self, store, steps, mark) -> None:
        journal, budgets = Journal(store.database), Budgets(store.database)
        projects = [f"{mark}-p{n}" for n in range(2)]
        for name in projects:
            budgets.change_project(name, {"cap_nanousd": 800, "cap_items": 7})
        for run in "xy":
            caps: Caps = {"cap_nanousd": 700, "cap_items": 6}
            budgets.change_run(f"{mark}-{run}", caps, into=projects[0])
        moved = False
        for name, run, step, number in steps:
            key = f"{mark}-{name}-{run}"
            batch = make_batch(key, run=f"{mark}-{run}")
            try:
                match step:
                    case "plan":
                        journal.plan(batch)
                    case "send":
                        journal.mark_sent(key)
                    case "settle":
                        failed = [ItemOutcome(d, "internal", "?") for d in batch.digests[number:]]
                        journal.settle(key, Settlement(number * PRICE, failures=tuple(failed)))
                    case "fail":
                        journal.fail(key, "no")
                    case "move":
                        budgets.change_run(f"{mark}-{run}", {}, into=projects[number % 2])
                        moved = True
            except (BudgetTooSmall, RuntimeError):
                pass
            assert "sums agree" in check_books(store.database)
            for run_name in "xy":
                found = budgets.list_runs()[f"{mark}-{run_name}"]
                assert found.held_nanousd + found.spent_nanousd <= 700
                assert found.held_items + found.spent_items <= 6
            for name_ in projects if not moved else ():
                shared = budgets.get_project(name_)
                assert shared.held_nanousd + shared.spent_nanousd <= 800
                assert shared.held_items + shared.spent_items <= 7


RUNS, THREADS, EACH = 2, 3, 8


def buy_all(where: str, name: str) -> None:
    """Threads that plan, settle and fail as fast as they can, until nothing fits."""
    database = open_database(where)
    journal, budgets = Journal(database), Budgets(database)
    failures: list[BaseException] = []

    def buy(number: int) -> None:
        try:
            run = f"run-{number % RUNS}"
            budgets.set_cap(run, 10**9)
            for turn in range(EACH):
                key = f"{name}-{number}-{turn}"
                try:
                    journal.plan(make_batch(key, run=run))
                except BudgetTooSmall:
                    continue
                if turn % 4 == 3:
                    journal.fail(key, "no")
                else:
                    settle(journal, key, 200)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert failures == []


def fork(where: str, name: str) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            buy_all(where, name)
            code = 0
        finally:
            os._exit(code)
    return pid


@pytest.mark.parametrize(
    "caps", [{"cap_nanousd": 4150}, {"cap_items": 50}, {"cap_nanousd": 4150, "cap_items": 50}]
)
def test_processes_and_threads_never_go_beyond_a_project(home, caps) -> None:
    where = str(home / "client.db")
    database = open_database(where)
    Budgets(database).change_project(DEFAULT_PROJECT, caps)
    database.close()
    children = [fork(where, f"process-{number}") for number in range(2)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]
    with EmbeddingStore.open(where) as store:
        shared = Budgets(store.database).get_project(DEFAULT_PROJECT)
        assert "sums agree" in check_books(store.database)
    assert (shared.held_nanousd, shared.held_items) == (0, 0)
    if "cap_nanousd" in caps:
        assert 2000 < shared.spent_nanousd <= caps["cap_nanousd"]
    if "cap_items" in caps:
        assert 25 < shared.spent_items <= caps["cap_items"]


def test_projects_work_on_postgresql(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        journal, budgets = Journal(store.database), Budgets(store.database)
        budgets.change_project("lab", {"cap_nanousd": 500, "cap_items": 4})
        budgets.change_run("run", {"cap_nanousd": 900}, into="lab")
        journal.plan(make_batch("a"))
        with pytest.raises(BudgetTooSmall, match="project lab"):
            journal.plan(make_batch("b"))
        settle(journal, "a", 300)
        budgets.change_run("run", {}, into="other")
        assert budgets.get_project("other").spent_items == 3
        assert "sums agree" in check_books(store.database)
