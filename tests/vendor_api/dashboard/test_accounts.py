"""Accounts in a table and one of them whole: every number is the database's, every name is escaped."""

from typing import Any

import pytest
from sqlalchemy import text

from shared.money import format_usd, parse_usd, show_usd
from tests.vendor_api.dashboard.pages import cells, rows, tiles
from vendor_api.alerts.books import list_low_balances
from vendor_api.auth.repository import record_use
from vendor_api.db import as_datetime, read_clock
from vendor_api.ledger.caps import set_cap
from vendor_api.settings import VendorSettings

HOSTILE = "<script>alert(1)</script>\"'&amp; {{ 7*7 }}"
DAY = 86_400_000_000

BALANCES = text(
    "SELECT a.id, a.name, a.status, credited_nanousd, debited_nanousd, held_nanousd, "
    "credit_limit_nanousd, credited_nanousd + credit_limit_nanousd - debited_nanousd "
    "- held_nanousd AS available FROM account a JOIN account_balance b ON b.account_id = a.id"
)


def spend(shop: Any, account_id: str, *days: tuple[int, str], model: str = "icon-clip") -> None:
    """Use that cost so many dollars so many days ago."""
    with shop.database.write() as connection:
        now = read_clock(connection)
        for back, usd in days:
            connection.execute(
                text("INSERT INTO usage_rollup VALUES (:a, :h, 'key_x', :m, 'image', 5, 0, 0, :c)"),
                {
                    "a": account_id,
                    "h": now - now % DAY - back * DAY,
                    "m": model,
                    "c": parse_usd(usd),
                },
            )


