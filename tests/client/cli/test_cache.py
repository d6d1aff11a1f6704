"""`vl2v cache` from the outside: what it prints, returns and never does unasked."""

import json
from pathlib import Path

import pytest

from client.cache import EmbeddingStore
from tests.client.conftest import Command
from tests.client.standin import StandInVendor


@pytest.fixture(autouse=True)
def bought(command: Command, data: Path) -> None:
    words = ("fetch", str(data), "--model", "toy", "--budget", "1", "--target", "solid")
    assert command.run(*words).returncode == 0
    assert command.run(*words, "--purpose", "evaluation").returncode == 0


class TestStats:
    def test_each_kind_is_a_row_and_the_sum_is_what_was_paid(
        self, command: Command, vendor: StandInVendor
    ) -> None:
        done = command.run("cache", "stats")
        assert done.returncode == 0, done.stderr
        assert "evaluation" in done.stdout
        assert "paid by the journal in all" in done.stdout
        document = json.loads(command.run("cache", "stats", "--json").stdout)
        assert document["vectors"] == len(vendor.sold)
        from shared.money import parse_usd

        assert parse_usd(document["paid_usd"]) == vendor.debited
        shelves = document["shelves"]
        assert sum(parse_usd(shelf["paid_usd"]) for shelf in shelves) == vendor.debited
        assert {shelf["view"] for shelf in shelves} == {"file"}
        assert all(shelf["oldest"].endswith("Z") for shelf in shelves)


class TestVerify:
    def test_a_good_cache_exits_0(self, command: Command, vendor: StandInVendor) -> None:
        done = command.run("cache", "verify")
        assert done.returncode == 0, done.stderr
        assert f"{len(vendor.sold)} vectors checked; 0 problems" in done.stdout

    def test_a_problem_exits_1_and_says_what_to_do(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        with store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding WHERE modality = 'text'")
            connection.exec_driver_sql("UPDATE budget SET spent_items = spent_items + 1")
        done = command.run("cache", "verify")
        assert done.returncode == 1
        assert "2 vectors that run" in done.stdout
        assert "is not the sum of its requests" in done.stdout
        kinds = [
            p["kind"]
            for p in json.loads(command.run("cache", "verify", "--json").stdout)["problems"]
        ]
        assert kinds == ["missing", "books"]
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE budget SET spent_items = spent_items - 1")
        before = vendor.debited
        words = ("fetch", str(data), "--model", "toy", "--budget", "1", "--target", "solid")
        assert command.run(*words).returncode == 0
        assert vendor.debited == before
        assert command.run("cache", "verify").returncode == 0


class TestHandingOn:
    def test_another_home_trains_from_it_without_paying(
        self, command: Command, data: Path, tmp_path: Path, vendor: StandInVendor
    ) -> None:
        file = tmp_path / "bought.safetensors"
        done = command.run("cache", "export", str(file), "--json")
        said = json.loads(done.stdout)
        assert (said["vectors"], said["bytes"]) == (len(vendor.sold), file.stat().st_size)
        before = vendor.debited
        other = {"VL2V_HOME": str(tmp_path / "other")}
        trial = command.run("cache", "import", str(file), "--dry-run", **other)
        assert "would be added" in trial.stdout
        done = command.run("cache", "import", str(file), str(file), **other)
        assert f"{len(vendor.sold)} vectors added, 0 were here, 1 model" in done.stdout
        assert f"0 vectors added, {len(vendor.sold)} were here" in done.stdout
        words = ("fetch", str(data), "--model", "toy", "--target", "solid")
        again = command.run(*words, **other)
        assert again.returncode == 0, again.stderr
        assert "0 to buy" in again.stdout
        assert vendor.debited == before

    def test_a_file_that_is_no_archive_exits_1(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"nothing")
        done = command.run("cache", "import", str(tmp_path / "x"))
        assert done.returncode == 1
        assert "is no whole archive" in done.stderr


class TestPrune:
    def test_without_a_word_it_only_shows(
        self, command: Command, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = command.run("cache", "prune", "--purpose", "evaluation")
        assert done.returncode == 0, done.stderr
        assert "--yes-drop-paid drops them too" in done.stderr
        assert store.count() == len(vendor.sold)

    def test_yes_alone_keeps_what_was_paid(
        self, command: Command, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = command.run("cache", "prune", "--purpose", "evaluation", "--yes")
        assert "0 vectors dropped, " in done.stdout
        assert store.count() == len(vendor.sold)

    def test_the_whole_word_drops_and_a_fetch_has_them_back_for_nothing(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        count, before = store.count(purpose="evaluation"), vendor.debited
        words = [
            "cache",
            "prune",
            "--purpose",
            "evaluation",
            "--yes-drop-paid",
            "--compact",
            "--json",
        ]
        said = json.loads(command.run(*words).stdout)
        assert (said["selected"], said["paid"], said["dropped"]) == (count, count, count)
        assert store.count(purpose="evaluation") == 0
        assert command.run("cache", "verify").returncode == 0
        fetch = (
            "fetch",
            str(data),
            "--model",
            "toy",
            "--target",
            "solid",
            "--purpose",
            "evaluation",
        )
        assert command.run(*fetch).returncode == 0
        assert store.count(purpose="evaluation") == count
        assert vendor.debited == before

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "say what may go"),
            (["--older-than", "soon"], "write it like 12h, 90d or 6w"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, command: Command, words: list[str], said: str
    ) -> None:
        done = command.run("cache", "prune", *words)
        assert done.returncode == 2
        assert said in done.stderr

    def test_what_is_young_stays(self, command: Command, store: EmbeddingStore) -> None:
        done = command.run("cache", "prune", "--older-than", "1h", "--yes-drop-paid")
        assert "0 vectors dropped, 0 kept" in done.stdout
        assert store.count() > 0
