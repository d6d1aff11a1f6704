"""The first page: its numbers move with requests, and those of the books are the database's."""

from typing import Any

from sqlalchemy import text


async def test_a_request_moves_the_tiles(visitor_client: Any, vendor: Any, clock: Any) -> None:
    viewer = await visitor_client("viewer")
    before = (await viewer.json("/dashboard"))["process"]
    assert (before["answers"], before["items"], before["p50_ms"]) == (0, 0, None)
    assert (await vendor.embed("a", "b", "c", "a")).status_code == 200
    assert (await vendor.embed("a", dimensions=7)).status_code == 400
    clock(10)
    after = (await viewer.json("/dashboard/now/tiles"))["process"]
    assert (after["answers"], after["refusals"], after["failures"]) == (2, 1, 0)
    assert (after["items"], after["items_per_s"], after["requests_per_s"]) == (4, 0.4, 0.2)
    assert after["p50_ms"] > 0
    assert (after["in_flight"], after["redis"], after["engines_down"]) == (0, "off", [])


async def test_looking_is_no_request_of_a_customer(
    visitor_client: Any, anonymous: Any, clock: Any
) -> None:
    viewer = await visitor_client("viewer")
    async with anonymous() as nobody:
        await nobody.get("/healthz")
        await nobody.get("/v1/admin/accounts")
    await viewer.get("/dashboard")
    clock(1)
    assert (await viewer.json("/dashboard"))["process"]["answers"] == 0


async def test_the_books_are_those_of_plain_sql(
    visitor_client: Any, vendor: Any, shop: Any, ledger: Any
) -> None:
    await vendor.embed("a", "b")
    await ledger.reserve(shop.reserve("k", "x", "y"))
    books = (await (await visitor_client("viewer")).json("/dashboard"))["books"]
    with shop.database.read() as connection:
        held = connection.execute(
            text("SELECT COUNT(*), SUM(reserved_nanousd) FROM charge WHERE state = 'held'")
        ).one()
        cost = connection.execute(text("SELECT SUM(cost_nanousd) FROM charge")).scalar_one()
    assert (books["holds"], books["held_nanousd"]) == tuple(int(each) for each in held)
    assert books["charged_today_nanousd"] == int(cost)
    assert books["items_today"] == 2


async def test_the_part_that_refreshes_is_the_same_as_on_the_page(
    visitor_client: Any, clock: Any
) -> None:
    viewer = await visitor_client("viewer")
    page, part = await viewer.get("/dashboard"), await viewer.get("/dashboard/now/tiles")
    assert "<html" not in part.text
    assert part.text.count('class="tile"') == page.text.count('class="tile"') == 13
    assert 'hx-trigger="every 5s"' in page.text


async def test_the_chart_has_a_value_for_every_instant(
    visitor_client: Any, vendor: Any, clock: Any
) -> None:
    viewer = await visitor_client("viewer")
    await vendor.embed("a", "b")
    clock(10)
    chart = await viewer.json("/dashboard/now/chart.json")
    assert [each["label"] for each in chart["series"]] == ["requests", "items", "p95"]
    assert all(len(each["values"]) == len(chart["x"]) for each in chart["series"])
    requests, items, p95 = (each["values"] for each in chart["series"])
    assert (sum(requests) * 5, sum(items) * 5) == (1, 2)
    assert [value for value in p95 if value is not None]