class TestTable:
    async def test_its_numbers_are_those_of_plain_sql(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        await vendor.embed("a", "b")
        for number in range(3):
            shop.open_account(f"customer {number}", f"{number}.25")
        page = (await viewer.get("/dashboard/accounts")).text
        document = await viewer.json("/dashboard/accounts")
        with shop.database.read() as connection:
            balances = connection.execute(BALANCES).all()
        shown = {account["id"]: account for account in document["accounts"]}
        assert len(balances) == len(shown) == document["found"] == 4
        for row in balances:
            assert cells(page, row.id)[:4] == [
                row.name,
                row.status,
                show_usd(row.available),
                show_usd(row.held_nanousd),
            ]
            assert shown[row.id]["available_usd"] == format_usd(row.available)
            assert shown[row.id]["held_usd"] == format_usd(row.held_nanousd)

    async def test_what_a_customer_is_called_runs_nowhere(
        self, visitor_client: Any, shop: Any
    ) -> None:
        admin = await visitor_client("admin")
        hostile = shop.open_account(HOSTILE, "1")
        page = f"/dashboard/accounts/{hostile.id}"
        paths = ["/dashboard/accounts", page, f"{page}/credits", f"{page}/freeze"]
        for path in [*paths, f"{page}/credit-limit"]:
            answer = await admin.get(path)
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;amp;" in answer.text
        found = await admin.json("/dashboard/accounts", q="<SCRIPT>")
        assert [account["name"] for account in found["accounts"]] == [HOSTILE]

    async def test_it_is_searched_by_part_of_a_name_or_id(
        self, visitor_client: Any, shop: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        bob = shop.open_account("Bob 100%", "1")

        async def find(q: str, **more: str) -> list[str]:
            found = await viewer.json("/dashboard/accounts", q=q, **more)
            return [account["name"] for account in found["accounts"]]

        assert await find("bOB") == ["Bob 100%"]
        assert await find("0%") == ["Bob 100%"]
        assert await find("_") == ["ada", "Bob 100%"]  # of the ids, not any character
        assert await find("%ob") == []
        assert await find(bob.id[-12:]) == ["Bob 100%"]
        assert await find("", status="frozen") == []
        assert "No account is found." in (await viewer.get("/dashboard/accounts", q="nobody")).text

    async def test_it_is_sorted_and_turned_page_by_page(
        self, visitor_client: Any, shop: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        opened = [shop.open_account(f"c {n:02}", f"{n + 2}") for n in range(52)]
        first = await viewer.json("/dashboard/accounts", sort="balance", descending="true")
        second = await viewer.json(
            "/dashboard/accounts", sort="balance", descending="true", page="2"
        )
        names = [account["name"] for account in first["accounts"] + second["accounts"]]
        assert names == [*(account.name for account in reversed(opened)), "ada"]
        assert (first["found"], first["pages"], len(first["accounts"])) == (53, 2, 50)
        page = (await viewer.get("/dashboard/accounts", sort="balance")).text
        assert "53 accounts, page 1 of 2." in page
        assert "sort=balance" in page
        assert "page=2" in page

    async def test_those_that_run_out_first_come_first(
        self, visitor_client: Any, shop: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        slow, fast = shop.open_account("slow", "9"), shop.open_account("fast", "4")
        spend(shop, slow.id, (1, "1"), (3, "2"))
        spend(shop, fast.id, (0, "3"))
        found = await viewer.json("/dashboard/accounts", sort="runway")
        known = [(account["name"], account["runway_days"]) for account in found["accounts"]]
        assert known == [("fast", "1.3"), ("slow", "6.0"), ("ada", None)]
        page = (await viewer.get("/dashboard/accounts")).text
        assert cells(page, slow.id)[4:6] == ["$1.50", "6.0"]
        assert cells(page, shop.account.id)[4:6] == ["–", "–"]
        found = await viewer.json("/dashboard/accounts", sort="runway", descending="true")
        assert [account["name"] for account in found["accounts"]] == ["slow", "fast", "ada"]

    @pytest.mark.parametrize(
        ("days", "low"), [(1, []), (2, ["fast"]), (6, ["fast"]), (7, ["fast", "slow"])]
    )
    async def test_the_alert_counts_the_same_days(self, shop: Any, days: int, low: Any) -> None:
        # 6.0 days, 1.3 days, and 0.5 days of who bought nothing this week.
        for name, usd, spent in (
            ("slow", "9", ((1, "1"), (3, "2"))),
            ("fast", "4", ((0, "3"),)),
            ("gone", "1", ((7, "2"),)),
        ):
            spend(shop, shop.open_account(name, usd).id, *spent)
        limits = VendorSettings(alert_low_balance_usd="0", alert_runway_days=days)
        with shop.database.read() as connection:
            found = list_low_balances(connection, read_clock(connection), limits)
        assert [row.name for row in found] == low

    async def test_the_fullest_cap_and_the_last_use_are_those_of_working_keys(
        self, visitor_client: Any, vendor: Any, shop: Any, api_key: Any
    ) -> None:
        with shop.database.write() as connection:
            set_cap(connection, api_key.key_id, "items", "day", 8)
            set_cap(connection, api_key.key_id, "spend", "ever", parse_usd("1"))
            now = read_clock(connection)
            record_use(connection, now, [api_key.key_id])
        await vendor.embed("a", "b", "c")
        viewer = await visitor_client("viewer")
        (account,) = (await viewer.json("/dashboard/accounts"))["accounts"]
        assert (account["cap_percent"], account["cap_of"]) == (37, "items per day")
        assert account["last_used_at"] >= as_datetime(now).isoformat()[:19]
        assert cells((await viewer.get("/dashboard/accounts")).text, account["id"])[6] == "37 %"


class TestOne:
    async def test_its_numbers_are_those_of_plain_sql(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        for word in ("a", "b", "b"):
            await vendor.embed(word)
        viewer = await visitor_client("viewer")
        path = f"/dashboard/accounts/{viewer.account_id}"
        page, document = (await viewer.get(path)).text, await viewer.json(path)
        with shop.database.read() as connection:
            (row,) = connection.execute(BALANCES).all()
            days = connection.execute(
                text(
                    "SELECT hour - hour % 86400000000 AS day, SUM(items), SUM(items_free), "
                    "SUM(items_failed), SUM(cost_nanousd) FROM usage_rollup GROUP BY 1"
                )
            ).all()
            charges = connection.execute(
                text("SELECT id, state, texts, cost_nanousd, refunded_nanousd FROM charge")
            ).all()
        shown = tiles(page)
        assert shown["Available"] == show_usd(row.available)
        assert shown["Credited"] == show_usd(row.credited_nanousd)
        assert shown["Debited"] == show_usd(row.debited_nanousd)
        assert shown["Held"] == show_usd(row.held_nanousd)
        assert shown["Credit limit"] == show_usd(row.credit_limit_nanousd)
        assert document["credited_usd"] == format_usd(row.credited_nanousd)
        (day,) = days
        name = as_datetime(int(day[0])).date().isoformat()
        counts = [str(int(count)) for count in day[1:4]]
        assert cells(page, f"day-{name}") == [name, *counts, show_usd(int(day[4]))]
        assert len(charges) == 3
        for charge in charges:
            found = cells(page, charge.id)
            assert found[4] == charge.state
            assert found[6:] == [
                str(charge.texts),
                show_usd(charge.cost_nanousd),
                show_usd(charge.refunded_nanousd),
            ]
        assert f'href="/dashboard/charges?account={viewer.account_id}"' in page
        assert "As of <time" in page

    async def test_credit_stands_in_the_order_in_which_it_is_spent(
        self, visitor_client: Any, shop: Any
    ) -> None:
        finance = await visitor_client("finance")
        path = f"/dashboard/accounts/{finance.account_id}"
        for ref, expires in (("late", "2999-01-01"), ("soon", "2998-01-01")):
            fields = {"amount_usd": "2", "external_ref": ref, "expires_at": expires}
            await finance.post(f"{path}/credits", {**fields, "kind": "promo", "confirmed": "yes"})
        table = rows((await finance.get(path)).text, "grants-table")
        assert [(row[1], row[2], row[5]) for row in table] == [
            ("promo", "soon", "$2.00"),
            ("promo", "late", "$2.00"),
            ("credit", "opening", "$1.00"),
        ]
        assert table[0][7].startswith("2998-01-01 00:00:00")
        assert table[2][7] == "never"

    async def test_its_chart_is_fed_digit_by_digit(self, visitor_client: Any, shop: Any) -> None:
        viewer = await visitor_client("viewer")
        spend(shop, viewer.account_id, (0, "123456789.123456789"), (29, "0.000000001"), (30, "7"))
        path = f"/dashboard/accounts/{viewer.account_id}/usage.json"
        answer = await viewer.get(path)
        assert b"123456789.123456789" in answer.content
        document = answer.json()
        dollars, items = document["series"]
        assert len(document["x"]) == len(dollars["values"]) == len(items["values"]) == 30
        assert dollars["values"][0] == 1e-9
        assert items["values"] == [5, *[0] * 28, 5]
        assert document["x"] == sorted(document["x"])
        assert len((await viewer.get(path, days=31)).json()["x"]) == 31

    async def test_an_unknown_account_is_404(self, visitor_client: Any) -> None:
        admin = await visitor_client("admin")
        for path in ("", "/credits", "/freeze", "/usage.json"):
            answer = await admin.get(f"/dashboard/accounts/acct_nobody{path}")
            assert answer.status_code == 404
            assert "There is no such account." in answer.text

    async def test_what_no_database_can_hold_is_400(self, visitor_client: Any) -> None:
        viewer = await visitor_client("viewer")
        page = f"/dashboard/accounts/{viewer.account_id}"
        for path in ("/dashboard/accounts?q=%00", "/dashboard/keys?q=%00", f"{page}?booked=%00"):
            assert (await viewer.get(path)).status_code == 400
        assert (await viewer.get("/dashboard/accounts?page=99999")).status_code == 200

    async def test_a_role_is_offered_what_it_may_do(self, visitor_client: Any) -> None:
        offers = {
            "Top up": {"finance", "admin"},
            "Create a key": {"support", "admin"},
            "Freeze": {"support", "admin"},
            "Change the credit limit": {"admin"},
        }
        for role in ("viewer", "support", "finance", "admin"):
            visitor = await visitor_client(role)
            page = (await visitor.get(f"/dashboard/accounts/{visitor.account_id}")).text
            for words, roles in offers.items():
                assert (f">{words}</a>" in page) == (role in roles), (role, words)
