"""Amounts survive every road exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_NANOUSD, format_usd, parse_usd, show_usd

AMOUNTS = st.integers(min_value=-MAX_NANOUSD, max_value=MAX_NANOUSD)


@given(AMOUNTS)
def test_an_amount_comes_back_as_it_was(nanousd):
    assert parse_usd(format_usd(nanousd)) == nanousd
    assert parse_usd(show_usd(nanousd).replace("$", "")) == nanousd


@given(AMOUNTS)
def test_every_document_carries_nine_places(nanousd):
    assert len(format_usd(nanousd).split(".")[1]) == 9


@pytest.mark.parametrize(
    ("text", "nanousd"),
    [
        ("2.50", 2_500_000_000),
        ("0.000100", 100_000),
        ("5", 5_000_000_000),
        (" 1.000000001 ", 1_000_000_001),
    ],
)
def test_what_people_write_is_read(text, nanousd):
    assert parse_usd(text) == nanousd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1e3",
        "NaN",
        "inf",
        "1,50",
        "$5",
        "0.0000000001",
        "--1",
        "١٢",
        "1.",
        ".5",
        "9223372037",
        "+1",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"not an amount|more than the ledger"):
        parse_usd(text)


@pytest.mark.parametrize(
    ("nanousd", "shown"),
    [(2_500_000_000, "$2.50"), (100_000, "$0.0001"), (-1, "-$0.000000001"), (0, "$0.00")],
)
def test_a_person_sees_no_needless_zeros(nanousd, shown):
    assert show_usd(nanousd) == shown
