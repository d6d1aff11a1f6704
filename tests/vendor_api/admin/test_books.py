"""Operators look: charges, usage, journal, prices, integrity; filters, pages, files."""

import csv
import io
import json
from typing import Any

import pytest
from sqlalchemy import text

from shared.cells import escape_cell
from vendor_api.admin.sheets import write_rows


async def get(office: Any, path: str) -> Any:
    answer = await office.admin.get(f"/v1/admin/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def follow(office: Any, path: str, mark: str) -> list[Any]:
    """Every row of a listing, two at a time."""
    rows: list[Any] = []
    after = ""
    while True:
        page = await get(office, f"{path}{mark}limit=2{after}")
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = f"&after={rows[-1]['id']}"


class TestCharges:
    async def test_filters(self, office: Any) -> None:
        for word in ("a", "b", "c"):
            await office.vendor.embed(word, headers={"idempotency-key": f"key-{word}"})
        (charge,) = (await get(office, "charges?idempotency_key=key-b"))["data"]
        assert (charge["account_id"], charge["state"]) == (office.account_id, "captured")
        assert charge["cost_usd"] == "0.000010000"
        by_request = await get(office, f"charges?request_id={charge['request_id']}")
        assert by_request["data"] == [charge]
        assert await get(office, f"charges/{charge['id']}") == charge
        assert (await get(office, "charges?state=held"))["data"] == []
        assert (await get(office, "charges?account=acct_none"))["data"] == []
        assert (await get(office, "charges?until=2001-01-01"))["data"] == []
        assert len((await get(office, "charges?since=2001-01-01"))["data"]) == 3

    async def test_pages(self, office: Any) -> None:
        for word in "abcde":
            await office.vendor.embed(word)
        ids = [each["id"] for each in await follow(office, "charges", "?")]
        assert len(ids) == 5
        assert ids == sorted(ids)

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=1001", "state=lost", "account=ada", "since=soon", "after=%00",
         "request_id=%00", "idempotency_key=", "colour=red"],
    )  # fmt: skip
    async def test_wrong_filters_are_refused(self, office: Any, query: str) -> None:
        answer = await office.admin.get(f"/v1/admin/charges?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert answer.json()["detail"].startswith(query.split("=", maxsplit=1)[0])


class TestUsageAndJournal:
    async def test_usage_totals_are_those_of_the_rows(self, office: Any) -> None:
        await office.vendor.embed("a", "b")
        await office.vendor.embed({"text": "c"})
        usage = await get(office, "usage")
        assert usage["total_items"] == sum(each["items"] for each in usage["data"]) == 3
        assert usage["total_cost_usd"] == "0.000030000"
        assert (await get(office, "usage?until=2001-01-01"))["total_items"] == 0

    async def test_usage_pages_by_its_own_cursor(self, office: Any, shop: Any) -> None:
        insert = text(
            "INSERT INTO usage_rollup VALUES (:account, :hour, 'k', 'm', 'text', 1, 0, 0, 7)"
        )
        with shop.database.write() as connection:
            for hour in range(5):
                values = {"account": office.account_id, "hour": hour * 3_600_000_000}
                connection.execute(insert, values)
        rows = await follow(office, "usage", "?")
        assert [each["hour"][11:13] for each in rows] == ["00", "01", "02", "03", "04"]
        for wrong in ("abc", "e30=", "WzEsMl0="):
            answer = await office.admin.get(f"/v1/admin/usage?after={wrong}")
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")

    async def test_the_journal_shows_both_sides(self, office: Any) -> None:
        await office.vendor.embed("a")
        await office.credit("2", "invoice 1", reason="paid by card")
        rows = await follow(office, "journal", "?")
        assert [each["kind"] for each in rows] == ["credit", "capture", "credit"]
        assert rows[-1]["reason"] == "paid by card"
        sides = {each["book"]: each["amount_usd"] for each in rows[-1]["entries"]}
        assert sides == {
            f"customer:{office.account_id}": "2.000000000",
            "cash": "-2.000000000",
        }
        assert (await get(office, "journal?account=acct_none"))["data"] == []

    async def test_the_log_can_be_asked_by_actor(self, office: Any) -> None:
        for ref in ("a", "b", "c"):
            await office.credit("1", ref)
        mine = await follow(office, f"audit-log?actor={office.admin_key.key_id}", "&")
        assert [each["detail"]["external_ref"] for each in mine] == ["a", "b", "c"]
        assert (await get(office, "audit-log?actor=cli:nobody"))["data"] == []


class TestPrices:
    async def test_a_price_can_be_set_for_later(self, office: Any) -> None:
        body = {"model": "icon-clip", "image_usd": "0.0002", "valid_from": "2999-01-01"}
        book = await office.admin.post("/v1/admin/prices", json=body)
        assert book.status_code == 201
        images = [each for each in book.json()["data"] if each["modality"] == "image"]
        assert [(each["state"], each["price_usd"]) for each in images] == [
            ("current", "0.000100000"),
            ("upcoming", "0.000200000"),
        ]
        await office.admin.post("/v1/admin/prices", json={"model": "icon-clip", "image_usd": "0"})
        states = [
            each["state"]
            for each in (await get(office, "prices?model=icon-clip"))["data"]
            if each["modality"] == "image"
        ]
        assert states == ["past", "current", "upcoming"]
        assert (await get(office, "prices?model=other"))["data"] == []

    @pytest.mark.parametrize(
        "body",
        [
            {"model": "m"},
            {"model": "m", "text_usd": "-1"},
            {"model": "m", "text_usd": 1},
            {"model": "a b", "text_usd": "1"},
            {"model": "m", "text_usd": "1", "valid_from": "2001-01-01"},
            {"model": "m", "text_usd": "9999999999"},
        ],
    )
    async def test_what_is_no_price_is_refused(self, office: Any, body: Any) -> None:
        assert (await office.admin.post("/v1/admin/prices", json=body)).status_code == 400


class TestIntegrity:
    async def test_books_in_order(self, office: Any) -> None:
        await office.vendor.embed("a")
        found = await get(office, "integrity")
        assert (found["ok"], found["violations"]) == (True, [])

    async def test_a_balance_edited_by_hand_is_named(self, office: Any, shop: Any) -> None:
        with shop.database.write() as connection:
            connection.execute(text("UPDATE account_balance SET credited_nanousd = 1"))
        found = await get(office, "integrity")
        assert found["ok"] is False
        assert {each["account_id"] for each in found["violations"]} == {office.account_id}

    async def test_the_auditors_last_report_is_preferred(self, office: Any, shop: Any) -> None:
        from vendor_api.ledger.auditor import Auditor

        auditor = Auditor(shop.database)
        office.vendor.app.state.auditor = auditor
        assert (await get(office, "integrity"))["ok"] is True
        report = auditor.check()
        assert (await get(office, "integrity"))["checked_at"].startswith("20")
        with shop.database.write() as connection:
            connection.execute(text("UPDATE account_balance SET credited_nanousd = 1"))
        assert (await get(office, "integrity"))["ok"] is report.ok is True


class TestExports:
    async def test_csv_and_ndjson_hold_the_same_rows(self, office: Any) -> None:
        await office.vendor.embed("a", headers={"idempotency-key": "=1+1"})
        sheet = await office.admin.get("/v1/admin/exports/charges.csv")
        assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
        assert sheet.headers["content-disposition"] == 'attachment; filename="charges.csv"'
        (row,) = csv.DictReader(io.StringIO(sheet.text))
        lines = await office.admin.get("/v1/admin/exports/charges.ndjson")
        (document,) = [json.loads(line) for line in lines.text.splitlines()]
        assert (row["idempotency_key"], document["idempotency_key"]) == ("'=1+1", "=1+1")
        assert row["cost_usd"] == document["cost_usd"] == "0.000010000"
        assert row["cost_nanousd"] == str(document["cost_nanousd"]) == "10000"

    @pytest.mark.parametrize("what", ["journal", "charges", "usage", "grants"])
    async def test_an_empty_span_still_has_a_header(self, office: Any, what: str) -> None:
        sheet = await office.viewer.get(f"/v1/admin/exports/{what}.csv?until=2001-01-01")
        assert len(sheet.text.splitlines()) == 1
        lines = await office.viewer.get(f"/v1/admin/exports/{what}.ndjson?until=2001-01-01")
        assert lines.text == ""

    async def test_other_names_are_refused(self, office: Any) -> None:
        for name in ("keys.csv", "journal.xlsx", "journal"):
            answer = await office.admin.get(f"/v1/admin/exports/{name}")
            assert answer.status_code in (400, 404)

    @pytest.mark.parametrize(
        "cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-", "--1"]
    )
    def test_what_a_spreadsheet_would_run_is_escaped(self, cell: str) -> None:
        assert escape_cell(cell) == f"'{cell}"

    @pytest.mark.parametrize(
        "cell", ["-1", "-0.500000000", "+3", "a=b", "", None, -5, "2027-01-31"]
    )
    def test_plain_cells_stay(self, cell: Any) -> None:
        assert escape_cell(cell) == cell

    def test_quotes_and_lines_survive(self) -> None:
        file = io.BytesIO()
        rows: list[dict[str, str | int | None]] = [
            {"a": 'say "hi"', "b": "two\nlines"},
            {"a": None, "b": 3},
        ]
        assert write_rows(rows, ["a", "b"], "csv", file) == 2
        read = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
        assert read == [["a", "b"], ['say "hi"', "two\nlines"], ["", "3"]]
