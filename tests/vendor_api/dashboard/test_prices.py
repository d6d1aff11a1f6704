"""Models and prices: history as it is, another price tried exactly, and set by an admin."""

import json
from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text

from shared.money import format_usd, show_usd
from tests.vendor_api.dashboard.pages import facts, rows, wrongs
from vendor_api.dashboard.whatif import suppose_prices
from vendor_api.db import format_instant, read_clock
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import usage_rollup

NOW = 20_000 * DAY + 5 * HOUR
WHAT_IF = "/dashboard/prices/what-if"

uses = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 6 * 24),
        st.sampled_from(["icon-clip", "other"]),
        st.sampled_from(["image", "text"]),
        st.integers(0, 2**40),
        st.integers(0, 2**50),
    ),
    max_size=30,
    unique_by=lambda row: row[:4],
)
units = st.dictionaries(
    st.sampled_from(["image", "text"]), st.integers(0, 2**55), min_size=1, max_size=2
)


@given(uses, units, st.integers(1, 7))
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_it_is_every_item_at_the_price_that_is_tried(
    shop: Any, used: Any, tried: Any, days: int
) -> None:
    owners = list(_two_accounts(shop))
    with shop.database.write() as connection:
        connection.execute(delete(usage_rollup))
        for owner, back, model, modality, items, cost in used:
            connection.execute(
                insert(usage_rollup).values(
                    account_id=owners[owner],
                    hour=NOW - NOW % HOUR - back * HOUR,
                    key_id="k",
                    model=model,
                    modality=modality,
                    items=items,
                    items_free=3,
                    items_failed=1,
                    cost_nanousd=cost,
                )
            )
    first = NOW // DAY - days + 1
    expected: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for owner, back, model, modality, items, cost in used:
        if model == "icon-clip" and (NOW - back * HOUR) // DAY >= first:
            row = expected[owners[owner], modality]
            row[0] += items
            row[1] += cost
            row[2] += items * tried[modality] if modality in tried else cost
    with shop.database.read() as connection:
        found = suppose_prices(connection, NOW, "icon-clip", tried, days)
    assert found.since == first * DAY
    assert {
        (row.account_id, row.modality): [row.items, row.charged_nanousd, row.supposed_nanousd]
        for row in found.rows
    } == expected
    assert all(
        row.difference_nanousd == row.supposed_nanousd - row.charged_nanousd for row in found.rows
    )
    assert found.items == sum(row[0] for row in expected.values())
    assert found.charged_nanousd == sum(row[1] for row in expected.values())
    assert found.supposed_nanousd == sum(row[2] for row in expected.values())
    assert found.difference_nanousd == found.supposed_nanousd - found.charged_nanousd


def _two_accounts(shop: Any) -> Any:
    with shop.database.read() as connection:
        known = connection.execute(text("SELECT id FROM account ORDER BY id")).scalars().all()
    return known if len(known) == 2 else [*known, shop.open_account("bob", "1").id]


