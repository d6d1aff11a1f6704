"""Operators move money over HTTP: once for each reference, in strings, with a line in the log."""

import asyncio
import json
from typing import Any

import pytest


async def test_a_credit_says_whether_it_is_new(office: Any) -> None:
    first = await office.credit("2.50", "invoice 1")
    again = await office.credit("2.5", "invoice 1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["new"], again.json()["new"]) == (True, False)
    assert first.json()["txn_id"] == again.json()["txn_id"]
    assert first.json()["amount_usd"] == "2.500000000"
    assert again.json()["available_usd"] == "3.500000000"


async def test_a_reference_of_another_amount_or_account_is_409(office: Any, shop: Any) -> None:
    await office.credit("2.50", "invoice 1")
    other = shop.open_account("bob", "1.00")
    body = {"amount_usd": "2.50", "external_ref": "invoice 1"}
    elsewhere = await office.admin.post(f"/v1/admin/accounts/{other.id}/credits", json=body)
    for answer in (await office.credit("2.51", "invoice 1"), elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (409, "reference_reused")
        assert answer.json()["error"]["param"] == "external_ref"
    assert (await office.balance())["credited_usd"] == "3.500000000"


@pytest.mark.parametrize(
    "amount",
    [
        5,
        2.5,
        "-1",
        "0",
        "NaN",
        "1e400",
        "1e3",
        "٥",
        "２",
        "0.0000000001",
        "9999999999",
        "",
        None,
        [],
    ],
)
async def test_what_is_no_amount_is_refused_by_name(office: Any, amount: object) -> None:
    answer = await office.admin.post(
        f"/v1/admin/accounts/{office.account_id}/credits",
        json={"amount_usd": amount, "external_ref": "r"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["detail"].startswith("amount_usd: ")
    assert (await office.balance())["credited_usd"] == "1.000000000"


@pytest.mark.parametrize("raw", ["1e400", "NaN", "-Infinity", "1" * 5000])
async def test_numbers_that_json_should_not_have_are_refused(office: Any, raw: str) -> None:
    answer = await office.admin.post(
        f"/v1/admin/accounts/{office.account_id}/credits",
        content=f'{{"amount_usd": {raw}, "external_ref": "r"}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "extra", ["balance", "credited_nanousd", "role", "price", "account_id", "new", "actor"]
)
async def test_a_member_that_nobody_named_is_refused(office: Any, extra: str) -> None:
    answer = await office.credit("1", "r", **{extra: "9"})
    assert answer.status_code == 400
    assert extra in answer.json()["detail"]
    body = {"name": "eve", extra: "9"}
    assert (await office.admin.post("/v1/admin/accounts", json=body)).status_code == 400


@pytest.mark.parametrize("ref", ["", " ", "a\x00b", "line\nbreak", "\ud800", "x" * 201])
async def test_a_reference_is_printable(office: Any, ref: str) -> None:
    answer = await office.admin.post(
        f"/v1/admin/accounts/{office.account_id}/credits",
        content=json.dumps({"amount_usd": "1", "external_ref": ref}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400


async def test_more_than_the_ledger_holds_is_409(office: Any) -> None:
    assert (await office.credit("4600000000", "most")).status_code == 201
    answer = await office.credit("4600000000", "too much")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_promotion_may_expire(office: Any) -> None:
    given = await office.credit(
        "1", "welcome", kind="promo", expires_at="2999-01-31", reason="hello"
    )
    assert given.status_code == 201
    (grant,) = [each for each in (await office.balance())["grants"] if each["kind"] == "promo"]
    assert (grant["expires_at"], grant["remaining_usd"]) == ("2999-01-31T00:00:00Z", "1.000000000")
    late = await office.credit("1", "too late", expires_at="2001-01-01T00:00:00Z")
    assert late.status_code == 400
    assert "2001-01-01" in late.json()["detail"]


async def test_a_refund_names_its_charge_and_never_exceeds_it(office: Any) -> None:
    charge_id = (await office.vendor.embed("a", "b")).json()["charge_id"]
    url = f"/v1/admin/charges/{charge_id}/refunds"
    reason = {"reason": "blurred"}
    part = await office.admin.post(
        url, json={"amount_usd": "0.00001", "external_ref": "t1", **reason}
    )
    too_much = await office.admin.post(
        url, json={"amount_usd": "0.000011", "external_ref": "t2", **reason}
    )
    rest = await office.admin.post(url, json={"external_ref": "t3", **reason})
    more = await office.admin.post(url, json={"external_ref": "t4", **reason})
    assert [each.status_code for each in (part, too_much, rest, more)] == [201, 409, 201, 409]
    assert too_much.json()["code"] == more.json()["code"] == "over_refund"
    shown = (await office.admin.get(f"/v1/admin/charges/{charge_id}")).json()
    assert shown["refunded_usd"] == shown["cost_usd"] == "0.000020000"
    assert (await office.balance())["available_usd"] == "1.000000000"
    assert (await office.last_action())["subject"] == charge_id


async def test_an_adjustment_goes_both_ways_but_not_below_zero(office: Any) -> None:
    url = f"/v1/admin/accounts/{office.account_id}/adjustments"

    async def adjust(amount: str, ref: str) -> Any:
        body = {"amount_usd": amount, "external_ref": ref, "reason": "by hand"}
        return await office.admin.post(url, json=body)

    assert (await adjust("-0.4", "a")).json()["available_usd"] == "0.600000000"
    assert (await adjust("-0.4", "a")).json()["new"] is False
    below = await adjust("-0.7", "b")
    assert (below.status_code, below.json()["code"]) == (409, "conflict")
    assert "$0.60 available" in below.json()["detail"]
    assert (await adjust("0.5", "c")).json()["available_usd"] == "1.100000000"
    assert (await adjust("0", "d")).status_code == 400


async def test_every_movement_has_one_line_in_the_log(office: Any) -> None:
    for _ in range(3):
        await office.credit("1", "invoice 1")
    await office.credit("9", "invoice 1")
    log = (await office.admin.get("/v1/admin/audit-log")).json()["data"]
    (line,) = [each for each in log if each["action"] == "credit"]
    assert (line["actor"], line["subject"]) == (office.admin_key.key_id, office.account_id)
    assert line["detail"]["external_ref"] == "invoice 1"


async def test_unknown_accounts_and_charges_are_404(office: Any) -> None:
    body = {"amount_usd": "1", "external_ref": "r", "reason": "x"}
    for path in ("accounts/acct_none/adjustments", "charges/chg_none/refunds"):
        answer = await office.admin.post(f"/v1/admin/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for path in ("accounts/acct_none", "charges/chg_none", "accounts/acct_none/keys"):
        assert (await office.admin.get(f"/v1/admin/{path}")).status_code == 404


async def test_two_accounts_that_race_for_one_reference(office: Any, shop: Any) -> None:
    other = shop.open_account("bob", "1.00")
    body = {"amount_usd": "1", "external_ref": "webhook"}
    answers = await asyncio.gather(
        *(
            office.admin.post(f"/v1/admin/accounts/{account}/credits", json=body)
            for account in (office.account_id, other.id) * 3
        )
    )
    assert sorted(each.status_code for each in answers) == [200, 200, 201, 409, 409, 409]
