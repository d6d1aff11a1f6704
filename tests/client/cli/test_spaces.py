"""The client never mixes spaces: it says which it has, which it is offered, and what to type."""

import json

import pytest

from client.api import InvalidAnswerError
from client.cache import EmbeddingStore, SpacesMixed
from client.train.teacher import Teacher
from tests.client.standin import REVISION, StandInVendor

PRIVATE = f"{REVISION}~s1a2b3c4d"


def fetch(command, data, *more, model="toy"):
    return command.run("fetch", str(data), "--model", model, "--budget", "1", *more)


@pytest.fixture
def moved(command, data, vendor):
    """Everything was bought in everybody's space; then the vendor put the account into its own."""
    vendor.rebuy_free_days = 30
    assert fetch(command, data).returncode == 0
    vendor.revision = PRIVATE
    return len(vendor.sold)


def test_a_fetch_into_another_space_is_refused_before_anything_is_bought(
    command, data, vendor, moved
):
    done = fetch(command, data)
    assert done.returncode == 1
    assert len(vendor.sold) == moved
    assert "now answers this account in its private space s1a2b3c4d" in done.stderr
    assert f"this cache holds {moved} vectors in everybody's space ({REVISION})" in done.stderr
    assert f"--model toy@{PRIVATE}" in done.stderr
    assert f"vl2v cache prune --revision {REVISION} --yes-drop-paid" in done.stderr
    assert "what was paid for within 30 days is free again" in done.stderr


def test_a_dry_run_says_the_same(command, data, moved):
    assert "vectors of two spaces do not compare" in fetch(command, data, "--dry-run").stderr


def test_another_cache_holds_the_other_space(command, data, vendor, moved, tmp_path):
    other = {"VL2V_CACHE_URL": str(tmp_path / "other.db")}
    words = ("fetch", str(data), "--model", "toy", "--budget", "1", "--json")
    done = command.run(*words, **other)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["revision"] == PRIVATE


def test_naming_the_space_buys_beside_and_journals_it(command, data, vendor, moved, store):
    vendor.rebuy_free = True
    done = fetch(command, data, "--json", model=f"toy@{PRIVATE}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["receipt"]["cost_usd"] == "0.000000000"
    shelves = json.loads(command.run("cache", "stats", "--json").stdout)["shelves"]
    assert {shelf["revision"] for shelf in shelves} == {REVISION, PRIVATE}
    history = command.run("budget", "history", "--json").stdout
    assert PRIVATE in history
    assert command.run("cache", "verify").returncode == 0


def test_training_on_a_mixed_cache_asks_which_is_meant(command, data, vendor, moved, store):
    assert fetch(command, data, model=f"toy@{PRIVATE}").returncode == 0
    with pytest.raises(SpacesMixed, match="Name the one that is meant") as refusal:
        Teacher.open(store, "toy")
    for revision in (REVISION, PRIVATE):
        assert f"--model toy@{revision}" in str(refusal.value)
        assert Teacher.open(store, f"toy@{revision}").document.revision == revision


def test_giving_the_old_ones_up_ends_the_question(command, data, vendor, moved, store):
    dropped = command.run("cache", "prune", "--revision", REVISION, "--yes-drop-paid")
    assert dropped.returncode == 0, dropped.stderr
    assert fetch(command, data).returncode == 0
    assert Teacher.open(store, "toy").document.revision == PRIVATE


def test_another_revision_of_the_weights_is_no_other_space(command, data, vendor, moved, store):
    vendor.revision = "fedcba9876543210"
    assert fetch(command, data).returncode == 0
    assert Teacher.open(store, "toy").document.revision == "fedcba9876543210"


def test_a_result_says_its_space(vendor: StandInVendor, store: EmbeddingStore):
    assert vendor.client().embeddings.create(input="a cat", model="toy").space_id is None
    vendor.revision = PRIVATE
    answer = vendor.client().embeddings.create(input="a dog", model="toy")
    assert (answer.space_id, answer.revision) == ("s1a2b3c4d", PRIVATE)


def test_an_answer_that_contradicts_itself_is_not_believed(vendor: StandInVendor):
    from client.api.answers import read_embeddings

    document = {
        "data": [{"index": 0, "embedding": [1.0], "cost_usd": "0.000000000"}],
        "model": f"toy@{PRIVATE}",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        "cost_usd": "0.000000000",
        "charge_id": "chg_1",
        "space_id": "s99999999",
    }
    with pytest.raises(InvalidAnswerError, match="tell the vendor"):
        read_embeddings(
            json.dumps(document).encode(), {}, repeats=[False], dtype="float32", retries=0
        )