class TestBook:
    async def test_it_shows_models_and_every_version(
        self, visitor_client: Any, shop: Any, vendor: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        shop.set_prices(text="0.00002")
        page = (await viewer.get("/dashboard/prices")).text
        (model,) = rows(page, "models-table")
        assert model[:6] == ["icon-clip", "alive", "0123456789abcdef", "0.0", "$0.0001", "$0.00002"]
        shown = {(row[2], row[3], row[5]) for row in rows(page, "prices-table")}
        assert shown == {
            ("an image", "$0.0001", "current"),
            ("a text", "$0.00001", "past"),
            ("a text", "$0.00002", "current"),
        }
        document = await viewer.json("/dashboard/prices")
        assert document["prices"][0]["price_usd"] == "0.000020000"
        assert document["models"][0]["image_usd"] == "0.000100000"

    async def test_a_model_that_is_down_or_elsewhere_says_so(
        self, visitor_client: Any, shop: Any, vendor: Any
    ) -> None:
        admin = await visitor_client("admin")
        fields = {"model": "elsewhere", "text_usd": "1", "days": "30", "confirmed": "yes"}
        assert (await admin.post("/dashboard/prices", fields)).status_code == 303
        vendor.batcher.close(5)
        found = rows((await admin.get("/dashboard/prices")).text, "models-table")
        assert [row[:2] for row in found] == [
            ["elsewhere", "not loaded here"],
            ["icon-clip", "down"],
        ]


class TestWhatIf:
    async def test_everybody_may_try_and_nothing_changes(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        await vendor.embed("a", "b", "c")
        await vendor.embed("a")
        viewer = await visitor_client("viewer")
        before = await viewer.json("/dashboard/prices")
        asked = {"model": "icon-clip", "text_usd": "0.00005", "image_usd": "", "days": "1"}
        answer = await viewer.get(WHAT_IF, **asked)
        with shop.database.read() as connection:
            query = "SELECT SUM(items), SUM(cost_nanousd) FROM usage_rollup"
            items, cost = (int(part) for part in connection.execute(text(query)).one())
        assert items == 3
        shown = facts(answer.text)
        assert shown["A text"] == "$0.00001 now, $0.00005 tried"
        assert shown["Charged"] == show_usd(cost)
        assert shown["At the prices tried"] == show_usd(items * 50_000)
        assert shown["Difference"] == show_usd(items * 50_000 - cost)
        assert rows(answer.text, "supposed-table") == [
            ["ada", "texts", "3", show_usd(cost), "$0.00015", "$0.00012"]
        ]
        assert '<form method="post" action="/dashboard/prices"' not in answer.text
        document = await viewer.json(WHAT_IF, **asked)
        assert document["supposed"]["supposed_usd"] == format_usd(150_000)
        after = await viewer.json("/dashboard/prices")
        assert after["prices"] == before["prices"]

    async def test_what_is_wrong_is_said_at_its_field(self, visitor_client: Any) -> None:
        viewer = await visitor_client("viewer")
        right = {"model": "icon-clip", "image_usd": "1", "days": "30"}
        for change, said in (
            ({"image_usd": ""}, {"image_usd": "Write a price for images, for texts, or both."}),
            (
                {"image_usd": "-1"},
                {"image_usd": "A price is zero or more, and less than 36 million dollars."},
            ),
            ({"days": "0"}, {"days": "Input should be greater than or equal to 1."}),
            ({"days": "x"}, {"days": "Write a whole number, like 1000."}),
            (
                {"valid_from": "soon"},
                {
                    "valid_from": "'soon' is not a date: write it like 2027-01-31 or "
                    "2027-01-31T12:00:00Z."
                },
            ),
        ):
            answer = await viewer.get(WHAT_IF, **(right | change))
            assert answer.status_code == 400
            assert wrongs(answer.text) == said


class TestSetting:
    async def test_an_admin_sets_a_price_from_an_instant_on(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        admin = await visitor_client("admin")
        with shop.database.read() as connection:
            begin = format_instant(read_clock(connection) // DAY * DAY + 10 * DAY)
        fields = {"model": "icon-clip", "text_usd": "0.5", "valid_from": begin, "days": "30"}
        asked = await admin.post("/dashboard/prices", fields)
        assert asked.status_code == 200
        assert '<form method="post" action="/dashboard/prices"' in asked.text
        assert len((await admin.json("/dashboard/prices"))["prices"]) == 2
        done = await admin.post("/dashboard/prices", fields | {"confirmed": "yes"})
        assert done.status_code == 303
        book = await admin.json("/dashboard/prices")
        price = book["prices"][0]
        assert (price["price_usd"], price["valid_from"], price["state"]) == (
            "0.500000000",
            begin,
            "upcoming",
        )
        assert book["models"][0]["text_usd"] == "0.000010000"
        query = "SELECT actor, action, subject, detail FROM audit_log ORDER BY id DESC LIMIT 1"
        with shop.database.read() as connection:
            row = connection.execute(text(query)).one()
        assert (row.actor, row.action, row.subject) == (admin.person_id, "price", "icon-clip")
        assert json.loads(row.detail)["text_usd"] == "0.500000000"

    async def test_a_price_of_now_is_charged_at_once(
        self, visitor_client: Any, vendor: Any
    ) -> None:
        admin = await visitor_client("admin")
        fields = {"model": "icon-clip", "text_usd": "0.25", "days": "30", "confirmed": "yes"}
        await admin.post("/dashboard/prices", fields)
        await vendor.embed("a")
        assert await vendor.available() == "0.750000000"

    async def test_no_price_is_set_in_the_past(self, visitor_client: Any) -> None:
        admin = await visitor_client("admin")
        fields = {"model": "icon-clip", "text_usd": "1", "valid_from": "2001-01-01", "days": "30"}
        answer = await admin.post("/dashboard/prices", fields | {"confirmed": "yes"})
        assert answer.status_code == 400
        assert wrongs(answer.text) == {"valid_from": "It is in the past."}
        assert len((await admin.json("/dashboard/prices"))["prices"]) == 2
