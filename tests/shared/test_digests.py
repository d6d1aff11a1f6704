"""What is bought once is told apart exactly."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.digests import digest_file, digest_image, digest_request, digest_text

ITEMS = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@given(st.text())
def test_texts_that_look_equal_are_one_purchase(text):
    assert digest_text(unicodedata.normalize("NFD", text)) == digest_text(
        unicodedata.normalize("NFC", text)
    )


def test_a_composed_and_a_decomposed_letter_are_one_purchase():
    assert digest_text("caf\u00e9") == digest_text("cafe\u0301")
    assert digest_text("cafe") != digest_text("caf\u00e9")


@given(st.binary())
def test_a_file_is_its_bytes(data):
    assert digest_image(data) == digest_image(bytes(data))
    assert len(digest_image(data)) == 32


def test_a_file_on_disk_has_the_digest_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "picture").write_bytes(data)
    assert digest_file(tmp_path / "picture") == digest_image(data)


@given(st.text(), st.text(), ITEMS)
def test_a_request_is_told_by_model_options_and_order(model, options, items):
    first = digest_request(model=model, revision="r", options=options, items=items)
    assert first == digest_request(model=model, revision="r", options=options, items=items)
    assert first != digest_request(model=model, revision="s", options=options, items=items)
    assert first != digest_request(model=model, revision="r", options=options + "x", items=items)
    if items != items[::-1]:
        assert first != digest_request(
            model=model, revision="r", options=options, items=items[::-1]
        )


@pytest.mark.parametrize(("model", "options"), [("ab", "c"), ("a", "bc")])
def test_members_do_not_run_into_each_other(model, options):
    other = digest_request(model="abc", revision="", options="", items=[])
    assert digest_request(model=model, revision="", options=options, items=[]) != other
