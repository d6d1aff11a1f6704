"""Money moves in two steps and once: first exactly what will happen, then the same with a yes."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from tests.vendor_api.dashboard.pages import facts, typed, wrongs
from vendor_api.db import read_clock
from vendor_api.ledger.audit import audit

TOP_UP = {"amount_usd": "2.50", "external_ref": "invoice 7", "kind": "credit", "reason": "paid"}
CORRECTION = {"amount_usd": "-0.25", "external_ref": "case 3", "reason": "typing error"}


def count(shop: Any, table: str) -> int:
    with shop.database.read() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def last_action(shop: Any) -> Any:
    query = "SELECT actor, action, subject, detail FROM audit_log ORDER BY id DESC LIMIT 1"
    with shop.database.read() as connection:
        row = connection.execute(text(query)).one()
    return (row.actor, row.action, row.subject, json.loads(row.detail))


async def available(visitor: Any) -> str:
    document = await visitor.json(f"/dashboard/accounts/{visitor.account_id}")
    return str(document["account"]["available_usd"])


def here(visitor: Any) -> str:
    return f"/dashboard/accounts/{visitor.account_id}"


class TestCredit:
    async def test_the_first_step_says_what_will_happen_and_moves_nothing(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        journal, log = count(shop, "ledger_txn"), count(shop, "audit_log")
        asked = await finance.post(f"{here(finance)}/credits", TOP_UP)
        assert asked.status_code == 200
        assert facts(asked.text) == {
            "Account": f"ada ({finance.account_id})",
            "Kind": "credit",
            "Amount": "$2.50",
            "Reference": "invoice 7",
            "Reason": "paid",
            "Expires": "never",
            "Available now": "$1.00",
            "Available afterwards": "$3.50",
        }
        assert typed(asked.text).items() >= (TOP_UP | {"confirmed": "yes"}).items()
        assert (count(shop, "ledger_txn"), count(shop, "audit_log")) == (journal, log)
        assert await available(finance) == "1.000000000"

    async def test_the_yes_books_it_under_the_persons_name(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        asked = await finance.post(f"{here(finance)}/credits", TOP_UP)
        booked = await finance.post(f"{here(finance)}/credits", typed(asked.text))
        assert booked.status_code == 303
        page = (await finance.get(booked.headers["location"])).text
        assert "Booked: credit of" in page
        assert await available(finance) == "3.500000000"
        actor, action, subject, detail = last_action(shop)
        assert (actor, action, subject) == (finance.person_id, "credit", finance.account_id)
        assert (detail["amount_usd"], detail["external_ref"]) == ("2.500000000", "invoice 7")

    async def test_a_double_click_and_a_replay_move_money_once(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        sure = TOP_UP | {"confirmed": "yes"}
        path = f"{here(finance)}/credits"
        answers = await asyncio.gather(*(finance.post(path, sure) for _ in range(5)))
        again = await finance.post(path, sure)
        assert {answer.status_code for answer in [*answers, again]} == {303}
        first = [a for a in answers if "again" not in a.headers["location"]]
        assert len(first) == 1
        page = (await finance.get(again.headers["location"])).text
        assert "This was booked before and has not moved again" in page
        assert await available(finance) == "3.500000000"
        assert count(shop, "ledger_txn") == 2
        assert not audit(shop.database).violations
        repeated = await finance.post(path, TOP_UP)
        assert "it will not move again" in repeated.text
        assert facts(repeated.text)["Available afterwards"] == "$3.50"

    async def test_a_reference_that_is_taken_says_for_what(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        shop.open_account("bob", "7")
        for step in ({}, {"confirmed": "yes"}):
            fields = TOP_UP | {"external_ref": "opening of bob"} | step
            answer = await finance.post(f"{here(finance)}/credits", fields)
            assert answer.status_code == 409
            said = wrongs(answer.text)["external_ref"]
            assert said.startswith("The reference belongs to another movement of money")
            assert said.endswith("for the account bob.")
            assert typed(answer.text)["amount_usd"] == "2.50"
        assert await available(finance) == "1.000000000"

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("amount_usd", "", "Fill this in."),
            ("amount_usd", "two", "'two' is not an amount in dollars: write it like 2.50."),
            ("amount_usd", "0", "A credit is more than zero and less than 4.6 billion dollars."),
            ("amount_usd", "-1", "A credit is more than zero and less than 4.6 billion dollars."),
            ("external_ref", " ", "Write it in printable characters, at least one."),
            ("kind", "gift", "Choose one of those offered."),
            (
                "expires_at",
                "soon",
                "'soon' is not a date: write it like 2027-01-31 or 2027-01-31T12:00:00Z.",
            ),
        ],
    )
    async def test_what_is_wrong_is_said_at_its_field_and_costs_nothing(
        self, visitor_client: Any, shop: Any, name: str, value: str, said: str
    ) -> None:
        finance = await visitor_client("finance")
        fields = TOP_UP | {"confirmed": "yes", name: value}
        answer = await finance.post(f"{here(finance)}/credits", fields)
        assert answer.status_code == 400
        assert wrongs(answer.text) == {name: said}
        shown = typed(answer.text)
        assert all(shown[each] == fields.get(each, "") for each in shown)
        assert await available(finance) == "1.000000000"

    async def test_credit_that_would_have_expired_is_refused(self, visitor_client: Any) -> None:
        finance = await visitor_client("finance")
        fields = TOP_UP | {"expires_at": "2001-01-01"}
        answer = await finance.post(f"{here(finance)}/credits", fields)
        assert answer.status_code == 400
        assert "would have expired at 2001-01-01" in answer.text

    async def test_what_was_typed_runs_nowhere(self, visitor_client: Any) -> None:
        finance = await visitor_client("finance")
        hostile = '"><script>alert(1)</script>'
        for fields in (
            TOP_UP | {"reason": hostile, "external_ref": hostile},
            TOP_UP | {"amount_usd": hostile, "reason": hostile},
        ):
            answer = await finance.post(f"{here(finance)}/credits", fields)
            assert "<script>alert" not in answer.text
            assert typed(answer.text)["reason"] == hostile


class TestAdjustment:
    async def test_it_shows_both_balances_then_moves(self, visitor_client: Any, shop: Any) -> None:
        finance = await visitor_client("finance")
        path = f"{here(finance)}/adjustments"
        asked = await finance.post(path, CORRECTION)
        shown = facts(asked.text)
        assert shown["Amount"] == "-$0.25"
        assert (shown["Available now"], shown["Available afterwards"]) == ("$1.00", "$0.75")
        assert await available(finance) == "1.000000000"
        booked = await finance.post(path, typed(asked.text))
        assert booked.status_code == 303
        assert await available(finance) == "0.750000000"
        assert last_action(shop)[:2] == (finance.person_id, "adjust")

    async def test_no_more_is_taken_than_there_is(self, visitor_client: Any) -> None:
        finance = await visitor_client("finance")
        for step in ({}, {"confirmed": "yes"}):
            fields = CORRECTION | {"amount_usd": "-1.01"} | step
            answer = await finance.post(f"{here(finance)}/adjustments", fields)
            assert answer.status_code == 409
            assert "The account has $1.00 available" in answer.text
        assert await available(finance) == "1.000000000"

    async def test_it_needs_a_reason(self, visitor_client: Any) -> None:
        finance = await visitor_client("finance")
        answer = await finance.post(f"{here(finance)}/adjustments", CORRECTION | {"reason": ""})
        assert wrongs(answer.text) == {"reason": "Fill this in."}

    async def test_a_look_leaves_credit_that_is_due_as_it_is(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        with shop.database.write() as connection:
            now = read_clock(connection)
            connection.execute(
                text("UPDATE credit_grant SET expires_at = :now"), {"now": now - 1_000_000}
            )
            connection.execute(
                text("UPDATE account_balance SET next_expiry_at = :now"), {"now": now - 1_000_000}
            )
        journal = count(shop, "ledger_txn")
        await finance.post(f"{here(finance)}/adjustments", CORRECTION | {"amount_usd": "5"})
        assert count(shop, "ledger_txn") == journal


class TestAccountItself:
    async def test_it_is_opened_once_for_each_name(self, visitor_client: Any, shop: Any) -> None:
        admin = await visitor_client("admin")
        fields = {"name": "eve & co", "credit_limit_usd": "3"}
        opened = await admin.post("/dashboard/accounts", fields)
        assert opened.status_code == 303
        page = (await admin.get(opened.headers["location"])).text
        assert "<h1>eve &amp; co</h1>" in page
        assert "The account is open." in page
        assert last_action(shop)[:2] == (admin.person_id, "account.create")
        taken = await admin.post("/dashboard/accounts", fields)
        assert taken.status_code == 409
        assert wrongs(taken.text) == {"name": "An account of this name exists already."}
        assert typed(taken.text) == fields
        bad = await admin.post("/dashboard/accounts", {"name": "", "credit_limit_usd": "-1"})
        assert set(wrongs(bad.text)) == {"name", "credit_limit_usd"}

    async def test_it_is_frozen_with_a_reason_and_let_go_on(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        support = await visitor_client("support")
        nothing = await support.post(f"{here(support)}/freeze", {"reason": ""})
        assert wrongs(nothing.text) == {"reason": "Fill this in."}
        frozen = await support.post(f"{here(support)}/freeze", {"reason": "card stolen"})
        assert frozen.status_code == 303
        page = (await support.get(frozen.headers["location"])).text
        assert "The account is frozen." in page
        assert ">Unfreeze</a>" in page
        assert last_action(shop)[3]["reason"] == "card stolen"
        assert (await vendor.embed("a")).status_code == 403
        await support.post(f"{here(support)}/unfreeze", {"reason": "new card"})
        assert last_action(shop)[:2] == (support.person_id, "account.unfreeze")
        assert (await vendor.embed("a")).status_code == 200

    async def test_its_credit_limit_is_not_below_what_it_owes(
        self, visitor_client: Any, shop: Any
    ) -> None:
        admin = await visitor_client("admin")
        path = f"{here(admin)}/credit-limit"
        assert typed((await admin.get(path)).text) == {"credit_limit_usd": "0.000000000"}
        changed = await admin.post(path, {"credit_limit_usd": "2"})
        assert changed.status_code == 303
        assert await available(admin) == "3.000000000"
        assert last_action(shop)[:2] == (admin.person_id, "account.limit")
        fields = CORRECTION | {"amount_usd": "-2", "confirmed": "yes"}
        await admin.post(f"{here(admin)}/adjustments", fields)
        refused = await admin.post(path, {"credit_limit_usd": "0.5"})
        assert refused.status_code == 409
        assert "its limit can be $1.00 at least" in refused.text
        assert await available(admin) == "1.000000000"

    async def test_somebody_is_warned_below_a_threshold(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        path = f"{here(finance)}/low-balance"
        for threshold, low in (("1", False), ("1.000000001", True), ("", False)):
            assert (await finance.post(path, {"threshold_usd": threshold})).status_code == 303
            page = (await finance.get(here(finance))).text
            assert ("Low balance:" in page) == low
            (account,) = (await finance.json("/dashboard/accounts"))["accounts"]
            assert account["low"] == low
        actor, action, _, detail = last_action(shop)
        assert (actor, action) == (finance.person_id, "account.low_balance")
        assert detail == {"threshold_usd": None}
        assert wrongs((await finance.post(path, {"threshold_usd": "-1"})).text) == {
            "threshold_usd": "An amount here is zero dollars or more."
        }
