"""The first page: who sees it, what it may load, and the same as JSON."""

from typing import Any


async def test_somebody_who_is_logged_in_sees_the_page(visitor_client: Any) -> None:
    answer = await (await visitor_client("viewer")).get("/dashboard")
    assert answer.status_code == 200
    assert "<h1>Now</h1>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src")


async def test_somebody_else_is_sent_to_log_in(anonymous: Any, vendor: Any) -> None:
    async with anonymous() as nobody:
        answer = await nobody.get("/dashboard?tz=UTC", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/login?next=%2Fdashboard%3Ftz%3DUTC"


async def test_it_is_json_for_who_asks(visitor_client: Any) -> None:
    assert await (await visitor_client("viewer")).json("/dashboard") == {}
