"""What `vl2v fetch` can be pointed at, what it says of it, and whose budget it uses."""

import json
from pathlib import Path

import pytest

from client.budget import Budgets
from client.cache import EmbeddingStore
from shared.digests import digest_file
from tests.client.conftest import Command
from tests.client.pictures import make_picture, write_folders
from tests.client.standin import REVISION, StandInVendor


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "pets", domains=(".",), classes=("cat", "dog"), each=8)


def fetch(command: Command, data: Path, *more: str):
    return command.run("fetch", str(data), "--model", "toy", "--budget", "1", *more)


class TestSources:
    def test_a_tree_of_classes_is_bought_as_one_domain(
        self, command: Command, pets: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = fetch(command, pets, "--prompts", "domain")
        assert done.returncode == 0, done.stderr
        held = store.held(REVISION, "image", [digest_file(file) for file in pets.rglob("*.png")])
        assert 0 < len(held) < 16
        assert len(vendor.sold) == len(held) + 2

    def test_a_csv_is_bought_with_its_classes(
        self, command: Command, pets: Path, vendor: StandInVendor, tmp_path: Path
    ) -> None:
        rows = [f"pets/{file.parent.name}/{file.name},{file.parent.name}" for file in _png(pets)]
        file = tmp_path / "list.csv"
        file.write_text("\n".join(["path,class", *rows]) + "\n")
        done = fetch(command, file)
        assert done.returncode == 0, done.stderr
        assert "16 readable pictures in the data" in done.stdout
        assert "and 2 texts" in done.stdout
        sold = len(vendor.sold)
        assert "0 to buy" in fetch(command, file).stdout
        assert len(vendor.sold) == sold

    def test_a_csv_without_classes_is_bought_without_texts(
        self, command: Command, pets: Path, vendor: StandInVendor, tmp_path: Path
    ) -> None:
        file = tmp_path / "list.csv"
        file.write_text("\n".join(["path", *(str(found) for found in _png(pets))]) + "\n")
        done = fetch(command, file)
        assert done.returncode == 0, done.stderr
        assert "and 0 texts" in done.stdout
        assert vendor.sold

    def test_a_row_without_a_file_costs_nothing(
        self, command: Command, vendor: StandInVendor, tmp_path: Path
    ) -> None:
        (tmp_path / "list.csv").write_text("path\ngone.png\n")
        done = fetch(command, tmp_path / "list.csv")
        assert done.returncode == 1
        assert "row 2: gone.png is not there" in " ".join(done.stderr.split())
        assert vendor.requests == []

    def test_captions_come_from_the_same_csv(
        self, command: Command, pets: Path, tmp_path: Path
    ) -> None:
        rows = [f"{found},{found.parent.name},picture {found.name}" for found in _png(pets)]
        file = tmp_path / "list.csv"
        file.write_text("\n".join(["path,class,caption", *rows]) + "\n")
        document = json.loads(
            fetch(command, file, "--captions", str(file), "--dry-run", "--json").stdout
        )
        texts, images = document["lines"]
        assert 2 < texts["to_buy"] <= 2 + images["to_buy"]


class TestReports:
    def test_the_same_bytes_twice_are_counted_and_paid_once(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        for number in range(5):
            (data / "line" / "cat" / f"again{number}.png").write_bytes(make_picture(number))
        done = fetch(command, data)
        assert "25 readable pictures in the data, 5 of them the same as another" in done.stdout
        assert len(vendor.sold) == len(set(vendor.sold)) == 14

    def test_the_receipt_says_how_it_went(self, command: Command, data: Path) -> None:
        receipt = json.loads(fetch(command, data, "--json", "--in-flight", "2").stdout)["receipt"]
        assert receipt["budget_left_usd"] == "0.998780000"
        assert receipt["in_flight"]["most"] == 2
        assert 1 <= receipt["in_flight"]["final"] <= receipt["in_flight"]["peak"] <= 2
        assert receipt["retries"] == 0
        assert receipt["items_per_second"] > 0
        assert receipt["refused_by_reason"] == {}

    def test_retries_and_refusals_are_in_the_receipt(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        vendor.faults.extend(["rate_limited"] * 7)
        done = fetch(command, data)
        assert done.returncode == 0, done.stderr
        assert "7 tries made again" in done.stdout

    def test_no_requests_at_once_is_refused(self, command: Command, data: Path) -> None:
        assert fetch(command, data, "--in-flight", "0").returncode == 2


class TestProject:
    def test_a_run_is_put_into_a_project_and_shares_its_cap(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        command.run("budget", "set", "--project", "thesis", "--items", "5")
        done = fetch(command, data, "--project", "thesis")
        assert done.returncode == 3
        assert "project thesis" in done.stderr
        assert len(vendor.sold) == 5
        (budget,) = Budgets(store.database).list_runs().values()
        assert budget.project.name == "thesis"
        command.run("budget", "set", "--project", "thesis", "--items", "none")
        again = fetch(command, data)
        assert again.returncode == 0
        assert "project thesis" in again.stdout
        assert len(vendor.sold) == len(set(vendor.sold)) == 14

    def test_the_quote_minds_the_projects_cap_and_a_dry_run_moves_nothing(
        self, command: Command, data: Path, store: EmbeddingStore
    ) -> None:
        command.run("budget", "set", "--project", "thesis", "--usd", "0.5")
        done = fetch(command, data, "--project", "thesis", "--dry-run", "--json")
        document = json.loads(done.stdout)
        assert document["project"] == "thesis"
        assert document["budget_left_usd"] == "0.500000000"
        assert Budgets(store.database).list_runs() == {}


def _png(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))
