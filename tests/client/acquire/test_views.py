"""Views of pictures are bought like files: each once, within the budget, whole after any crash."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.acquire import MAX_BYTES, Wants, make_quote
from client.acquire.batches import derive_key, make_batches
from client.acquire.sources import Sources
from client.api import ImageInput
from client.budget import Batch, Journal
from client.cache import EmbeddingStore
from client.cache.store import FILE_VIEW
from client.data import DataError
from client.data.views import draw_view, name_views
from client.failpoints import KILLED
from shared.digests import digest_file, digest_image
from shared.wire import ModelDocument
from tests.client.acquire.test_crashes import STEPS
from tests.client.conftest import Command
from tests.client.standin import IMAGE_NANOUSD, REVISION, TEXT_NANOUSD, StandInVendor

VIEWS = 3


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Pictures whose views all differ: 2 classes × 15."""
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "noisy" / "line" / label
        folder.mkdir(parents=True)
        for number in range(15):
            pixels = rng.integers(0, 256, size=(12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return tmp_path / "noisy"


def fetch(command: Command, data: Path, *more: str, **environment: str):
    given = ("--model", "toy", "--budget", "0.02", "--views", str(VIEWS))
    return command.run("fetch", str(data), *given, *more, **environment)


def views_of(store: EmbeddingStore, data: Path) -> set[tuple[bytes, str]]:
    digests = [digest_file(file) for file in data.rglob("*.png")]
    return {
        (digest, view)
        for view in (FILE_VIEW, *name_views(VIEWS + 1))
        for digest in store.held(REVISION, "image", digests, view=view)
    }


class TestBuying:
    def test_each_view_is_bought_once_and_kept_under_its_file_and_number(
        self, command: Command, noisy: Path, vendor: StandInVendor, store: EmbeddingStore
    ) -> None:
        done = fetch(command, noisy)
        assert done.returncode == 0, done.stderr
        held = views_of(store, noisy)
        assert {view for _, view in held} == set(name_views(VIEWS))
        images = len({digest for digest, _ in held})
        assert len(held) == VIEWS * images
        assert vendor.debited == len(held) * IMAGE_NANOUSD + 2 * TEXT_NANOUSD
        side = ModelDocument.model_validate(vendor.model_document()).preprocessing.image_size
        drawn = {
            digest_image(draw_view(file.read_bytes(), digest_file(file), number, side))
            for file in noisy.rglob("*.png")
            for number in range(VIEWS)
            if (digest_file(file), name_views(VIEWS)[number]) in held
        }
        assert drawn <= set(vendor.sold)
        assert len(vendor.sold) == len(set(vendor.sold)) == len(drawn) + 2

    def test_the_quote_counts_views(self, command: Command, noisy: Path) -> None:
        lines = json.loads(fetch(command, noisy, "--dry-run", "--json").stdout)["lines"]
        assert [line["view"] for line in lines] == [FILE_VIEW, *name_views(VIEWS)]
        assert len({line["to_buy"] for line in lines[1:]}) == 1

    def test_more_views_are_bought_beside_those_there_are(
        self, command: Command, noisy: Path, vendor: StandInVendor
    ) -> None:
        fetch(command, noisy)
        before = len(vendor.sold)
        assert fetch(command, noisy, "--views", str(VIEWS + 1)).returncode == 0
        assert len(vendor.sold) == before + (before - 2) // VIEWS
        assert "0 to buy" in fetch(command, noisy).stdout

    def test_a_budget_that_ends_among_views_is_used_up_and_gone_on_from(
        self, command: Command, noisy: Path, vendor: StandInVendor
    ) -> None:
        assert fetch(command, noisy, "--budget", "0.00402").returncode == 3
        assert vendor.debited == 4_020_000
        assert fetch(command, noisy).returncode == 0
        assert len(vendor.sold) == len(set(vendor.sold))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("time", [2])
def test_a_crash_at_any_step_is_completed_and_charged_once(
    command: Command,
    noisy: Path,
    vendor: StandInVendor,
    store: EmbeddingStore,
    step: str,
    time: int,
) -> None:
    # The first request has the texts; those after it a view each.
    assert fetch(command, noisy, VL2V_FAILPOINT=f"{step}:{time}").returncode == KILLED
    done = fetch(command, noisy)
    assert done.returncode == 0, done.stderr
    assert len(vendor.sold) == len(set(vendor.sold)) == store.count()
    assert {view for _, view in views_of(store, noisy)} == set(name_views(VIEWS))
    totals = Journal(store.database).totals()
    assert sum(total.cost_nanousd for total in totals) == vendor.debited
    assert "0 to buy" in fetch(command, noisy).stdout


def test_recovery_without_the_files_settles_by_the_vendors_record(
    command: Command, noisy: Path, vendor: StandInVendor, store: EmbeddingStore
) -> None:
    vendor.rebuy_free = True
    assert fetch(command, noisy, VL2V_FAILPOINT="answered:2").returncode == KILLED
    for file in sorted((noisy / "line" / "cat").iterdir())[5:]:
        file.unlink()
    assert fetch(command, noisy).returncode == 0
    totals = Journal(store.database).totals()
    assert sum(total.cost_nanousd for total in totals) == vendor.debited


class TestKeys:
    def test_a_view_and_what_draws_it_are_part_of_the_key(self) -> None:
        given = {"run": "r", "model": "m", "modality": "image", "digests": [b"d"], "attempt": 0}
        keys = {
            derive_key(**given, view=view, renderer=renderer)  # type: ignore[arg-type]
            for view in name_views(2)
            for renderer in ("one-64", "two-64")
        }
        plain = derive_key(**given)  # type: ignore[arg-type]
        assert len(keys) == 4
        assert plain not in keys
        assert plain == derive_key(**given, renderer="any")  # type: ignore[arg-type]

    def test_a_journal_row_says_which_view_it_asked_about(self, store: EmbeddingStore) -> None:
        from client.budget import Budgets

        Budgets(store.database).set_cap("run", 10**9)
        journal = Journal(store.database)
        file = Batch("run", "a", "toy", "r", "image", "training", (b"d" * 32,), 1)
        journal.plan(file)
        journal.plan(replace(file, idempotency_key="b", view="crop-v1-4"))
        assert [entry.batch.view for entry in journal.unfinished("run")] == ["file", "crop-v1-4"]


class TestSources:
    def test_a_view_is_drawn_from_the_file_as_it_was_digested(self, noisy: Path) -> None:
        file = noisy / "line" / "cat" / "000.png"
        digest = digest_file(file)
        sources = Sources({digest: file}, {}, side=16)
        batch = Batch("run", "k", "toy", "r", "image", "training", (digest,), 1, "crop-v1-1")
        [item] = sources.load(batch)
        assert isinstance(item, ImageInput)
        assert item.data == draw_view(file.read_bytes(), digest, 1, 16)
        file.write_bytes(file.read_bytes() + b"more")
        with pytest.raises(DataError, match="changed while fetching"):
            sources.load(batch)

    def test_a_view_of_another_scheme_cannot_be_drawn(self, noisy: Path) -> None:
        file = noisy / "line" / "cat" / "000.png"
        digest = digest_file(file)
        batch = Batch("run", "k", "toy", "r", "image", "training", (digest,), 1, "crop-v9-1")
        assert not Sources({digest: file}, {}).has(batch)


def test_large_views_travel_in_requests_below_the_limit(
    noisy: Path, store: EmbeddingStore, vendor: StandInVendor
) -> None:
    document = ModelDocument.model_validate(vendor.model_document())
    large = document.model_copy(
        update={"preprocessing": document.preprocessing.model_copy(update={"image_size": 512})}
    )
    images = {digest_file(file): file for file in noisy.rglob("*.png")}
    wants = Wants("training", images, {}, name_views(1))
    quote = make_quote(wants, large, store=store, journal=Journal(store.database), run="run")
    line = quote.lines[-1]
    assert all(
        sum(line.missing[digest] for digest in batch) <= MAX_BYTES
        for batch in make_batches("image", line.missing)
    )
