"""Who gets in: nobody, a customer, a viewer, an admin; and that no route was forgotten."""

from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from vendor_api.admin.gate import admit_operator
from vendor_api.auth.keys import make_key
from vendor_api.auth.operators import revoke_operator
from vendor_api.auth.repository import list_keys
from vendor_api.dashboard.visitors import admit_visitor
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentPrincipal
from vendor_api.embeddings.binary import BinaryRoute
from vendor_api.health import admit_watcher

OPEN = {
    "/healthz",
    "/readyz",
    "/docs",
    "/docs/oauth2-redirect",
    "/openapi.json",
    "/dashboard/login",
    "/dashboard/setup",
    "/dashboard/static/{name}",
}
CHANGES = [
    ("POST", "/v1/admin/accounts", {"name": "eve"}),
    ("PATCH", "/v1/admin/accounts/{account}", {"credit_limit_usd": "1"}),
    ("POST", "/v1/admin/accounts/{account}/freeze", {"reason": "r"}),
    ("POST", "/v1/admin/accounts/{account}/credits", {"amount_usd": "1", "external_ref": "r"}),
    ("POST", "/v1/admin/accounts/{account}/keys", {}),
    ("POST", "/v1/admin/prices", {"model": "m", "text_usd": "1"}),
]


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def calls_of(dependant: Any) -> set[Any]:
    return {dependant.call}.union(*(calls_of(each) for each in dependant.dependencies))


def admin_routes(app: Any) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    names = {"account_id": "acct_x", "key_id": "key_x", "charge_id": "chg_x"}
    names |= {"what": "journal", "form": "csv"}
    return [
        (method.upper(), path.format(**names))
        for path in paths
        if path.startswith("/v1/admin")
        for method in paths[path]
    ]


async def test_every_route_asks_who_is_there(office: Any) -> None:
    doors = {CurrentPrincipal.__metadata__[0].dependency, admit_operator, admit_visitor}  # type: ignore[attr-defined]
    doors.add(admit_watcher)
    seen = set()
    for route in iter_route_contexts(office.vendor.app.routes):
        seen.add(route.path)
        if isinstance(getattr(route, "endpoint", None), BinaryRoute):
            assert (await office.anonymous.post(route.path)).status_code == 401
        elif route.path not in OPEN:
            assert calls_of(route.dependant) & doors, f"{route.path} lets everybody in"
    assert seen >= OPEN - {"/docs/oauth2-redirect"}
    assert {"/dashboard", "/v1/admin/accounts", "/v1/embeddings"} <= seen


async def test_an_operators_route_is_401_to_nobody_and_403_to_a_customer(office: Any) -> None:
    routes = admin_routes(office.vendor.app)
    assert len(routes) > 20
    for method, path in routes:
        anonymous = await office.anonymous.request(method, path, json={})
        assert anonymous.status_code == 401, path
        assert anonymous.json()["code"] == "invalid_api_key"
        customer = await office.customer.request(method, path, json={})
        assert customer.status_code == 403, path
        assert customer.json()["code"] == "forbidden"
        assert office.account_id not in customer.text


async def test_wrong_operators_keys_are_401(office: Any) -> None:
    key = office.admin_key.text
    for wrong in (make_key("admin").text, key[:-1], f"{key}0", "nonsense", key.upper()):
        answer = await office.anonymous.get(
            "/v1/admin/accounts", headers={"authorization": f"Bearer {wrong}"}
        )
        assert answer.status_code == 401
        assert key[24:60] not in answer.text


async def test_a_viewer_looks_and_changes_nothing(office: Any) -> None:
    before = await office.balance()
    assert (await office.viewer.get("/v1/admin/accounts")).status_code == 200
    for method, path, body in CHANGES:
        url = path.format(account=office.account_id)
        answer = await office.viewer.request(method, url, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), url
    after = await office.balance()
    assert {**before, "as_of": ""} == {**after, "as_of": ""}


async def test_an_operators_key_buys_nothing(office: Any) -> None:
    for path in ("/v1/balance", "/v1/models"):
        answer = await office.admin.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


async def test_a_revoked_operator_is_out_at_once(office: Any, shop: Any) -> None:
    assert (await office.admin.get("/v1/admin/accounts")).status_code == 200
    with shop.database.write() as connection:
        revoke_operator(connection, read_clock(connection), office.admin_key.key_id)
    assert (await office.admin.get("/v1/admin/accounts")).status_code == 401


async def test_only_the_hash_of_an_issued_key_is_kept(office: Any, shop: Any) -> None:
    url = f"/v1/admin/accounts/{office.account_id}/keys"
    key = (await office.admin.post(url, json={"name": "lab"})).json()["api_key"]
    everything = [
        (await office.admin.get(path)).text
        for path in (url, "/v1/admin/audit-log", f"/v1/admin/accounts/{office.account_id}")
    ]
    assert all(key[23:] not in text for text in everything)
    with shop.database.read() as connection:
        stored = [each.secret_hmac for each in list_keys(connection)]
    assert key[23:66].encode() not in b"".join(stored)
