"""Operators open, freeze and limit accounts, and issue, replace, cap and end keys."""

from typing import Any

import pytest


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


async def issue(office: Any, **settings: object) -> Any:
    url = f"/v1/admin/accounts/{office.account_id}/keys"
    answer = await office.admin.post(url, json=settings)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def status_with(office: Any, key: str) -> int:
    answer = await office.anonymous.get("/v1/balance", headers={"authorization": f"Bearer {key}"})
    return int(answer.status_code)


class TestAccounts:
    async def test_an_account_is_opened_once(self, office: Any) -> None:
        body = {"name": "bob", "credit_limit_usd": "3"}
        opened = await office.admin.post("/v1/admin/accounts", json=body)
        assert opened.status_code == 201
        assert opened.json()["available_usd"] == "3.000000000"
        again = await office.admin.post("/v1/admin/accounts", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        assert (await office.last_action())["action"] == "account.create"

    async def test_accounts_are_listed_page_by_page(self, office: Any) -> None:
        for name in ("b", "c"):
            await office.admin.post("/v1/admin/accounts", json={"name": name})
        first = (await office.admin.get("/v1/admin/accounts?limit=2")).json()
        rest = (
            await office.admin.get(f"/v1/admin/accounts?limit=2&after={first['data'][-1]['id']}")
        ).json()
        assert [each["name"] for each in first["data"] + rest["data"]] == ["ada", "b", "c"]
        assert (first["has_more"], rest["has_more"]) == (True, False)

    async def test_a_frozen_account_buys_nothing_until_it_is_let(self, office: Any) -> None:
        url = f"/v1/admin/accounts/{office.account_id}"
        for _ in range(2):
            frozen = await office.admin.post(f"{url}/freeze", json={"reason": "unpaid"})
            assert frozen.json()["status"] == "frozen"
        assert (await office.vendor.embed("a")).json()["code"] == "account_frozen"
        await office.admin.post(f"{url}/unfreeze", json={"reason": "paid"})
        assert (await office.vendor.embed("a")).status_code == 200
        log = (await office.admin.get(f"/v1/admin/audit-log?subject={office.account_id}")).json()
        assert [(each["action"], each["detail"]["reason"]) for each in log["data"]] == [
            ("account.freeze", "unpaid"),
            ("account.unfreeze", "paid"),
        ]

    async def test_a_closed_account_stays_closed(self, office: Any, shop: Any) -> None:
        with shop.database.write() as connection:
            connection.exec_driver_sql("UPDATE account SET status = 'closed'")
        url = f"/v1/admin/accounts/{office.account_id}/unfreeze"
        answer = await office.admin.post(url, json={"reason": "please"})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    async def test_a_credit_limit_covers_what_is_owed(self, office: Any) -> None:
        url = f"/v1/admin/accounts/{office.account_id}"
        raised = await office.admin.patch(url, json={"credit_limit_usd": "2"})
        assert raised.json()["available_usd"] == "3.000000000"
        body = {"amount_usd": "-2.5", "external_ref": "a", "reason": "r"}
        await office.admin.post(f"{url}/adjustments", json=body)
        lowered = await office.admin.patch(url, json={"credit_limit_usd": "1"})
        assert lowered.status_code == 409
        assert "$1.50 at least" in lowered.json()["detail"]
        for wrong in ("-1", 1, "9999999999"):
            answer = await office.admin.patch(url, json={"credit_limit_usd": wrong})
            assert answer.status_code == 400


class TestKeys:
    async def test_a_key_is_made_with_what_it_may_do(self, office: Any) -> None:
        key = await issue(
            office, name="lab", scopes=["read"], expires_at="2999-01-01", models=["icon-clip"],
            requests_per_minute=60, concurrency=2,
        )  # fmt: skip
        assert key["api_key"].startswith("vl2v_live_")
        listed = (await office.admin.get(f"/v1/admin/accounts/{office.account_id}/keys")).json()
        (shown,) = [each for each in listed["data"] if each["id"] == key["id"]]
        assert "api_key" not in shown
        assert {**shown, "api_key": key["api_key"]} == key
        assert (shown["scopes"], shown["models"]) == (["read"], ["icon-clip"])
        assert (shown["requests_per_minute"], shown["items_per_minute"]) == (60, None)
        assert await status_with(office, key["api_key"]) == 200

    @pytest.mark.parametrize(
        "wrong",
        [
            {"scopes": ["admin"]},
            {"scopes": []},
            {"expires_at": "2001-01-01"},
            {"expires_at": 5},
            {"models": []},
            {"models": ["two words"]},
            {"concurrency": -1},
            {"concurrency": "4"},
            {"account_id": "acct_other"},
        ],
    )
    async def test_bad_settings_are_refused_by_name(self, office: Any, wrong: Any) -> None:
        url = f"/v1/admin/accounts/{office.account_id}/keys"
        answer = await office.admin.post(url, json=wrong)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["detail"]

    async def test_a_rotated_key_goes_on_for_the_overlap(self, office: Any) -> None:
        old = await issue(office, name="lab")
        new = await office.admin.post(f"/v1/admin/keys/{old['id']}/rotate", json={"overlap": "24h"})
        assert new.status_code == 201
        assert (new.json()["name"], new.json()["rotated_from"]) == ("lab", old["id"])
        for key in (old, new.json()):
            assert await status_with(office, key["api_key"]) == 200
        at_once = await office.admin.post(f"/v1/admin/keys/{new.json()['id']}/rotate", json={})
        assert await status_with(office, new.json()["api_key"]) == 401
        assert await status_with(office, at_once.json()["api_key"]) == 200
        again = await office.admin.post(f"/v1/admin/keys/{new.json()['id']}/rotate", json={})
        assert (again.status_code, again.json()["code"]) == (409, "conflict")

    async def test_a_revoked_key_is_out_at_once(self, office: Any) -> None:
        key = await issue(office)
        assert await status_with(office, key["api_key"]) == 200
        for _ in range(2):
            ended = await office.admin.post(f"/v1/admin/keys/{key['id']}/revoke")
            assert ended.status_code == 200
            assert ended.json()["revoked_at"] is not None
        assert await status_with(office, key["api_key"]) == 401
        log = (await office.admin.get(f"/v1/admin/audit-log?subject={key['id']}")).json()["data"]
        assert [each["action"] for each in log] == ["key.create", "key.revoke"]

    async def test_limits_and_caps_are_replaced_whole(self, office: Any) -> None:
        key = await issue(office, concurrency=3)
        url = f"/v1/admin/keys/{key['id']}"
        limited = (await office.admin.put(f"{url}/limits", json={"items_per_minute": 9})).json()
        assert (limited["items_per_minute"], limited["concurrency"]) == (9, None)
        caps = {"spend_per_day_usd": "2.50", "items_ever": 10_000}
        capped = (await office.admin.put(f"{url}/caps", json=caps)).json()["caps"]
        assert [(each["kind"], each["window"], each["cap"], each["used"]) for each in capped] == [
            ("items", "ever", 10_000, 0),
            ("spend", "day", "2.500000000", "0.000000000"),
        ]
        assert (await office.admin.put(f"{url}/caps", json={})).json()["caps"] == []

    async def test_a_cap_stops_the_key_and_shows_what_it_used(self, office: Any) -> None:
        key_id = office.vendor.key[10:22]
        url = f"/v1/admin/keys/key_{key_id}/caps"
        await office.admin.put(url, json={"items_per_day": 2})
        assert (await office.vendor.embed("a", "b")).status_code == 200
        refused = await office.vendor.embed("c")
        assert refused.status_code in (402, 429, 503)
        (cap,) = (await office.admin.put(url, json={"items_per_day": 3})).json()["caps"]
        assert (cap["used"], cap["held"], cap["cap"]) == (2, 0, 3)

    @pytest.mark.parametrize("action", ["rotate", "revoke"])
    async def test_an_unknown_key_is_404(self, office: Any, action: str) -> None:
        answer = await office.admin.post(f"/v1/admin/keys/key_none/{action}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
