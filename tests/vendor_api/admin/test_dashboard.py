"""The operator's page: who may see it, what it shows, and that its numbers are the database's."""

import base64
import html
import re
from typing import Any

from sqlalchemy import text

from shared.money import show_usd
from vendor_api.db import as_datetime


def login(password: str, user: str = "anybody") -> dict[str, str]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {token}"}


async def open_page(office: Any) -> str:
    answer = await office.anonymous.get("/dashboard", headers=login(office.admin_key.text))
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def cells(page: str, row_id: str) -> list[str]:
    """The texts of one table row."""
    match = re.search(rf'<tr id="{re.escape(row_id)}".*?</tr>', page, re.DOTALL)
    assert match is not None, f"there is no row {row_id}"
    found = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", match[0], re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in found]


class TestWhoMayLook:
    async def test_a_browser_is_asked_for_a_key(self, office: Any) -> None:
        answer = await office.anonymous.get("/dashboard")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="vl2v operator", charset="UTF-8"'
        assert "vl2v-vendor operators create" in answer.text
        assert office.account_id not in answer.text

    async def test_other_passwords_see_nothing(self, office: Any) -> None:
        key = office.admin_key.text
        wrong = [
            login(office.vendor.key),
            login(key[:-1]),
            login(""),
            login("x", user=key),
            {"authorization": "Basic !!!"},
            {"authorization": f"Basic {base64.b64encode(bytes([255])).decode()}"},
            {"authorization": "Basic"},
            {"authorization": f"Bearer {key}"},
        ]
        for headers in wrong:
            answer = await office.anonymous.get("/dashboard", headers=headers)
            assert answer.status_code == 401, headers
            assert office.account_id not in answer.text

    async def test_a_viewer_may_look(self, office: Any, shop: Any) -> None:
        viewer = office.viewer.headers["authorization"].removeprefix("Bearer ")
        answer = await office.anonymous.get("/dashboard", headers=login(viewer, user=""))
        assert answer.status_code == 200
        assert "(viewer)" in answer.text

    async def test_nothing_but_its_own_style_may_be_loaded(self, office: Any) -> None:
        answer = await office.anonymous.get("/dashboard", headers=login(office.admin_key.text))
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert answer.headers["cache-control"] == "no-store"
        assert "<script" not in answer.text
        assert " style=" not in answer.text
        assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', answer.text)) == {"/dashboard.css"}
        style = await office.anonymous.get("/dashboard.css")
        assert style.headers["content-type"].startswith("text/css")
        assert "prefers-color-scheme: dark" in style.text
        assert "url(" not in style.text


class TestNumbers:
    async def test_they_are_those_of_plain_sql(self, office: Any, shop: Any) -> None:
        other = shop.open_account("bob", "7.25")
        for word in ("a", "b", "b"):
            charged = await office.vendor.embed(word)
        await office.admin.post(
            f"/v1/admin/charges/{charged.json()['charge_id']}/refunds",
            json={"external_ref": "t", "reason": "r"},
        )
        await office.admin.patch(f"/v1/admin/accounts/{other.id}", json={"credit_limit_usd": "2"})
        page = await open_page(office)
        with shop.database.read() as connection:
            accounts = connection.execute(
                text(
                    "SELECT a.id, a.name, a.status, credited_nanousd, debited_nanousd, held_nanousd, "
                    "credit_limit_nanousd, credited_nanousd + credit_limit_nanousd - "
                    "debited_nanousd - held_nanousd FROM account a "
                    "JOIN account_balance b ON b.account_id = a.id"
                )
            ).all()
            days = connection.execute(
                text(
                    "SELECT hour - hour % 86400000000 AS day, SUM(items), SUM(items_free), "
                    "SUM(items_failed), SUM(cost_nanousd) FROM usage_rollup GROUP BY 1"
                )
            ).all()
            charges = connection.execute(
                text("SELECT id, state, texts, cost_nanousd, refunded_nanousd FROM charge")
            ).all()
        assert len(accounts) == 2
        for row in accounts:
            assert cells(page, row[0]) == [row[1], row[2], *(show_usd(part) for part in row[3:])]
        totals = [sum(row[n] for row in accounts) for n in (3, 4, 5, 7)]
        shown = cells(page, "accounts-total")
        assert [shown[n] for n in (2, 3, 4, 6)] == [show_usd(total) for total in totals]
        (day,) = days
        numbers = [str(int(part)) for part in day[1:4]]
        name = as_datetime(int(day[0])).date().isoformat()
        assert cells(page, f"day-{name}") == [name, *numbers, show_usd(int(day[4]))]
        assert cells(page, "days-total")[1:] == [*numbers, show_usd(int(day[4]))]
        assert len(charges) == 3
        for row in charges:
            shown = cells(page, row[0])
            assert shown[5] == row[1]
            assert shown[7:] == [str(row[2]), show_usd(row[3]), show_usd(row[4])]

    async def test_there_are_thirty_days_and_fifty_charges_at_most(
        self, office: Any, shop: Any
    ) -> None:
        with shop.database.write() as connection:
            now = int(connection.execute(text("SELECT MAX(created_at) FROM account")).scalar_one())
            hour = now - now % 3_600_000_000
            for back in (29, 30):
                connection.execute(
                    text("INSERT INTO usage_rollup VALUES (:a, :h, 'k', 'm', 'text', 5, 0, 0, 9)"),
                    {"a": office.account_id, "h": hour - back * 86_400_000_000},
                )
        for number in range(52):
            await office.vendor.embed(f"word {number}")
        page = await open_page(office)
        assert page.count('<tr id="day-') == 30
        assert page.count('<tr id="chg_') == 50
        assert cells(page, "days-total")[1] == str(52 + 5)

    async def test_broken_books_are_an_alert(self, office: Any, shop: Any) -> None:
        assert "In order." in await open_page(office)
        with shop.database.write() as connection:
            connection.execute(text("UPDATE account_balance SET credited_nanousd = 1"))
        page = await open_page(office)
        assert 'role="alert"' in page
        assert "rules broken" in page


class TestMarkup:
    async def test_a_customers_words_are_escaped(self, office: Any, shop: Any) -> None:
        shop.open_account("<script>alert(1)</script>", "1.00")
        page = await open_page(office)
        assert "<script" not in page
        assert "&lt;script&gt;" in page

    async def test_tables_can_be_read_aloud(self, office: Any) -> None:
        await office.vendor.embed("a")
        page = await open_page(office)
        assert page.startswith('<!doctype html>\n<html lang="en">')
        assert 'name="viewport"' in page
        tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
        assert len(tables) == 3
        for table in tables:
            assert "<caption>" in table
            assert table.count("<th ") == table.count('scope="')
            body = table.split("<tbody>")[1].split("</tbody>")[0]
            assert body.count("<tr") == body.count('<th scope="row"')
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)

    async def test_an_empty_vendor_has_a_page_too(self, office: Any, shop: Any) -> None:
        page = await open_page(office)
        assert "No charges yet." in page
