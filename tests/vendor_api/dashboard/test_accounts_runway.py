"""How long credit lasts and how full caps are: the same as counting it out by hand."""

from collections import defaultdict
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from vendor_api.dashboard.cap_shares import share_percent
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import usage_rollup
from vendor_api.runway import LOOK_BACK_DAYS, Pace, list_paces

NOW = 20_000 * DAY + 5 * HOUR
AMOUNT = st.integers(0, 2**63 - 1)


@given(AMOUNT, st.integers(1, 7), st.integers(1, 2**66))
def test_it_is_what_is_available_over_the_mean_day_rounded_down(
    available: int, days: int, spent: int
) -> None:
    exact = Fraction(available) / Fraction(spent, days)
    pace = Pace(days, spent)
    assert pace.count_tenths(available) == floor(exact * 10)
    shown = pace.show_days(available)
    assert shown is not None
    assert Fraction(shown) <= exact < Fraction(shown) + Fraction(1, 10)
    assert pace.per_day_nanousd == spent // days


@given(AMOUNT)
def test_who_spends_nothing_has_no_runway(available: int) -> None:
    assert Pace(0, 0).show_days(available) is None
    assert Pace(0, 0).per_day_nanousd is None


@given(AMOUNT, AMOUNT)
def test_a_cap_is_full_at_a_hundred_percent(counted: int, cap: int) -> None:
    percent = share_percent(counted, cap)
    assert (percent >= 100) == (counted >= cap)
    assert percent >= 0


hours = st.lists(
    st.tuples(
        st.sampled_from(["key_a", "key_b"]),
        st.integers(-2 * 24, (LOOK_BACK_DAYS + 3) * 24),
        st.sampled_from(["image", "text"]),
        st.integers(0, 2**60),
    ),
    max_size=40,
    unique_by=lambda row: row[:3],
)


@given(hours)
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_the_pace_is_that_of_the_latest_days_with_spending(shop: Any, rows: Any) -> None:
    this_hour = NOW - NOW % HOUR
    with shop.database.write() as connection:
        connection.execute(delete(usage_rollup))
        for key, back, modality, cost in rows:
            connection.execute(
                insert(usage_rollup).values(
                    account_id=shop.account.id,
                    hour=this_hour - max(0, back) * HOUR if back >= 0 else this_hour,
                    key_id=f"{key}{back}",
                    model="m",
                    modality=modality,
                    items=1,
                    items_free=0,
                    items_failed=0,
                    cost_nanousd=cost,
                )
            )
    spent: dict[int, int] = defaultdict(int)
    for _, back, _, cost in rows:
        spent[(this_hour - max(0, back) * HOUR) // DAY] += cost
    latest = [spent[day] for day in sorted(spent, reverse=True) if spent[day]]
    known = [cost for day, cost in spent.items() if day > NOW // DAY - LOOK_BACK_DAYS and cost]
    latest = latest[: min(7, len(known))]
    with shop.database.read() as connection:
        everybody = list_paces(connection, NOW)
        alone = list_paces(connection, NOW, [shop.account.id])
    assert everybody == alone
    assert everybody == ({shop.account.id: Pace(len(latest), sum(latest))} if latest else {})


@pytest.mark.parametrize("back", [0, 6, LOOK_BACK_DAYS - 1, LOOK_BACK_DAYS])
def test_what_is_too_long_ago_sets_no_pace(shop: Any, back: int) -> None:
    with shop.database.write() as connection:
        connection.execute(
            insert(usage_rollup).values(
                account_id=shop.account.id,
                hour=NOW - NOW % DAY - back * DAY + 23 * HOUR * (back > 0),
                key_id="k",
                model="m",
                modality="text",
                items=1,
                items_free=0,
                items_failed=0,
                cost_nanousd=3,
            )
        )
    with shop.database.read() as connection:
        assert bool(list_paces(connection, NOW)) == (back < LOOK_BACK_DAYS)
