"""Vectors in, the same vectors out; nothing bought is lost or bought again."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.cache import EmbeddingStore, ModelNotCached
from client.cache.documents import TeacherDocument
from tests.client.standin import StandInVendor

digests = st.binary(min_size=32, max_size=32)
numbers = st.floats(-1, 1, width=16)
vectors = st.lists(numbers, min_size=4, max_size=4).map(lambda v: np.array(v, dtype=np.float32))
keep_fixture = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def unit(number: int, size: int = 16) -> np.ndarray:
    raw = np.random.default_rng(number).normal(size=size)
    return (raw / np.linalg.norm(raw)).astype(np.float32)


class TestVectors:
    @keep_fixture
    @given(bought=st.dictionaries(digests, vectors, max_size=20), revision=st.uuids().map(str))
    def test_what_is_put_comes_back_exact_to_float16(self, store, bought, revision) -> None:
        store.put_many(revision, "image", bought)
        found = store.get_many(revision, "image", list(bought))
        assert found.keys() == bought.keys()
        for key, vector in bought.items():
            assert found[key].dtype == np.float32
            np.testing.assert_array_equal(found[key], vector)

    def test_a_unit_vector_stays_one_to_the_precision_of_float16(self, store) -> None:
        wanted = {digest(n): unit(n, 512) for n in range(50)}
        store.put_many("r", "image", wanted)
        for key, vector in store.get_many("r", "image", list(wanted)).items():
            assert abs(float(np.linalg.norm(vector)) - 1) < 1e-3
            assert float(vector @ wanted[key]) / float(np.linalg.norm(vector)) > 0.99999

    def test_revision_modality_and_view_are_part_of_the_identity(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1)})
        assert store.get_many("other", "image", [digest(1)]) == {}
        assert store.get_many("r", "text", [digest(1)]) == {}
        assert store.get_many("r", "image", [digest(1)], view="flipped") == {}

    def test_the_first_vector_of_a_content_stays(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1)})
        store.put_many("r", "image", {digest(1): unit(2), digest(2): unit(3)})
        found = store.get_many("r", "image", [digest(1), digest(2)])
        np.testing.assert_allclose(found[digest(1)], unit(1), atol=1e-3)
        assert store.count() == 2

    def test_more_digests_than_a_statement_takes_are_found(self, store) -> None:
        many = {digest(n): unit(n, 4) for n in range(1203)}
        store.put_many("r", "image", many)
        assert len(store.get_many("r", "image", list(many))) == 1203
        assert store.held("r", "image", list(many)) == set(many)

    def test_nothing_is_fine(self, store) -> None:
        store.put_many("r", "image", {})
        assert store.get_many("r", "image", []) == {}

    def test_a_reopened_store_has_everything(self, store, home) -> None:
        store.put_many("r", "image", {digest(1): unit(1)})
        with EmbeddingStore.open(f"sqlite:///{home / 'client.db'}") as again:
            assert again.count() == 1


class TestPurposes:
    def test_training_never_reads_what_was_bought_for_evaluation(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1)}, purpose="evaluation")
        assert store.get_many("r", "image", [digest(1)]) == {}
        assert len(store.get_many("r", "image", [digest(1)], purpose="evaluation")) == 1
        assert store.held("r", "image", [digest(1)], purpose="training") == set()

    def test_evaluation_reads_everything(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1)})
        assert len(store.get_many("r", "image", [digest(1)], purpose="evaluation")) == 1

    def test_what_training_has_stays_training_s(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1)})
        store.put_many("r", "image", {digest(1): unit(1)}, purpose="evaluation")
        assert store.count(purpose="training") == 1

    def test_what_is_wanted_for_training_later_is_promoted_not_bought(self, store) -> None:
        store.put_many("r", "image", {digest(1): unit(1), digest(2): unit(2)}, purpose="evaluation")
        assert store.promote("r", "image", [digest(1), digest(3)]) == 1
        assert store.promote("r", "image", [digest(1)]) == 0
        assert list(store.get_many("r", "image", [digest(1), digest(2)])) == [digest(1)]
        store.put_many("r", "image", {digest(2): unit(2)})
        assert store.count(revision="r", modality="image", purpose="training") == 2


class TestModels:
    def test_the_latest_bought_document_answers_to_the_id(self, store) -> None:
        old, new = (
            TeacherDocument.model_validate(StandInVendor(revision=name).model_document())
            for name in ("aaaa", "bbbb")
        )
        for document in (old, new, old):
            store.put_model(document)
        assert store.model("toy") == old
        assert store.model("toy@bbbb") == new

    def test_a_model_never_bought_says_how_to_buy_it(self, store) -> None:
        with pytest.raises(ModelNotCached, match="vl2v fetch DATA --model toy --budget"):
            store.model("toy")
