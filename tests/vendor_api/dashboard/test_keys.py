"""Keys on the dashboard: issued once, replaced, ended, limited and capped, each by who may."""

import json
import re
from typing import Any

from sqlalchemy import text

from tests.vendor_api.dashboard.pages import cells, facts, rows, typed, wrongs
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY

NEW = {"account": "ada", "name": "<b>server</b>", "scopes": ["embed", "read"]}


def last_action(shop: Any) -> Any:
    query = "SELECT actor, action, subject, detail FROM audit_log ORDER BY id DESC LIMIT 1"
    with shop.database.read() as connection:
        row = connection.execute(text(query)).one()
    return (row.actor, row.action, row.subject, json.loads(row.detail))


def count_keys(shop: Any) -> int:
    with shop.database.read() as connection:
        return int(connection.execute(text("SELECT COUNT(*) FROM api_key")).scalar_one())


def shown_key(page: str) -> str:
    match = re.search(r'id="key-text">(vl2v_live_[0-9A-Za-z_]+)<', page)
    assert match is not None
    return match[1]


class TestCreation:
    async def test_its_text_works_and_is_shown_once(
        self, visitor_client: Any, vendor: Any, shop: Any
    ) -> None:
        support = await visitor_client("support")
        answer = await support.post("/dashboard/keys", NEW)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        key = shown_key(answer.text)
        vendor.http.headers["authorization"] = f"Bearer {key}"
        assert (await vendor.embed("a")).status_code == 200
        secret = key.rpartition("_")[2]
        actor, action, key_id, _ = last_action(shop)
        assert (actor, action) == (support.person_id, "key.create")
        for path in (f"/dashboard/keys/{key_id}", "/dashboard/keys", "/dashboard/accounts"):
            assert secret not in (await support.get(path)).text
        with shop.database.read() as connection:
            details = connection.execute(text("SELECT detail FROM audit_log")).scalars()
            assert not [detail for detail in details if secret in detail]

    async def test_it_may_what_the_form_said(self, visitor_client: Any, shop: Any) -> None:
        support = await visitor_client("support")
        fields = NEW | {
            "account": support.account_id,
            "scopes": ["embed"],
            "models": ["icon-clip"],
            "expires_at": "2999-01-01",
            "requests_per_minute": "60",
            "items_per_day": "1000",
            "spend_ever_usd": "2.50",
        }
        await support.post("/dashboard/keys", fields)
        key_id = last_action(shop)[2]
        key = await support.json(f"/dashboard/keys/{key_id}")
        assert (key["scopes"], key["models"]) == (["embed"], ["icon-clip"])
        assert key["expires_at"] == "2999-01-01T00:00:00Z"
        assert key["limits"] == {
            "requests_per_minute": 60,
            "items_per_minute": None,
            "bytes_per_minute": None,
            "concurrency": None,
        }
        caps = {(cap["kind"], cap["window"]): cap["cap"] for cap in key["caps"]}
        assert caps == {("items", "day"): 1000, ("spend", "ever"): "2.500000000"}
        page = (await support.get(f"/dashboard/keys/{key_id}")).text
        assert "<b>server</b>" not in page
        assert facts(page)["May"] == "embed"
        assert [row[:4] for row in rows(page, "caps-table")] == [
            ["items a day", "1\u202f000", "0", "0"],
            ["dollars for ever", "$2.50", "$0.00", "$0.00"],
        ]

    async def test_what_is_wrong_is_said_at_its_field_and_makes_no_key(
        self, visitor_client: Any, shop: Any
    ) -> None:
        support = await visitor_client("support")
        known = count_keys(shop)
        for change, said in (
            ({"account": "nobody"}, {"account": "There is no account of this id or name."}),
            ({"account": ""}, {"account": "Fill this in."}),
            ({"scopes": []}, {"scopes": "Choose at least one."}),
            ({"expires_at": "2001-01-01"}, {"expires_at": "It is in the past."}),
            ({"items_per_day": "many"}, {"items_per_day": "Write a whole number, like 1000."}),
            ({"items_per_day": "1.5"}, {"items_per_day": "Write a whole number, like 1000."}),
            ({"items_per_day": "-1"}, {"items_per_day": "Write a whole number, like 1000."}),
            (
                {"concurrency": "99999999999999999"},
                {"concurrency": "Input should be less than or equal to 9007199254740991."},
            ),
            (
                {"spend_ever_usd": "ten"},
                {"spend_ever_usd": "'ten' is not an amount in dollars: write it like 2.50."},
            ),
        ):
            answer = await support.post("/dashboard/keys", NEW | change)
            assert answer.status_code in (400, 404)
            assert wrongs(answer.text) == said
            assert typed(answer.text)["name"] == NEW["name"]
        assert count_keys(shop) == known

    async def test_its_form_begins_with_the_account(self, visitor_client: Any) -> None:
        support = await visitor_client("support")
        page = (await support.get("/dashboard/keys/new", account=support.account_id)).text
        assert typed(page)["account"] == support.account_id
        assert page.count(" checked") == 2
        assert 'value="icon-clip"' in page


