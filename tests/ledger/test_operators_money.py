"""Case 12 of the worst: webhooks and refunds that come five times, at once, to two servers."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text

from tests.ledger.office import buy, open_office
from vendor_api.auth.operators import issue_operator
from vendor_api.db import read_clock
from vendor_api.ledger.audit import audit


@pytest.fixture
async def admins(shop: Any, pepper: bytes, vendor_database_url: str, api_key: Any) -> Any:
    """An admin's connections to two servers on one database, and the customer's to the first."""
    with shop.database.write() as connection:
        now = read_clock(connection)
        operator = issue_operator(connection, now, pepper, name="hook", role="admin")
    async with AsyncExitStack() as stack:
        offices = [
            await stack.enter_async_context(open_office(vendor_database_url, pepper))
            for _ in range(2)
        ]
        yield (
            [await office.connect(operator.text) for office in offices],
            await offices[0].connect(api_key.text),
        )


async def deliver(admins: Any, path: str, body: Any, times: int = 5) -> list[Any]:
    """The same POST so many times at once, to the servers in turn."""
    calls = [admins[n % len(admins)].post(path, json=body) for n in range(times)]
    return list(await asyncio.gather(*calls))


def read_row(shop: Any, query: str, **values: object) -> tuple[int, ...]:
    with shop.database.read() as connection:
        return tuple(int(part) for part in connection.execute(text(query), values).one())


CREDITED = "SELECT credited_nanousd FROM account_balance WHERE account_id = :account"
REFUNDED = "SELECT refunded_nanousd, cost_nanousd FROM charge WHERE id = :charge"
LOGGED = "SELECT COUNT(*) FROM audit_log WHERE action = :action"


async def test_case_12_a_top_up_webhook_delivered_five_times(admins: Any, shop: Any) -> None:
    connections, _ = admins
    path = f"/v1/admin/accounts/{shop.account.id}/credits"
    body = {"amount_usd": "2.50", "external_ref": "evt_1"}
    for _ in range(5):
        assert (await connections[0].post(path, json=body)).status_code in (200, 201)
    answers = await deliver(connections, path, {**body, "external_ref": "evt_2"})
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert [answer.json()["new"] for answer in answers].count(True) == 1
    assert len({answer.json()["txn_id"] for answer in answers}) == 1
    assert read_row(shop, CREDITED, account=shop.account.id) == (6_000_000_000,)
    assert read_row(shop, LOGGED, action="credit") == (2,)
    assert audit(shop.database).ok


async def test_case_12_one_reference_for_two_amounts_at_once(admins: Any, shop: Any) -> None:
    connections, _ = admins
    path = f"/v1/admin/accounts/{shop.account.id}/credits"
    bodies = [{"amount_usd": amount, "external_ref": "evt"} for amount in ("1", "2")]
    answers = await asyncio.gather(
        *(connections[n].post(path, json=body) for n, body in enumerate(bodies))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    (booked,) = [answer.json() for answer in answers if answer.status_code == 201]
    (credited,) = read_row(shop, CREDITED, account=shop.account.id)
    assert credited - 1_000_000_000 == int(booked["amount_usd"].replace(".", ""))
    assert audit(shop.database).ok


async def test_case_12_a_refund_posted_five_times(admins: Any, shop: Any) -> None:
    connections, customer = admins
    charge = (await buy(customer, "a", "b", "c")).json()["charge_id"]
    path = f"/v1/admin/charges/{charge}/refunds"
    body = {"external_ref": "ticket 1", "reason": "blurred"}
    answers = await deliver(connections, path, body)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert read_row(shop, REFUNDED, charge=charge) == (30_000, 30_000)
    assert read_row(shop, LOGGED, action="refund") == (1,)
    assert audit(shop.database).ok


async def test_case_12_refunds_that_sum_above_the_charge(admins: Any, shop: Any) -> None:
    connections, customer = admins
    charge = (await buy(customer, "a", "b", "c")).json()["charge_id"]
    path = f"/v1/admin/charges/{charge}/refunds"
    bodies = [
        {"amount_usd": "0.00001", "external_ref": f"ticket {n}", "reason": "r"} for n in range(5)
    ]
    answers = await asyncio.gather(
        *(connections[n % 2].post(path, json=body) for n, body in enumerate(bodies))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 409, 409]
    refused = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert refused == ["over_refund"] * 2
    assert read_row(shop, REFUNDED, charge=charge) == (30_000, 30_000)
    assert audit(shop.database).ok


async def test_case_12_a_charge_that_is_not_captured_has_nothing_to_refund(
    admins: Any, shop: Any, ledger: Any
) -> None:
    connections, _ = admins
    hold = await ledger.reserve(shop.reserve("key", "picture"))
    path = f"/v1/admin/charges/{hold.charge_id}/refunds"
    body = {"external_ref": "early", "reason": "r"}
    early = await connections[0].post(path, json=body)
    assert (early.status_code, early.json()["code"]) == (409, "over_refund")
    refund = connections[1].post(path, json=body)
    _, answer = await asyncio.gather(ledger.capture(hold, [True]), refund)
    assert answer.status_code in (201, 409)
    refunded, cost = read_row(shop, REFUNDED, charge=hold.charge_id)
    assert refunded == (cost if answer.status_code == 201 else 0)
    assert audit(shop.database).ok
