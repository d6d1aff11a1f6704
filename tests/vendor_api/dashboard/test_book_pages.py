"""The pages of the books: their figures, links, files, refusals; what money does is the ledger's."""

import csv
import html
import io
import json
import re
from typing import Any

import pytest
from sqlalchemy import text

from shared.money import format_usd
from tests.vendor_api.admin.conftest import office

__all__ = ["office"]

PAGES = ("money", "money/journal", "usage", "charges", "integrity", "abuse", "log")


def cells(page: str, row_id: str) -> list[str]:
    """The texts of one table row."""
    match = re.search(rf'<tr id="{re.escape(row_id)}".*?</tr>', page, re.DOTALL)
    assert match is not None, f"there is no row {row_id}"
    found = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", match[0], re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in found]


async def buy(vendor: Any, *items: str) -> str:
    """A charge's id."""
    answer = await vendor.embed(*items)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["charge_id"])


class TestEveryPage:
    @pytest.mark.parametrize("page", PAGES)
    async def test_it_opens_for_a_viewer_empty_and_full(
        self, page: str, visitor_client: Any, vendor: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        assert (await viewer.get(f"/dashboard/{page}")).status_code == 200
        await buy(vendor, "a", "b")
        answer = await viewer.get(f"/dashboard/{page}")
        assert answer.status_code == 200, answer.text
        assert "As of" in answer.text
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        ids = re.findall(r' id="([^"]+)"', answer.text)
        assert len(ids) == len(set(ids))
        for table in re.findall(r"<table.*?</table>", answer.text, re.DOTALL):
            assert "<caption>" in table
            body = table.split("<tbody>")[1].split("</tbody>")[0]
            assert body.count("<tr") == body.count('<th scope="row"')
        document = await viewer.json(f"/dashboard/{page}")
        assert document["as_of"].endswith("Z")

    @pytest.mark.parametrize("page", PAGES)
    async def test_nobody_sees_it_without_a_session(self, page: str, anonymous: Any) -> None:
        async with anonymous() as nobody:
            answer = await nobody.get(f"/dashboard/{page}")
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/dashboard/login?next=")

    @pytest.mark.parametrize("page", [page for page in PAGES if page != "integrity"])
    @pytest.mark.parametrize("form", ["csv", "ndjson"])
    async def test_its_rows_are_a_file_too(
        self, page: str, form: str, visitor_client: Any, vendor: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        await buy(vendor, "a")
        path = "money/revenue" if page == "money" else page
        answer = await viewer.get(f"/dashboard/{path}.{form}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].endswith(f'.{form}"')
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(answer.text)))
        else:
            rows = [json.loads(line) for line in answer.text.splitlines()]
        assert all("id" in row or "account_id" in row for row in rows)
        assert rows or page == "log"

    @pytest.mark.parametrize(
        ("page", "query", "word"),
        [
            ("usage", "since=yesterday", "since"),
            ("usage", "since=2027-01-02&until=2027-01-01", "swap"),
            ("usage", "group=week", "group"),
            ("usage", "group=day,month", "one of hour, day and month"),
            ("usage", "outcome=lost", "paid, free, failed"),
            ("usage", "after=!!!", "first page"),
            ("usage", "account=%00", "plain characters"),
            ("charges", "state=lost", "captured"),
            ("charges", "clock=sun", "created"),
            ("money", "after=e30", "first page"),
            ("money/journal", "kind=capture", "refund"),
            ("log", "until=x", "until"),
            ("abuse", "since=x", "since"),
        ],
    )
    async def test_a_bad_filter_is_answered_in_words(
        self, page: str, query: str, word: str, visitor_client: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        answer = await viewer.http.get(f"/dashboard/{page}?{query}")
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert word in html.unescape(answer.text)


class TestMoney:
    async def test_the_statement_adds_up_and_is_the_journals(
        self, visitor_client: Any, vendor: Any, shop: Any, office: Any
    ) -> None:
        charge_id = await buy(vendor, "a", "b", "c")
        await office.credit("5", "more", kind="promo")
        refund = {"external_ref": "r", "reason": "sorry", "amount_usd": "0.00001"}
        await office.admin.post(f"/v1/admin/charges/{charge_id}/refunds", json=refund)
        adjustment = {"external_ref": "x", "reason": "typo", "amount_usd": "-0.5"}
        path = f"/v1/admin/accounts/{office.account_id}/adjustments"
        await office.admin.post(path, json=adjustment)
        viewer = await visitor_client("viewer")
        document = await viewer.json("/dashboard/money")
        moved = document["statement"]["movements"]
        with shop.database.read() as connection:
            sums = connection.execute(
                text(
                    "SELECT t.kind, SUM(e.amount_nanousd) FROM ledger_txn t JOIN ledger_entry e "
                    "ON e.txn_id = t.id AND e.book LIKE 'customer:%' GROUP BY t.kind"
                )
            ).all()
        journal = {kind: int(amount) for kind, amount in sums}
        assert moved == {
            "sold_usd": format_usd(journal["credit"]),
            "given_usd": format_usd(journal["promo"]),
            "captured_usd": format_usd(-journal["capture"]),
            "refunded_usd": format_usd(journal["refund"]),
            "adjusted_usd": format_usd(journal["adjust"]),
            "expired_usd": format_usd(0),
        }
        assert document["statement"]["opening_usd"] == format_usd(0)
        assert document["statement"]["closing_usd"] == format_usd(sum(journal.values()))
        assert document["statement"]["liability_usd"] == format_usd(sum(journal.values()))
        earned = -journal["capture"] - journal["refund"]
        assert document["revenue"]["total"]["revenue_usd"] == format_usd(earned)
        (row,) = document["revenue"]["rows"]
        assert row["revenue_usd"] == format_usd(earned)
        chart = (await viewer.get("/dashboard/money/chart.json")).text
        assert f'"values":[{format_usd(earned)}]' in chart

    async def test_each_tile_links_to_the_rows_it_sums(
        self, visitor_client: Any, vendor: Any
    ) -> None:
        await buy(vendor, "a")
        viewer = await visitor_client("viewer")
        page = (await viewer.get("/dashboard/money?since=2020-01-01&until=")).text
        for title in ("Sold", "Captured", "Refunded", "Held"):
            match = re.search(rf'<a href="([^"]+)">{title}</a>', page)
            assert match is not None, title
            answer = await viewer.get(html.unescape(match[1]))
            assert answer.status_code == 200
            if title == "Captured":
                assert answer.text.count('<tr id="chg_') == 1


class TestCharges:
    async def test_it_is_found_by_each_of_its_names(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        answer = await vendor.embed("a", headers={"idempotency-key": "mine"})
        await buy(vendor, "b")
        viewer = await visitor_client("viewer")
        with shop.database.write() as connection:
            old = {"id": answer.json()["charge_id"]}
            request_id = answer.headers["x-request-id"]
            known = [old["id"], request_id, "mine"]
            for name in known:
                found = await viewer.json("/dashboard/charges", q=name)
                assert [row["id"] for row in found["rows"]] == [old["id"]], name
        with shop.database.write() as connection:  # a key that entered again: its id is older
            moved = "UPDATE charge SET request_id = :r WHERE id = :id"
            connection.execute(text(moved), {"r": "req_ffff", **old})
        assert len((await viewer.json("/dashboard/charges", q="req_ffff"))["rows"]) == 1
        assert (await viewer.json("/dashboard/charges", q="nothing"))["rows"] == []

    async def test_pages_follow_each_other_without_gaps(
        self, visitor_client: Any, vendor: Any
    ) -> None:
        made = [await buy(vendor, f"item {number}") for number in range(5)]
        viewer = await visitor_client("viewer")
        seen: list[str] = []
        after: str | None = None
        from vendor_api.reports import charges as reports

        with vendor.app.state.shop.ledger.database.read() as connection:
            while True:
                page = reports.list_charges(
                    connection, reports.ChargeSelection(), after=after, limit=2
                )
                seen += [row.id for row in page.rows]
                after = page.after
                if after is None:
                    break
        assert seen == made[::-1]
        whole = await viewer.json("/dashboard/charges")
        assert [row["id"] for row in whole["rows"]] == seen

    async def test_its_story_is_told(self, visitor_client: Any, vendor: Any) -> None:
        charge_id = await buy(vendor, "a", "b")
        viewer = await visitor_client("viewer")
        story = await viewer.json(f"/dashboard/charges/{charge_id}")
        assert [event["name"] for event in story["events"]] == ["asked", "held", "captured"]
        assert [line["amount_usd"] for line in story["journal"]] == [
            "-0.000020000",
            "0.000020000",
        ]
        assert story["undelivered"] == 0
        assert story["lines"][0]["count"] == 2
        page = (await viewer.get(f"/dashboard/charges/{charge_id}")).text
        assert "Give it back" not in page
        assert (await viewer.get("/dashboard/charges/chg_unknown")).status_code == 404

    async def test_finance_gives_money_back_once_for_each_reference(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        charge_id = await buy(vendor, "a", "b")
        finance = await visitor_client("finance")
        path = f"/dashboard/charges/{charge_id}"
        assert "Give it back" in (await finance.get(path)).text
        form = {"amount_usd": "0.00001", "external_ref": "t-1", "reason": "lost", "csrf": ""}
        refused = await finance.http.post(f"{path}/refunds", data=form)
        assert refused.status_code == 403
        form.pop("csrf")
        for done in ("refunded", "repeated"):
            answer = await finance.post(f"{path}/refunds", form)
            assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?done={done}")
        too_much = await finance.post(
            f"{path}/refunds", {**form, "external_ref": "t-2", "amount_usd": "1"}
        )
        assert too_much.status_code == 400
        assert "has $0.00001 left to refund" in html.unescape(too_much.text)
        assert 'value="t-2"' in too_much.text
        missing = await finance.post(f"{path}/refunds", {"external_ref": "t-3"})
        assert missing.status_code == 400
        assert "Fill this in." in missing.text
        story = await finance.json(path)
        assert story["refundable_usd"] == "0.000010000"
        assert story["events"][-1]["name"] == "refunded"
        with shop.database.read() as connection:
            actors = connection.execute(text("SELECT actor FROM audit_log WHERE action = 'refund'"))
            assert list(actors.scalars()) == [finance.person_id]

    async def test_others_may_not(self, visitor_client: Any, vendor: Any, shop: Any) -> None:
        charge_id = await buy(vendor, "a")
        form = {"external_ref": "t-1", "reason": "lost"}
        for role in ("viewer", "support"):
            visitor = await visitor_client(role)
            answer = await visitor.post(f"/dashboard/charges/{charge_id}/refunds", form)
            assert answer.status_code == 403
        with shop.database.read() as connection:
            query = "SELECT COUNT(*) FROM ledger_txn WHERE kind = 'refund'"
            assert connection.execute(text(query)).scalar_one() == 0

    async def test_what_a_customer_wrote_is_escaped_in_page_and_file(
        self, visitor_client: Any, vendor: Any
    ) -> None:
        name = "=cmd('<b>')"
        await vendor.embed("a", headers={"idempotency-key": name})
        viewer = await visitor_client("viewer")
        found = await viewer.get("/dashboard/charges.csv")
        (row,) = csv.DictReader(io.StringIO(found.text))
        assert row["idempotency_key"] == f"'{name}"
        page = await viewer.get(f"/dashboard/charges/{row['id']}")
        assert "<b>" not in page.text


class TestUsage:
    async def test_it_gathers_by_whatever_is_asked(self, visitor_client: Any, vendor: Any) -> None:
        await buy(vendor, "a", "b", "a")
        await buy(vendor, "a")
        viewer = await visitor_client("viewer")
        whole = await viewer.json("/dashboard/usage", group="")
        assert len(whole["rows"]) == 1
        assert whole["total"] == {
            "items": 2,
            "items_free": 2,
            "items_failed": 0,
            "cost_usd": "0.000020000",
        }
        fine = await viewer.json("/dashboard/usage", group="modality,key,month,model,account")
        (row,) = fine["rows"]
        assert (row["modality"], row["model"]) == ("text", "icon-clip")
        assert row["account_id"] == viewer.account_id
        assert row["at"][8:] == "01T00:00:00Z"
        free = await viewer.json("/dashboard/usage", outcome="free")
        assert free["total"] == {
            "items": None,
            "items_free": 2,
            "items_failed": None,
            "cost_usd": None,
        }
        assert (await viewer.json("/dashboard/usage", modality="image"))["rows"] == []

    async def test_buckets_are_those_of_utc_whatever_zone_is_shown(
        self, visitor_client: Any, vendor: Any
    ) -> None:
        await buy(vendor, "a")
        viewer = await visitor_client("viewer")
        plain = await viewer.json("/dashboard/usage", group="hour")
        for zone in ("Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"):
            shown = await viewer.json("/dashboard/usage", group="hour", tz=zone)
            assert shown["rows"] == plain["rows"]
            page = (await viewer.get("/dashboard/usage", tz=zone, group="hour")).text
            assert plain["rows"][0]["at"][:16].replace("T", " ") in page


class TestIntegrity:
    async def test_a_check_is_made_when_asked(self, visitor_client: Any, shop: Any) -> None:
        support = await visitor_client("support")
        document = await support.json("/dashboard/integrity")
        assert document["check"]["last"] is None
        assert document["schema"]
        assert (await support.post("/dashboard/integrity/checks")).status_code == 303
        while (document := await support.json("/dashboard/integrity"))["check"]["running"]:
            pass
        assert document["check"]["last"]["ok"]
        with shop.database.write() as connection:
            connection.execute(text("UPDATE account_balance SET credited_nanousd = 1"))
        await support.post("/dashboard/integrity/checks")
        while (document := await support.json("/dashboard/integrity"))["check"]["running"]:
            pass
        assert not document["check"]["last"]["ok"]
        assert document["check"]["last"]["rules"][0]["breaches"] == 1
        page = (await support.get("/dashboard/integrity")).text
        assert "breaches" in page
        assert 'role="alert"' in page

    async def test_a_viewer_only_looks(self, visitor_client: Any) -> None:
        viewer = await visitor_client("viewer")
        assert "Check every row" not in (await viewer.get("/dashboard/integrity")).text
        assert (await viewer.post("/dashboard/integrity/checks")).status_code == 403

    async def test_holds_past_their_time_are_named(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        ledger = vendor.app.state.shop.ledger
        hold = await ledger.reserve(shop.reserve("k", "a"))
        with shop.database.write() as connection:
            connection.execute(text("UPDATE charge SET expires_at = expires_at - 600000000"))
        viewer = await visitor_client("viewer")
        document = await viewer.json("/dashboard/integrity")
        assert [each["charge_id"] for each in document["stuck"]] == [hold.charge_id]
        assert document["held_usd"] == "0.000100000"


class TestLog:
    async def test_changes_are_found_by_who_what_and_whom(
        self, visitor_client: Any, office: Any
    ) -> None:
        await office.credit("1", "one")
        path = f"/v1/admin/accounts/{office.account_id}/freeze"
        await office.admin.post(path, json={"reason": "<i>why"})
        viewer = await visitor_client("viewer")
        whole = await viewer.json("/dashboard/log")
        assert [row["action"] for row in whole["rows"]][:2] == ["account.freeze", "credit"]
        one = await viewer.json("/dashboard/log", action="credit", subject=office.account_id)
        assert [row["action"] for row in one["rows"]] == ["credit"]
        assert (await viewer.json("/dashboard/log", actor="nobody"))["rows"] == []
        page = (await viewer.get("/dashboard/log")).text
        assert "<i>" not in page


class TestAbuse:
    async def test_shares_are_of_what_was_asked(self, visitor_client: Any, vendor: Any) -> None:
        await buy(vendor, "a", "b", "c", "a")
        await buy(vendor, "a")
        viewer = await visitor_client("viewer")
        (row,) = (await viewer.json("/dashboard/abuse"))["rows"]
        assert (row["asked"], row["paid"], row["free"]) == (5, 3, 2)
        assert (row["new_per_mille"], row["duplicate_per_mille"]) == (600, 400)
        chart = (await viewer.get("/dashboard/abuse/novelty.json")).json()
        assert chart["series"][0]["values"] == [600]
