"""`vl2v fetch` from the outside: what is asked, paid, printed and returned."""

import json
from pathlib import Path

import pytest

from client.acquire import hold_run, name_run
from client.cache import EmbeddingStore
from shared.digests import digest_file, digest_text
from tests.client.conftest import Command
from tests.client.pictures import make_picture
from tests.client.standin import BROKEN, IMAGE_NANOUSD, REVISION, TEXT_NANOUSD, StandInVendor


def fetch(command: Command, data: Path, *more: str, **environment: str):
    return command.run("fetch", str(data), "--model", "toy", *more, **environment)


def paid_requests(vendor: StandInVendor) -> int:
    return sum(path.startswith("/v1/embed") for _, path, _ in vendor.requests)


class TestBuying:
    def test_a_dry_run_prints_the_quote_and_spends_nothing(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        done = fetch(command, data, "--dry-run")
        assert done.returncode == 0
        assert "14 to buy for $0.00122 at most" in done.stdout
        assert paid_requests(vendor) == 0

    def test_each_training_picture_and_class_text_is_bought_once(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 0, done.stderr
        assert len(vendor.sold) == len(set(vendor.sold)) == 14
        assert "bought 12 images and 2 texts" in done.stdout
        assert "for $0.00122 in" in done.stdout
        assert vendor.debited == 12 * IMAGE_NANOUSD + 2 * TEXT_NANOUSD
        assert store.count(purpose="training") == 14
        assert digest_text("an icon of a cat") in store.held(
            REVISION, "text", [digest_text("an icon of a cat")]
        )

    def test_a_second_run_buys_nothing(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        fetch(command, data, "--budget", "1")
        before = paid_requests(vendor)
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 0
        assert "0 to buy" in done.stdout
        assert paid_requests(vendor) == before

    def test_a_target_domain_is_not_bought(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        assert fetch(command, data, "--budget", "1", "--target", "solid").returncode == 0
        target = {digest_file(file) for file in (data / "solid").rglob("*.png")}
        assert not target & set(vendor.sold)

    @pytest.mark.parametrize(
        ("style", "text"),
        [
            ("plain", "a photo of a cat"),
            ("domain", "a line of a cat"),
            ("vendor", "an icon of a cat"),
        ],
    )
    def test_each_prompt_style_buys_its_own_texts(
        self, command: Command, data: Path, store: EmbeddingStore, style: str, text: str
    ) -> None:
        done = fetch(command, data, "--budget", "1", "--target", "solid", "--prompts", style)
        assert "bought 4 images and 2 texts" in done.stdout, done.stderr
        assert digest_text(text) in store.held(REVISION, "text", [digest_text(text)])

    def test_templates_and_a_prompt_style_of_its_own_texts_are_one_too_many(
        self, command: Command, data: Path
    ) -> None:
        done = fetch(command, data, "--prompts", "plain", "--templates", "a {}")
        assert done.returncode == 2
        assert "leave out --templates" in done.stderr

    def test_json_carries_quote_and_receipt(self, command: Command, data: Path) -> None:
        document = json.loads(fetch(command, data, "--budget", "1", "--json").stdout)
        assert document["to_buy"] == 14
        assert document["receipt"]["cost_usd"] == "0.001220000"
        assert document["receipt"]["balance_usd"] == "4.998780000"

    def test_evaluation_is_booked_apart_and_not_read_by_training(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        fetch(command, data, "--budget", "1", "--target", "solid")
        bought = set(vendor.sold)
        done = fetch(command, data, "--budget", "1", "--target", "solid", "--purpose", "evaluation")
        assert done.returncode == 0
        digests = [digest_file(file) for file in (data / "solid").rglob("*.png")]
        assert len(store.get_many(REVISION, "image", digests, purpose="evaluation")) == 10
        assert store.get_many(REVISION, "image", digests) == {}
        assert bought.isdisjoint(vendor.sold[len(bought) :])

    def test_what_was_bought_for_evaluation_is_not_bought_again_for_training(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        more = ("--budget", "1", "--target", "solid", "--purpose", "evaluation")
        fetch(command, data, *more)
        fetch(command, data, "--budget", "1")
        assert len(vendor.sold) == len(set(vendor.sold))
        digests = [digest_file(file) for file in (data / "solid").rglob("*.png")]
        assert 0 < len(store.get_many(REVISION, "image", digests)) < 10

    def test_descriptions_and_captions_are_bought_beside_the_prompts(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        (data / "descriptions.json").write_text('{"cat": "whiskers", "dog": "a wet nose"}')
        captions = data / "captions.jsonl"
        pictures = sorted(file.relative_to(data).as_posix() for file in data.rglob("*.png"))
        rows = [{"path": path, "caption": f"shows {path}"} for path in pictures]
        captions.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = fetch(command, data, "--budget", "1", "--captions", str(captions))
        assert done.returncode == 0, done.stderr
        # The prompts, the described classes, and a caption of each of the twelve training pictures.
        assert "bought 12 images and 16 texts" in done.stdout
        described = [digest_text(f"a photo of {x}") for x in ("cat . whiskers", "dog . a wet nose")]
        assert store.held(REVISION, "text", described, purpose="training") == set(described)

    def test_a_named_file_of_descriptions_comes_first(
        self, command: Command, data: Path, vendor: StandInVendor, tmp_path: Path
    ) -> None:
        (data / "descriptions.json").write_text('{"cat": "whiskers", "dog": "a wet nose"}')
        other = tmp_path / "other.json"
        other.write_text('{"cat": "fur"}')
        done = fetch(command, data, "--dry-run", "--descriptions", str(other))
        assert done.returncode == 1
        assert "other.json describes no dog" in done.stderr
        assert vendor.sold == []


class TestBudget:
    def test_budget_under_one_batch_buys_what_fits_and_exits_3(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        done = fetch(command, data, "--budget", "0.00052")
        assert done.returncode == 3
        assert "7 items for $0.0007 to go" in done.stderr
        assert "--budget 0.00122" in done.stderr
        assert vendor.debited == 2 * TEXT_NANOUSD + 5 * IMAGE_NANOUSD
        done = fetch(command, data, "--budget", "0.00122")
        assert done.returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold)) == 14

    def test_budget_under_one_item_buys_nothing_and_exits_3(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        done = fetch(command, data, "--budget", "0.000005")
        assert done.returncode == 3
        assert "run the same command again with --budget" in done.stderr
        assert vendor.sold == []

    @pytest.mark.parametrize("cap", [("--items", "5"), ("--usd", "0.00042")])
    def test_a_projects_cap_is_bought_up_to_and_named(
        self, command: Command, data: Path, vendor: StandInVendor, cap: tuple[str, str]
    ) -> None:
        assert command.run("budget", "set", "--project", "default", *cap).returncode == 0
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 3
        assert "project default" in done.stderr
        assert "vl2v budget set --project default" in done.stderr
        assert len(vendor.sold) == 5 if cap[0] == "--items" else vendor.debited <= 420_000
        assert 0 < len(vendor.sold) < 14

    def test_a_missing_budget_is_asked_for(self, command: Command, data: Path) -> None:
        done = fetch(command, data)
        assert done.returncode == 2
        assert "--budget 0.00122 covers it" in done.stderr

    @pytest.mark.parametrize("text", ["much", "-1", "1e3", "nan"])
    def test_a_budget_that_is_no_amount_is_refused(
        self, command: Command, data: Path, text: str
    ) -> None:
        done = fetch(command, data, f"--budget={text}")
        assert done.returncode == 2
        assert "--budget" in done.stderr

    def test_the_budget_is_kept_when_the_cache_of_vectors_is_lost(
        self, command: Command, data: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        fetch(command, data, "--budget", "0.00122")
        with store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding")
        done = fetch(command, data, "--budget", "0.00122")
        assert done.returncode == 0, done.stderr
        assert store.count() == 14
        assert len(vendor.sold) == len(set(vendor.sold)) == 14
        assert "sums agree" in command.run("doctor").stdout


class TestBadInput:
    def test_unknown_model(self, command: Command, data: Path) -> None:
        done = command.run("fetch", str(data), "--model", "nope", "--budget", "1")
        assert done.returncode == 2
        assert "choose one of toy" in done.stderr

    def test_unknown_target(self, command: Command, data: Path) -> None:
        done = fetch(command, data, "--budget", "1", "--target", "sold")
        assert done.returncode == 2
        assert "did you mean solid?" in done.stderr

    def test_empty_class(self, command: Command, data: Path) -> None:
        (data / "line" / "cow").mkdir()
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 1
        assert "line/cow has no readable image: add one or remove the folder" in done.stderr

    def test_missing_folder(self, command: Command, tmp_path: Path) -> None:
        done = fetch(command, tmp_path / "none", "--budget", "1")
        assert done.returncode == 1
        assert "is not a folder: name one laid out as" in done.stderr

    def test_unreadable_image_is_listed_and_free(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        (data / "line" / "cat" / "empty.png").write_bytes(b"")
        (data / "line" / "cat" / "cut.png").write_bytes(make_picture(1000)[:40])
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 0
        assert "2 unreadable, not sent" in done.stdout
        assert "line/cat/empty.png: the file is empty" in done.stdout
        assert len(vendor.sold) == 14

    def test_image_that_the_vendor_refuses_is_listed_free_and_not_sent_again(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        # Readable here, refused there: the bytes after a PNG's end are no part of the picture.
        for index in range(8):
            file = data / "line" / "cat" / f"bad{index}.png"
            file.write_bytes(make_picture(2000 + index) + BROKEN)
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 0
        assert "refused by the vendor, free" in done.stdout
        assert len(vendor.sold) == 14
        before = paid_requests(vendor)
        again = fetch(command, data, "--budget", "1")
        assert "0 to buy" in again.stdout
        assert "refused before, free, not sent again" in again.stdout
        assert paid_requests(vendor) == before

    def test_wrong_key(self, command: Command, data: Path) -> None:
        done = fetch(command, data, "--budget", "1", VL2V_API_KEY="vl2v_live_wrong")
        assert done.returncode == 1
        assert "type `vl2v login`" in done.stderr

    def test_no_key(self, command: Command, data: Path) -> None:
        done = fetch(command, data, "--budget", "1", VL2V_API_KEY="")
        assert done.returncode == 1
        assert "there is no API key: type `vl2v login`, set VL2V_API_KEY" in done.stderr

    def test_no_credit_is_one_402_and_resumes_after_payment(
        self, command: Command, data: Path, vendor: StandInVendor
    ) -> None:
        vendor.credit = 2 * TEXT_NANOUSD
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 1
        assert "ask the vendor for more credit, then run the same command again" in done.stderr
        assert paid_requests(vendor) == 2
        vendor.credit = 5_000_000_000
        assert fetch(command, data, "--budget", "0.00122").returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold)) == 14

    @pytest.mark.parametrize("fault", ["drop-before", "drop-after", "overloaded", "internal"])
    def test_vendor_down_mid_fetch_resumes_without_paying_twice(
        self, command: Command, data: Path, vendor: StandInVendor, fault: str
    ) -> None:
        vendor.faults.extend([fault] * 6)
        done = fetch(command, data, "--budget", "0.00122")
        assert done.returncode == 1
        assert "what was bought is saved; the same command goes on from there" in done.stderr
        assert "Traceback" not in done.stderr
        vendor.faults.clear()
        again = fetch(command, data, "--budget", "0.00122")
        assert again.returncode == 0, again.stderr
        assert len(vendor.sold) == len(set(vendor.sold)) == 14
        assert "sums agree" in command.run("doctor").stdout

    def test_vendor_not_reachable(self, command: Command, data: Path) -> None:
        done = fetch(command, data, "--budget", "1", VL2V_BASE_URL="http://127.0.0.1:9")
        assert done.returncode == 1
        assert "cannot reach the vendor at http://127.0.0.1:9" in done.stderr

    def test_corrupt_cache_is_named_and_kept(
        self, command: Command, data: Path, home: Path
    ) -> None:
        home.mkdir()
        file = home / "client.db"
        file.write_bytes(b"not a database at all, but long enough" * 100)
        before = file.read_bytes()
        done = fetch(command, data, "--budget", "1")
        assert done.returncode == 1
        assert "is damaged" in done.stderr
        assert f"mv {file} {file}.damaged" in done.stderr
        assert file.read_bytes() == before

    def test_another_fetch_of_the_same_run_is_refused(
        self, command: Command, data: Path, store: EmbeddingStore, vendor: StandInVendor
    ) -> None:
        with hold_run(store.database, name_run(data, "toy")):
            done = fetch(command, data, "--budget", "1")
        assert done.returncode == 1
        assert "another `vl2v fetch` is buying for run" in done.stderr
        assert vendor.sold == []
