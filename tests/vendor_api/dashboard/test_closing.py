"""An account is closed in two steps and once: first what it comes to, then the end of it."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from tests.vendor_api.dashboard.pages import facts, typed, wrongs
from vendor_api.db import read_clock
from vendor_api.ledger.audit import audit
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit

ORDER = {"reason": "asked for it", "refund_external_ref": "wire 17"}
SURE = ORDER | {"confirmed": "yes"}


def count(shop: Any, table: str) -> int:
    with shop.database.read() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def here(visitor: Any) -> str:
    return f"/dashboard/accounts/{visitor.account_id}"


def give(shop: Any, usd: int) -> None:
    """A promotion."""
    with shop.database.write() as connection:
        gift = Credit(shop.account.id, usd * 10**9, "gift", "promo")
        add_credit(connection, read_clock(connection), gift)


async def test_the_first_step_says_what_it_comes_to_and_changes_nothing(
    visitor_client: Any, vendor: Any, shop: Any
) -> None:
    admin = await visitor_client("admin")
    give(shop, 3)
    assert f'href="{here(admin)}/close"' in (await admin.get(here(admin))).text
    assert "nothing opens it again" in (await admin.get(f"{here(admin)}/close")).text
    known = count(shop, "ledger_txn"), count(shop, "audit_log")
    asked = await admin.post(f"{here(admin)}/close", ORDER)
    assert asked.status_code == 200
    assert facts(asked.text) == {
        "Account": f"ada ({admin.account_id})",
        "Reason": "asked for it",
        "To pay back": "$1.00",
        "Reference of the refund": "wire 17",
        "Forfeited": "$3.00",
        "Keys": "all end",
    }
    assert "no one can open the account again" in asked.text
    assert 'class="danger">Yes, close ada for ever' in asked.text
    assert typed(asked.text) == SURE
    assert (count(shop, "ledger_txn"), count(shop, "audit_log")) == known
    assert (await vendor.embed("still served")).status_code == 200


async def test_without_a_reference_all_is_forfeited(visitor_client: Any, shop: Any) -> None:
    admin = await visitor_client("admin")
    asked = await admin.post(f"{here(admin)}/close", {"reason": "gone"})
    shown = facts(asked.text)
    assert (shown["To pay back"], shown["Forfeited"]) == ("$0.00", "$1.00")
    assert shown["Reference of the refund"] == "none"


async def test_the_yes_closes_it_under_the_persons_name_and_its_keys_end_at_once(
    visitor_client: Any, vendor: Any, shop: Any
) -> None:
    admin = await visitor_client("admin")
    assert (await vendor.embed("a")).status_code == 200, "the key is known to the vendor"
    asked = await admin.post(f"{here(admin)}/close", ORDER)
    closed = await admin.post(f"{here(admin)}/close", typed(asked.text))
    assert (closed.status_code, closed.headers["location"]) == (303, f"{here(admin)}?done=closed")
    assert (await vendor.embed("b")).status_code == 401
    page = (await admin.get(closed.headers["location"])).text
    assert "The account is closed for ever." in page
    assert "$0.99999" in page
    assert "to pay back under wire 17" in page
    for form in ("credits", "adjustments", "freeze", "close", "credit-limit", "low-balance"):
        assert f"{here(admin)}/{form}" not in page
    found = await admin.json(here(admin))
    assert (found["account"]["status"], found["account"]["available_usd"]) == (
        "closed",
        "0.000000000",
    )
    assert found["closure"]["refunded_usd"] == "0.999990000"
    assert found["closure"]["reason"] == "asked for it"
    query = "SELECT actor, action, subject, detail FROM audit_log ORDER BY id DESC LIMIT 1"
    with shop.database.read() as connection:
        row = connection.execute(text(query)).one()
    assert (row.actor, row.action, row.subject) == (
        *(admin.person_id, "account.close", admin.account_id),
    )
    assert json.loads(row.detail)["refund_ref"] == "wire 17"
    assert not audit(shop.database).violations


async def test_a_double_click_and_a_reload_close_it_once(visitor_client: Any, shop: Any) -> None:
    admin = await visitor_client("admin")
    path, known = f"{here(admin)}/close", count(shop, "ledger_txn")
    answers = await asyncio.gather(*(admin.post(path, SURE) for _ in range(5)))
    answers.append(await admin.post(path, SURE))
    assert {answer.status_code for answer in answers} == {303}
    assert (count(shop, "ledger_txn"), count(shop, "account_closure")) == (known + 1, 1)
    asked = await admin.post(path, ORDER)
    assert "It was closed before" in asked.text
    assert "nothing will change" in asked.text


@pytest.mark.parametrize("step", [{}, {"confirmed": "yes"}])
class TestRefusals:
    async def test_a_reason_is_asked_for(
        self, visitor_client: Any, shop: Any, step: dict[str, str]
    ) -> None:
        admin = await visitor_client("admin")
        answer = await admin.post(f"{here(admin)}/close", ORDER | {"reason": ""} | step)
        assert answer.status_code == 400
        assert wrongs(answer.text) == {"reason": "Fill this in."}
        assert typed(answer.text)["refund_external_ref"] == "wire 17"
        assert count(shop, "account_closure") == 0

    async def test_a_reference_that_is_taken_is_said_at_its_field(
        self, visitor_client: Any, shop: Any, step: dict[str, str]
    ) -> None:
        admin = await visitor_client("admin")
        taken = {"amount_usd": "-0.10", "external_ref": "wire 17", "reason": "r"}
        await admin.post(f"{here(admin)}/adjustments", taken | {"confirmed": "yes"})
        answer = await admin.post(f"{here(admin)}/close", ORDER | step)
        assert answer.status_code == 409
        said = wrongs(answer.text)["refund_external_ref"]
        assert said.startswith("The reference belongs to another movement of money")
        assert count(shop, "account_closure") == 0

    async def test_while_a_request_is_under_way_it_says_to_wait(
        self, visitor_client: Any, vendor: Any, shop: Any, step: dict[str, str]
    ) -> None:
        admin = await visitor_client("admin")
        vendor.model.gate.clear()
        async with asyncio.timeout(30):
            asking = asyncio.create_task(vendor.embed("slow"))
            while not vendor.model.entered.is_set():  # noqa: ASYNC110  (a thread sets it)
                await asyncio.sleep(0.005)
            answer = await admin.post(f"{here(admin)}/close", ORDER | step)
            vendor.model.gate.set()
            assert (await asking).status_code == 200
        assert answer.status_code == 409
        assert "freeze it, wait until they are done" in answer.text
        assert typed(answer.text).items() >= ORDER.items()
        assert count(shop, "account_closure") == 0
