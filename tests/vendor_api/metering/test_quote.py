"""Quotes: every distinct item once, whatever the order."""

from hypothesis import given
from hypothesis import strategies as st

from shared.wire import Modality
from vendor_api.ledger.commands import Price
from vendor_api.metering.quote import Asked, quote_items

PRICES: dict[Modality, Price] = {
    "image": Price("p1", "m", "image", 100_000),
    "text": Price("p2", "m", "text", 10_000),
}
ITEMS = st.one_of(
    st.none(),
    st.builds(Asked, st.sampled_from(["image", "text"]), st.binary(min_size=1, max_size=1)),
)


def test_a_repeated_item_is_one_line_borne_by_the_first() -> None:
    cat, dog = Asked("text", b"cat"), Asked("image", b"dog")
    quote = quote_items([cat, None, dog, cat], PRICES)
    assert [line.digest for line in quote.lines] == [b"cat", b"dog"]
    assert quote.line_of == (0, None, 1, 0)
    assert quote.first_of == (True, False, True, False)
    assert quote.total_nanousd == 110_000


def test_an_image_and_a_text_of_equal_digest_are_two_lines() -> None:
    quote = quote_items([Asked("text", b"x"), Asked("image", b"x")], PRICES)
    assert len(quote.lines) == 2


@given(st.lists(ITEMS, max_size=30))
def test_the_total_is_the_price_of_the_distinct_items(items: list[Asked | None]) -> None:
    quote = quote_items(items, PRICES)
    distinct = {item for item in items if item is not None}
    assert quote.total_nanousd == sum(PRICES[item.modality].unit_nanousd for item in distinct)
    assert sum(quote.first_of) == len(quote.lines) == len(distinct)
    for item, line in zip(items, quote.line_of, strict=True):
        assert (item is None) == (line is None)
        if item is not None and line is not None:
            assert (quote.lines[line].modality, quote.lines[line].digest) == (
                item.modality,
                item.digest,
            )