class TestTable:
    async def test_it_finds_keys(self, visitor_client: Any, shop: Any, api_key: Any) -> None:
        support = await visitor_client("support")
        other = shop.open_account("bob", "1")
        await support.post("/dashboard/keys", NEW | {"account": "bob", "name": "100% bob"})
        page = (await support.get("/dashboard/keys")).text
        public = api_key.key_id.removeprefix("key_")
        assert cells(page, api_key.key_id)[:4] == [f"vl2v_live_{public}", "test", "ada", "working"]

        async def find(**search: str) -> list[str]:
            found = await support.json("/dashboard/keys", **search)
            return [key["name"] for key in found["keys"]]

        assert await find() == ["100% bob", "test"]
        assert await find(account=other.id) == ["100% bob"]
        assert await find(q="100%") == ["100% bob"]
        assert await find(q=public) == ["test"]
        assert await find(state="ended") == []
        with shop.database.write() as connection:
            change = text("UPDATE api_key SET expires_at = :at WHERE id = :id")
            connection.execute(change, {"at": read_clock(connection), "id": api_key.key_id})
        assert await find(state="ended") == ["test"]
        assert await find(state="working") == ["100% bob"]
        assert (await support.get("/dashboard/keys", account="bob")).status_code == 400


class TestChanges:
    async def test_a_successor_has_the_same_settings_and_the_old_key_ends_later(
        self, visitor_client: Any, vendor: Any, shop: Any, api_key: Any
    ) -> None:
        support = await visitor_client("support")
        path = f"/dashboard/keys/{api_key.key_id}/rotate"
        assert typed((await support.get(path)).text) == {"overlap": "24h"}
        wrong = await support.post(path, {"overlap": "soon"})
        assert set(wrongs(wrong.text)) == {"overlap"}
        answer = await support.post(path, {"overlap": "24h"})
        assert answer.status_code == 201
        assert last_action(shop)[:2] == (support.person_id, "key.rotate")
        assert (await vendor.embed("a")).status_code == 200
        vendor.http.headers["authorization"] = f"Bearer {shown_key(answer.text)}"
        assert (await vendor.embed("b")).status_code == 200
        with shop.database.read() as connection:
            query = text("SELECT expires_at, created_at FROM api_key WHERE id = :id")
            ends, _ = connection.execute(query, {"id": api_key.key_id}).one()
            assert 0 < ends - read_clock(connection) <= DAY

    async def test_without_an_overlap_the_old_key_ends_at_once(
        self, visitor_client: Any, vendor: Any, api_key: Any
    ) -> None:
        support = await visitor_client("support")
        assert (await vendor.embed("a")).status_code == 200
        path = f"/dashboard/keys/{api_key.key_id}/rotate"
        assert (await support.post(path, {"overlap": ""})).status_code == 201
        assert (await vendor.embed("b")).status_code == 401
        again = await support.post(path, {"overlap": ""})
        assert again.status_code == 409
        assert "create a new key instead" in again.text

    async def test_a_key_is_revoked_once_that_is_confirmed(
        self, visitor_client: Any, vendor: Any, shop: Any, api_key: Any
    ) -> None:
        support = await visitor_client("support")
        path = f"/dashboard/keys/{api_key.key_id}/revoke"
        for asked in (await support.get(path), await support.post(path)):
            assert asked.status_code == 200
            assert "It cannot be taken back." in asked.text
        assert (await vendor.embed("a")).status_code == 200
        done = await support.post(path, typed(asked.text))
        assert done.status_code == 303
        assert (await vendor.embed("a")).status_code == 401
        assert last_action(shop)[:3] == (support.person_id, "key.revoke", api_key.key_id)
        page = (await support.get(done.headers["location"])).text
        assert facts(page)["State"] == "revoked"
        assert ">Revoke</a>" not in page

    async def test_an_admin_caps_and_limits_a_key(
        self, visitor_client: Any, vendor: Any, shop: Any, api_key: Any
    ) -> None:
        admin = await visitor_client("admin")
        page = f"/dashboard/keys/{api_key.key_id}"
        capped = await admin.post(
            f"{page}/caps", {"items_per_day": "2", "spend_per_month_usd": "1"}
        )
        assert capped.status_code == 303
        assert last_action(shop)[:2] == (admin.person_id, "key.caps")
        assert (await vendor.embed("a", "b")).status_code == 200
        assert "daily cap on the items" in (await vendor.embed("c")).text
        shown = typed((await admin.get(f"{page}/caps")).text)
        assert (shown["items_per_day"], shown["spend_per_month_usd"]) == ("2", "1.000000000")
        row = rows((await admin.get(page)).text, "caps-table")[0]
        assert row[:5] == ["items a day", "2", "2", "0", "100 %"]
        await admin.post(f"{page}/caps", {})
        assert "The key is not capped." in (await admin.get(page)).text
        limited = await admin.post(f"{page}/limits", {"requests_per_minute": "0x10"})
        assert set(wrongs(limited.text)) == {"requests_per_minute"}
        limited = await admin.post(f"{page}/limits", {"requests_per_minute": "1"})
        assert limited.status_code == 303
        assert last_action(shop)[:2] == (admin.person_id, "key.limits")
        statuses = {(await vendor.embed("a")).status_code for _ in range(3)}
        assert 429 in statuses
        key = await admin.json(page)
        assert (key["asked"], key["refused"], key["refused_percent"]) == (5, 2, 40)
        assert "2 of 5 requests were too fast (40 %)" in re.sub(
            "<[^>]*>", "", (await admin.get(page)).text
        )
        assert typed((await admin.get(f"{page}/limits")).text)["requests_per_minute"] == "1"

    async def test_an_unknown_key_is_404(self, visitor_client: Any) -> None:
        admin = await visitor_client("admin")
        for path in ("", "/rotate", "/revoke", "/caps", "/limits"):
            answer = await admin.get(f"/dashboard/keys/key_nobody{path}")
            assert answer.status_code == 404
            assert "There is no such key." in answer.text
