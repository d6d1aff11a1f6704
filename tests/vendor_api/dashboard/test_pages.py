"""Every page of the menu: who sees it, what it may load, its table of contents, its warnings."""

import re
from typing import Any

import pytest

from vendor_api.alerts import Alert
from vendor_api.dashboard.navigation import PAGES
from vendor_api.dashboard.page import render
from vendor_api.dashboard.visitors import Visitor
from vendor_api.people.roster import ROLES


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    """SQLite alone: no table is read here that other tests do not read on both engines."""
    return sqlite_url


async def test_somebody_else_is_sent_to_log_in_and_comes_back(anonymous: Any) -> None:
    async with anonymous() as nobody:
        for page in PAGES:
            answer = await nobody.get(f"{page.path}?tz=UTC", headers={"accept": "text/html"})
            assert answer.status_code == 303
            path = page.path.replace("/", "%2F")
            assert answer.headers["location"] == f"/dashboard/login?next={path}%3Ftz%3DUTC"


async def test_the_menu_shows_what_a_role_may_open_and_nothing_else(visitor_client: Any) -> None:
    for role in ROLES:
        visitor = await visitor_client(role)
        home = (await visitor.get("/dashboard")).text
        for page in PAGES:
            answer = await visitor.get(page.path)
            assert answer.status_code == (200 if role in page.roles else 403), (role, page.path)
            assert (f'href="{page.path}"' in home) == (role in page.roles)


async def test_a_page_loads_only_what_is_the_dashboards_own(visitor_client: Any) -> None:
    admin = await visitor_client("admin")
    for page in PAGES:
        answer = await admin.get(page.path)
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\ssrc=)", answer.text), page.path
        assert not re.search(r"\s(?:style|on[a-z]+)=", answer.text), page.path
        for address in re.findall(r'\s(?:src|href|action)="([^"]*)"', answer.text):
            assert address.startswith(("/", "#", "?")), address
            assert not address.startswith("//"), address


async def test_a_page_can_be_read_without_eyes_or_mouse(visitor_client: Any) -> None:
    admin = await visitor_client("admin")
    for page in PAGES:
        text = (await admin.get(page.path)).text
        assert '<html lang="en">' in text
        assert text.count("<h1") == 1, page.path
        assert text.index('class="skip" href="#main"') < text.index('<main id="main"')
        assert text.count("<table") == text.count("<caption"), page.path
        assert not re.search(r"<th(?![^>]*scope=)[ >]", text), page.path
        ids = re.findall(r'\sid="([^"]*)"', text)
        assert len(ids) == len(set(ids)), page.path
        for name in re.findall(r'<label[^>]*\sfor="([^"]*)"', text):
            assert name in ids, name


async def test_a_page_is_json_for_who_asks(visitor_client: Any) -> None:
    admin = await visitor_client("admin")
    for page in PAGES:
        answer = await admin.http.get(page.path, headers={"accept": "application/json"})
        assert answer.headers["content-type"] == "application/json", page.path
        assert answer.json(), page.path


async def test_every_page_says_when_its_numbers_were_read(visitor_client: Any) -> None:
    admin = await visitor_client("admin")
    for page in PAGES:
        assert "As of <time datetime=" in (await admin.get(page.path)).text


async def test_a_browser_that_prefers_html_gets_html(visitor_client: Any) -> None:
    viewer = await visitor_client("viewer")
    accept = "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"
    answer = await viewer.http.get("/dashboard", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/html")


async def test_warnings_stand_on_top_of_the_page(vendor: Any, visitor_client: Any) -> None:
    from fastapi import Request

    @vendor.app.get("/dashboard/warned")
    async def get_warned(request: Request) -> Any:
        visitor = Visitor("per_1", "eva", "viewer", "token")
        alerts = (
            Alert("low_balance", "warning", "<ada> has $0.10 left.", "/dashboard/accounts/a"),
            Alert("books_wrong", "critical", "The books break a rule.", "/dashboard/integrity"),
        )
        shop = vendor.app.state.shop
        return await render(request, shop, "base.html", visitor=visitor, document={}, alerts=alerts)

    text = (await (await visitor_client("viewer")).get("/dashboard/warned")).text
    assert '<li class="warning">' in text
    assert '<a href="/dashboard/integrity">The books break a rule.</a>' in text
    assert "&lt;ada&gt;" in text
