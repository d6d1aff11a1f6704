"""`vl2v fetch --teacher` from the outside: quoted, journalled, budgeted, cached, never lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.budget import Budgets, Journal, check_books
from client.cache import EmbeddingStore
from client.failpoints import KILLED
from tests.client.acquire.test_crashes import STEPS
from tests.client.conftest import Command, Ended
from tests.client.serving import serve
from tests.client.teachers.infinity import StandInInfinity


@pytest.fixture
def address(infinity: StandInInfinity) -> Iterator[str]:
    with serve(infinity) as url:
        yield f"openai:{url}"


@pytest.fixture
def alone(command: Command) -> Command:
    """A user who knows no vendor."""
    return replace(command, environment=command.environment | {"VL2V_API_KEY": ""})


def fetch(command: Command, data: Path, address: str, *more: str) -> Ended:
    return command.run("fetch", str(data), "--teacher", address, *more)


class TestEndpoint:
    def test_quote_fetch_and_a_cached_second_run(
        self, alone: Command, data: Path, address: str, store: EmbeddingStore, infinity
    ) -> None:
        dry = fetch(alone, data, address, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "14 to buy for $0.00 at most" in dry.stdout
        done = fetch(alone, data, address)
        assert done.returncode == 0, done.stderr
        assert "bought 12 images and 2 texts" in done.stdout
        assert store.count(purpose="training") == 14
        infinity.asked.clear()
        again = fetch(alone, data, address)
        assert "0 to buy" in again.stdout
        assert [len(asked) for asked in infinity.asked] == [2, 1]
        assert "sums agree" in alone.run("doctor").stdout

    def test_a_price_of_ones_own_is_counted_and_bounded(
        self, alone: Command, data: Path, address: str, store: EmbeddingStore
    ) -> None:
        done = fetch(alone, data, address, "--item-price", "0.001")
        assert done.returncode == 2
        assert "--budget 0.014 covers it" in done.stderr
        done = fetch(alone, data, address, "--item-price", "0.001", "--budget", "0.01")
        assert done.returncode == 3
        assert store.count() == 10
        done = fetch(alone, data, address, "--budget", "0.014", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["receipt"]["cost_usd"] == "0.004000000"
        check_books(store.database)

    def test_a_cap_in_items_holds_where_nothing_costs(
        self, alone: Command, data: Path, address: str, store: EmbeddingStore
    ) -> None:
        alone.run("budget", "set", "--run", "few", "--items", "5", "--usd", "0")
        done = fetch(alone, data, address, "--run", "few")
        assert done.returncode == 3
        assert store.count() == 5

    def test_a_picture_that_only_the_endpoint_refuses_is_listed_and_free(
        self, alone: Command, data: Path, address: str, store: EmbeddingStore, infinity
    ) -> None:
        infinity.poison = b"poison"
        for file in sorted(data.rglob("*.png"))[:3]:
            file.write_bytes(file.read_bytes() + b"poison")
        done = fetch(alone, data, address, "--purpose", "evaluation")
        both = fetch(alone, data, address)
        assert done.returncode == both.returncode == 0
        refused = (done.stdout + both.stdout).count("answered 500")
        assert refused == 3
        assert store.count() == 20 - 3 + 2

    def test_reconcile_has_nothing_to_compare_with(
        self, alone: Command, command: Command, data: Path, address: str
    ) -> None:
        fetch(alone, data, address, "--item-price", "0.001", "--budget", "1")
        done = alone.run("reconcile")
        assert done.returncode == 0, done.stderr
        assert "2 more for $0.014 went to teachers that keep no books" in done.stdout
        assert "nothing to reconcile" in done.stdout
        command.run("fetch", str(data), "--model", "toy", "--budget", "1")
        done = command.run("reconcile", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["requests"], found["charges"], found["unmetered"]) == (2, 2, 2)
        assert found["unmetered_usd"] == "0.014000000"

    def test_the_settings_may_name_it(
        self, alone: Command, data: Path, address: str, infinity
    ) -> None:
        assert alone.run("config", "--teacher", address).returncode == 0
        infinity.key = "secret"
        done = alone.run("fetch", str(data))
        assert done.returncode == 1
        assert "VL2V_TEACHER_API_KEY" in done.stderr
        assert alone.run("fetch", str(data), VL2V_TEACHER_API_KEY="secret").returncode == 0
        shown = alone.run("config", VL2V_TEACHER_API_KEY="secret").stdout
        assert address in shown
        healthy = alone.run("doctor")
        assert healthy.returncode == 0
        assert f"not asked: the teacher is {address}" in " ".join(healthy.stdout.split())
        assert "secret" not in shown

    def test_without_a_model_the_vendors_are_listed(self, command: Command, data: Path) -> None:
        done = command.run("fetch", str(data))
        assert done.returncode == 2
        assert "name the model with --model: one of toy" in done.stderr

    def test_other_weights_at_the_same_address_are_not_mixed_in(
        self, alone: Command, data: Path, address: str, store: EmbeddingStore, infinity
    ) -> None:
        fetch(alone, data, address)
        infinity.weights = 7
        done = fetch(alone, data, address)
        assert done.returncode == 2
        assert "must not be mixed" in done.stderr
        assert store.count() == 14

    def test_another_machine_in_plain_http(self, alone: Command, data: Path) -> None:
        done = fetch(alone, data, "openai:http://gpu-box:7997")
        assert done.returncode == 1
        assert "VL2V_INSECURE=1" in done.stderr


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("time", [1, 2])
def test_killed_anywhere_it_goes_on_and_counts_each_item_once(
    alone: Command, data: Path, address: str, store: EmbeddingStore, step: str, time: int
) -> None:
    words = ("--item-price", "0.001", "--budget", "0.014", "--run", "killed")
    killed = alone.run(
        "fetch", str(data), "--teacher", address, *words, VL2V_FAILPOINT=f"{step}:{time}"
    )
    assert killed.returncode == KILLED
    done = fetch(alone, data, address, *words)
    assert done.returncode == 0, done.stderr
    assert store.count() == 14
    budget = Budgets(store.database).get("killed")
    assert budget is not None
    assert (budget.held_nanousd, budget.spent_nanousd) == (0, 14_000_000)
    assert (budget.held_items, budget.spent_items) == (0, 14)
    assert Journal(store.database).unfinished("killed") == []
    check_books(store.database)


def test_killed_while_an_answer_is_kept_and_then_without_its_files_only_what_is_kept_is_counted(
    alone: Command, data: Path, address: str, store: EmbeddingStore
) -> None:
    words = ("--item-price", "0.001", "--budget", "0.02", "--run", "killed")
    alone.run("fetch", str(data), "--teacher", address, *words, VL2V_FAILPOINT="stored:2")
    assert 0 < store.count() < 14
    for file in sorted((data / "line" / "cat").iterdir())[1:]:
        file.unlink()
    done = fetch(alone, data, address, *words)
    assert done.returncode == 0, done.stderr
    budget = Budgets(store.database).get("killed")
    assert budget is not None
    assert budget.spent_nanousd == store.count() * 1_000_000
    check_books(store.database)
