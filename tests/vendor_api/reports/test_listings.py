"""Pages of a listing, one after the other, are the whole listing: nothing twice, nothing left out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import PEPPER
from tests.planted import MODELS, Planted, plant
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY, HOUR
from vendor_api.ledger.audit import audit
from vendor_api.reports.charges import ChargeSelection, list_charges, stream_charges
from vendor_api.reports.movements import list_movements, stream_movements
from vendor_api.reports.places import BadPlace, read_place, write_place
from vendor_api.reports.ranges import Range
from vendor_api.reports.revenue import RevenueSelection, list_revenue, stream_revenue
from vendor_api.reports.usage import UsageSelection, list_usage, stream_usage


@pytest.fixture
def planted(database: Any) -> Planted:
    """Two thousand charges over seventy days."""
    made = plant(database, PEPPER, charges=2000, accounts=3, days=70, seed=1)
    assert audit(database).ok
    return made


@pytest.fixture
def connection(database: Any, planted: Planted) -> Any:
    """One state of it."""
    with database.snapshot() as opened:
        yield opened


def turn_pages(show: Callable[..., Any]) -> list[Any]:
    """The rows of all pages."""
    rows: list[Any] = []
    after: str | None = None
    while True:
        page = show(after=after)
        rows += page.rows
        after = page.after
        if after is None:
            return rows


def spans(planted: Planted) -> list[Range]:
    """From everything to very little, on edges and off."""
    middle = (planted.since + planted.until) // 2
    return [
        Range(),
        Range(middle, None),
        Range(None, middle + 12_345),
        Range(middle - middle % DAY, middle - middle % DAY + DAY),
        Range(middle, middle + 5 * HOUR + 1),
        Range(planted.until + DAY, None),
    ]


@pytest.mark.parametrize(
    "groups",
    [
        ("hour", "account", "key", "model", "modality"),
        ("day", "model"),
        ("month", "account"),
        ("key", "modality"),
        ("hour",),
        (),
    ],
)
def test_usage(groups: Any, connection: Any, planted: Planted) -> None:
    now = read_clock(connection)
    for span in spans(planted):
        wanted = UsageSelection(span=span, groups=groups)
        whole = list(stream_usage(connection, wanted))
        found = turn_pages(partial(list_usage, connection, now, wanted, limit=37))
        assert found == whole
        some = replace(wanted, outcome="failed", model=MODELS[1])
        assert turn_pages(partial(list_usage, connection, now, some, limit=5)) == list(
            stream_usage(connection, some)
        )


def test_revenue(connection: Any, planted: Planted) -> None:
    now = read_clock(connection)
    for span in spans(planted):
        for account_id, model in ((None, None), (planted.accounts[0], MODELS[0])):
            wanted = RevenueSelection(span, account_id, model)
            whole = list(stream_revenue(connection, wanted))
            found = turn_pages(partial(list_revenue, connection, now, wanted, limit=23))
            assert found == whole
    assert len(list(stream_revenue(connection, RevenueSelection()))) > 50


def test_movements(connection: Any, planted: Planted) -> None:
    for span in spans(planted):
        whole = list(stream_movements(connection, span, kind="refund"))
        found = turn_pages(partial(list_movements, connection, span, kind="refund", limit=3))
        assert found == whole


@pytest.mark.parametrize("most", [7, 500, 20_000])
def test_charges(most: int, connection: Any, planted: Planted) -> None:
    selections = [
        ChargeSelection(),
        ChargeSelection(state="held"),
        ChargeSelection(state="released_final", account_id=planted.accounts[1]),
        ChargeSelection(refunded=True),
        ChargeSelection(replayed=True, model=MODELS[2]),
        *(ChargeSelection(span=span) for span in spans(planted)),
        *(ChargeSelection(span=span, clock="captured") for span in spans(planted)),
    ]
    for wanted in selections:
        whole = list(stream_charges(connection, wanted))
        assert whole == [row for row in whole if wanted.state in (None, row.state)]
        found = turn_pages(partial(list_charges, connection, wanted, limit=60, most=most))
        assert found == whole
    assert len(list(stream_charges(connection, ChargeSelection()))) == 2000


def test_a_made_up_past_is_found_by_its_time_although_its_ids_are_young(database: Any) -> None:
    planted = plant(database, PEPPER, charges=50, days=40)
    with database.write() as connection:
        for table, column in (("charge", "created_at"), ("charge", "captured_at")):
            back = f"UPDATE {table} SET {column} = {column} - {90 * DAY}"
            connection.execute(text(back))
    with database.snapshot() as connection:
        span = Range(planted.since - 91 * DAY, planted.until - 80 * DAY)
        assert len(list_charges(connection, ChargeSelection(span=span)).rows) == 50


@pytest.mark.parametrize("word", ["", "!", "e30", "WzFd", "WzEsMl0", "WzEsIlx1MDAwMCJd", "é"])
def test_a_place_that_no_page_ended_with_is_refused(word: str) -> None:
    assert read_place(write_place([1, "a"]), (int, str)) == [1, "a"]
    with pytest.raises(BadPlace):
        read_place(word, (int, str))
