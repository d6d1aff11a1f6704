"""An account's own books over HTTP."""

from typing import Any

import pytest

from shared.wire import BalanceDocument, ChargeList, UsageDocument
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock
from vendor_api.ledger.accounts import create_account


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_balance_usage_and_charges_tell_the_same_story(vendor: Any) -> None:
    for text in ("a", "b", "c"):
        await vendor.embed(text, headers={"idempotency-key": text})
    balance = BalanceDocument.model_validate((await vendor.http.get("/v1/balance")).json())
    usage = UsageDocument.model_validate((await vendor.http.get("/v1/usage")).json())
    charges = ChargeList.model_validate((await vendor.http.get("/v1/charges")).json())
    assert balance.debited_usd == usage.total_cost_usd == "0.000030000"
    assert [charge.idempotency_key for charge in charges.data] == ["a", "b", "c"]
    assert {charge.state for charge in charges.data} == {"captured"}


async def test_charges_are_listed_page_by_page(vendor: Any) -> None:
    for text in ("a", "b", "c"):
        await vendor.embed(text)
    first = (await vendor.http.get("/v1/charges?limit=2")).json()
    rest = (await vendor.http.get(f"/v1/charges?limit=2&after={first['data'][-1]['id']}")).json()
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert len(first["data"]) + len(rest["data"]) == 3


async def test_usage_is_bounded_by_its_dates(vendor: Any) -> None:
    await vendor.embed("a")
    for query in ("since=2001-01-01&until=2002-01-01", "until=2002-01-01T00:00:00Z"):
        assert (await vendor.http.get(f"/v1/usage?{query}")).json()["data"] == []


async def test_another_accounts_books_are_out_of_reach(
    vendor: Any, database: Any, pepper: bytes
) -> None:
    await vendor.embed("a", headers={"idempotency-key": "mine"})
    with database.write() as connection:
        now = read_clock(connection)
        other = create_account(connection, now, "eve")
        key = issue_key(connection, now, pepper, other.id, name="eve")
    eve = {"authorization": f"Bearer {key.text}"}
    charges = await vendor.http.get("/v1/charges?idempotency_key=mine", headers=eve)
    usage = await vendor.http.get("/v1/usage", headers=eve)
    assert charges.json()["data"] == usage.json()["data"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/charges?idempotency_key=%00", 400),
        ("/v1/charges?after=%00", 400),
        ("/v1/charges?idempotency_key=", 200),
        ("/v1/usage?until=0001-01-01", 400),
        ("/v1/usage?since=0001-01-01", 200),
        ("/v1/usage?until=9999-12-31T23:59:59Z", 200),
    ],
)
async def test_odd_filters_have_an_answer(vendor: Any, path: str, status: int) -> None:
    assert (await vendor.http.get(path)).status_code == status
