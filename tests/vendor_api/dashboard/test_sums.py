"""The rows that a number links to sum to it."""

import html
import re
from typing import Any

import pytest


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def list_links(page: str) -> set[str]:
    """The addresses of the page's links, without their fragments."""
    found = re.findall(r'href="(/dashboard[^"#]*)', page)
    return {html.unescape(link) for link in found if "/static/" not in link}


async def test_the_rows_behind_a_number_sum_to_it(visitor_client: Any, vendor: Any) -> None:
    await vendor.embed("a", "b")
    await vendor.embed("c")
    viewer = await visitor_client("viewer")
    asked = "/dashboard/prices/what-if?model=icon-clip&text_usd=1&days=3"
    supposed = (await viewer.json(asked))["supposed"]
    account = f"/dashboard/accounts/{viewer.account_id}"
    day = (await viewer.json(account))["days"][-1]
    assert (supposed["items"], supposed["charged_usd"]) == (day["items"], day["cost_usd"])
    assert day["items"] == 3
    links = []
    for page in (asked, account):
        found = list_links((await viewer.get(page)).text)
        links += [link for link in found if "/usage?" in link and "since=" in link]
    totals = [(await viewer.json(link))["total"] for link in links]
    busy = [(total["items"], total["cost_usd"]) for total in totals if total["items"]]
    assert busy == [(3, day["cost_usd"])] * 3
    assert len(totals) == 2 + 30
