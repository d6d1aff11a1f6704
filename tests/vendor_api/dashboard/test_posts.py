"""No form of the dashboard changes anything without its token, and none for a viewer."""

import re
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import text

NAMES = {
    "account_id": "acct_x",
    "charge_id": "chg_x",
    "key_id": "key_x",
    "person_id": "per_x",
}
AT_THE_DOOR = {"/dashboard/login", "/dashboard/setup"}
"""Nobody has a session there, so that none can be abused; a test of their own holds them."""
ONES_OWN = {"/dashboard/logout", "/dashboard/me"}
"""Everybody may do this, with their own session only."""


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def list_posts(app: Any) -> list[str]:
    """The address of each route below /dashboard that changes something."""
    changing = {"POST", "PUT", "PATCH", "DELETE"}
    paths = [
        str(r.path) for r in iter_route_contexts(app.routes) if changing & set(r.methods or ())
    ]
    return sorted(
        re.sub(r"{(\w+)[^}]*}", lambda match: NAMES.get(match[1], "x"), path)
        for path in paths
        if path.startswith("/dashboard")
    )


def below(path: str, roots: set[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def count_changes(shop: Any) -> int:
    with shop.database.read() as connection:
        return int(connection.execute(text("SELECT COUNT(*) FROM audit_log")).scalar_one())


async def test_no_post_without_its_token(visitor_client: Any, vendor: Any, shop: Any) -> None:
    admin = await visitor_client("admin")
    other = await visitor_client("admin")
    known = count_changes(shop)
    paths = [path for path in list_posts(vendor.app) if not below(path, AT_THE_DOOR)]
    assert len(paths) >= 13
    for path in paths:
        for token in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": other.csrf}):
            answer = await admin.http.post(path, data={**token, "confirmed": "yes"})
            assert answer.status_code == 403, (path, token)
            assert "nothing was changed" in answer.text
    assert count_changes(shop) == known


async def test_no_post_by_a_viewer(visitor_client: Any, vendor: Any, shop: Any) -> None:
    viewer = await visitor_client("viewer")
    known = count_changes(shop)
    for path in list_posts(vendor.app):
        if not below(path, AT_THE_DOOR | ONES_OWN):
            answer = await viewer.post(path, {"confirmed": "yes"})
            assert answer.status_code == 403, path
    assert count_changes(shop) == known


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        (
            "support",
            [
                "accounts",
                "accounts/{}/credits",
                "accounts/{}/adjustments",
                "accounts/{}/credit-limit",
                "accounts/{}/close",
            ],
        ),
        (
            "finance",
            [
                "accounts",
                "accounts/{}/freeze",
                "accounts/{}/credit-limit",
                "accounts/{}/close",
                "keys",
                "prices",
            ],
        ),
    ],
)
async def test_a_role_moves_only_what_is_its_own(
    visitor_client: Any, shop: Any, role: str, refused: list[str]
) -> None:
    visitor = await visitor_client(role)
    for path in refused:
        answer = await visitor.post(f"/dashboard/{path.format(visitor.account_id)}", {"a": "b"})
        assert answer.status_code == 403, path
        assert "this needs" in answer.text
