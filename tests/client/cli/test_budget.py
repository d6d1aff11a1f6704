"""`vl2v budget`: caps are set, shown and kept to; the history is the journal."""

import csv
import io
import json
from pathlib import Path

import pytest

from client.budget import Budgets, check_books
from client.cache import EmbeddingStore
from tests.client.conftest import Command
from tests.client.standin import StandInVendor


def fetch(command: Command, data: Path, run: str, budget: str = "1"):
    return command.run("fetch", str(data), "--model", "toy", "--run", run, "--budget", budget)


def show(command: Command) -> dict[tuple[str, str | None], dict[str, object]]:
    rows = json.loads(command.run("budget", "show", "--json").stdout)
    return {(row["project"], row["run"]): row for row in rows}


class TestSet:
    def test_a_project_stops_a_fetch_that_its_run_would_allow(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = command.run("budget", "set", "--project", "default", "--usd", "$0.00052")
        assert done.returncode == 0, done.stderr
        done = fetch(command, data, "one")
        assert done.returncode == 3
        assert vendor.debited == 520_000
        check_books(store.database)
        rows = show(command)
        assert rows["default", None]["left_usd"] == "0.000000000"
        assert rows["default", "one"]["cap_usd"] == "1.000000000"
        assert rows["default", "one"]["left_usd"] == "0.000000000"
        command.run("budget", "set", "--project", "default", "--usd", "none")
        assert fetch(command, data, "one").returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold)) == 14

    def test_a_cap_in_items_stops_a_fetch_too(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        command.run("budget", "set", "--run", "one", "--usd", "1", "--items", "2")
        done = fetch(command, data, "one")
        assert done.returncode == 3
        assert len(vendor.sold) == 2
        assert command.run("budget", "set", "--run", "one", "--items", "1,000").returncode == 0
        assert fetch(command, data, "one").returncode == 0
        assert show(command)["default", "one"]["spent_items"] == 14

    def test_a_run_moves_into_a_project(
        self, command: Command, data: Path, store: EmbeddingStore
    ) -> None:
        assert fetch(command, data, "one").returncode == 0
        done = command.run("budget", "set", "--run", "one", "--project", "thesis", "--json")
        assert json.loads(done.stdout)[0]["project"] == "thesis"
        rows = show(command)
        assert rows["thesis", None]["spent_usd"] == rows["thesis", "one"]["spent_usd"]
        assert rows["default", None]["spent_items"] == 0
        assert "sums agree" in check_books(store.database)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--usd", "1"], "say whose budget"),
            (["--run", "a"], "say how much"),
            (["--project", "a"], "say how much"),
            (["--run", "a", "--usd", "none"], "a run always has a cap in dollars"),
            (["--run", "a", "--items", "5"], "run a is new: say how many dollars"),
            (["--run", "a", "--usd", "much"], "--usd: 'much' is not an amount"),
            (["--run", "a", "--usd", "-1"], "--usd: a budget is not negative"),
            (["--run", "a", "--usd", "1", "--items", "-5"], "is not a number of items"),
            (["--run", "a", "--usd", "1", "--items", "1e3"], "is not a number of items"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, command: Command, store: EmbeddingStore, words: list[str], said: str
    ) -> None:
        done = command.run("budget", "set", *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert Budgets(store.database).list_runs() == {}


class TestShow:
    def test_an_empty_cache_has_one_project_without_a_cap(self, command: Command) -> None:
        done = command.run("budget", "show")
        assert done.returncode == 0
        assert "default" in done.stdout
        assert "(all runs)" in done.stdout

    def test_money_and_items_are_shown(self, command: Command, data: Path) -> None:
        fetch(command, data, "one")
        line = next(
            line.split()
            for line in command.run("budget", "show").stdout.splitlines()
            if " one " in line
        )
        assert line == [
            "default",
            "one",
            "$1.00",
            "$0.00122",
            "$0.00",
            "$0.99878",
            "–",
            "14",
            "0",
            "–",
        ]


class TestHistory:
    @pytest.fixture(autouse=True)
    def bought(self, command: Command, data: Path) -> None:
        assert fetch(command, data, "one", "0.00052").returncode == 3
        assert fetch(command, data, "two").returncode == 0

    def read(self, command: Command, *words: str) -> list[dict[str, object]]:
        done = command.run("budget", "history", "--json", *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_every_request_is_one_line_oldest_first(self, command: Command, store) -> None:
        lines = self.read(command)
        assert [(line["run"], line["modality"], line["items"]) for line in lines] == [
            ("one", "text", 2),
            ("one", "image", 5),
            ("two", "image", 7),
        ]
        assert {line["state"] for line in lines} == {"settled"}
        assert [line["cost_usd"] for line in lines] == ["0.000020000", "0.000500000", "0.000700000"]
        assert {line["request_id"] for line in lines} == {"req_x"}
        assert all(str(line["planned_at"]).endswith("Z") for line in lines)

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            (["--run", "one"], 2),
            (["--project", "default"], 3),
            (["--project", "other"], 0),
            (["--state", "failed"], 0),
            (["--state", "settled", "--limit", "1"], 1),
            (["--model", "toy"], 3),
            (["--model", "tea"], 0),
            (["--since", "2020-01-01"], 3),
            (["--until", "2020-01-01T00:00+02:00"], 0),
        ],
    )
    def test_it_is_narrowed(self, command: Command, words: list[str], count: int) -> None:
        assert len(self.read(command, *words)) == count

    def test_the_newest_are_kept_by_a_limit(self, command: Command) -> None:
        assert [line["run"] for line in self.read(command, "--limit", "2")] == ["one", "two"]
        done = command.run("budget", "history", "--limit", "1")
        assert "two" in done.stdout
        assert " one " not in done.stdout
        assert "2 older ones: --limit 3" in done.stderr

    def test_csv_has_a_heading_and_escapes_formulas(
        self, command: Command, store: EmbeddingStore
    ) -> None:
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE journal SET problem = '=1+1', cost_nanousd = 0")
        done = command.run("budget", "history", "--csv")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert len(rows) == 3
        assert {row["problem"] for row in rows} == {"'=1+1"}
        assert {row["cost_usd"] for row in rows} == {"0.000000000"}

    def test_two_formats_at_once_are_refused(self, command: Command) -> None:
        assert command.run("budget", "history", "--csv", "--json").returncode == 2

    def test_more_than_a_page_is_read(self, command: Command, store: EmbeddingStore) -> None:
        from client.budget.history import PAGE, read_history

        with store.database.write() as connection:
            connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
                " INSERT INTO journal (run, idempotency_key, state, model_id, revision, modality,"
                " purpose, max_cost_nanousd, held_nanousd, planned_ns)"
                " SELECT 'one', 'k' || i, 'failed', 'toy', 'r', 'image', 'training', 0, 0, i FROM n"
            )
        assert PAGE < 1200
        lines = list(read_history(store.database))
        assert len(lines) == 1203
        assert [line.id for line in lines] == sorted(line.id for line in lines)
        back = list(read_history(store.database, newest_first=True))
        assert back == lines[::-1]
