"""Logging in: the cookie, the wrong password, the lock-out, the way out."""

from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from vendor_api.dashboard.visitors import COOKIE
from vendor_api.db import read_clock
from vendor_api.people.lockout import NAME_FREE
from vendor_api.people.passwords import Cost, hash_password
from vendor_api.people.roster import add_person, find_named

WORDS = "correct horse battery"
HTML = {"accept": "text/html"}


@pytest.fixture
def eva(shop: Any) -> Any:
    """An admin whose password was hashed at another cost than the vendor's present one."""
    hashed = hash_password(WORDS, Cost(passes=2, memory_kib=8, lanes=1))
    with shop.database.write() as connection:
        return add_person(connection, read_clock(connection), "eva", "admin", hashed)


@pytest.fixture
async def browser(anonymous: Any) -> Any:
    """A browser in which nobody is logged in."""
    async with anonymous() as opened:
        opened.headers["accept"] = "text/html"
        yield opened


async def log_in(browser: httpx.AsyncClient, name: str = "eva", password: str = WORDS, **more: str):
    form = {"name": name, "password": password, **more}
    return await browser.post("/dashboard/login", data=form)


def cookie_of(answer: httpx.Response) -> Any:
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE]


class TestTheRightPassword:
    async def test_opens_a_session_that_scripts_and_other_sites_cannot_use(
        self, browser: Any, eva: Any
    ) -> None:
        answer = await log_in(browser, "  EVA ", next="/dashboard/people?a=b")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/people?a=b")
        cookie = cookie_of(answer)
        assert cookie["httponly"]
        assert cookie["samesite"] == "strict"
        assert cookie["path"] == "/dashboard"
        assert not cookie["secure"]
        assert (await browser.get("/dashboard")).status_code == 200

    async def test_behind_tls_the_cookie_stays_there(self, browser: Any, eva: Any) -> None:
        browser.headers["x-forwarded-proto"] = "https"
        assert cookie_of(await log_in(browser))["secure"]

    async def test_every_login_has_a_token_of_its_own_and_ends_the_one_before(
        self, browser: Any, eva: Any
    ) -> None:
        first = cookie_of(await log_in(browser)).value
        second = cookie_of(await log_in(browser)).value
        assert first != second
        browser.cookies.clear()
        browser.cookies[COOKIE] = first
        assert (await browser.get("/dashboard")).status_code == 303

    async def test_renews_a_hash_of_an_older_cost(self, browser: Any, eva: Any, shop: Any) -> None:
        await log_in(browser)
        with shop.database.read() as connection:
            found = find_named(connection, "eva")
        assert found is not None
        assert "t=1" in str(found[1])
        assert (await log_in(browser)).status_code == 303

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example", "//evil.example", "/\\evil.example", "/v1", "/dashboardevil", ""],
    )
    async def test_never_leads_away_from_the_dashboard(
        self, browser: Any, eva: Any, elsewhere: str
    ) -> None:
        assert (await log_in(browser, next=elsewhere)).headers["location"] == "/dashboard"


class TestTheWrongPassword:
    async def test_says_the_same_for_a_name_that_nobody_has(self, browser: Any, eva: Any) -> None:
        pages = [
            (await log_in(browser, name, "wrong password")).text.replace(name, "")
            for name in ("eva", "nobody-of-that-name", "two words", "a" * 5000)
        ]
        assert len(set(pages)) == 1
        assert "The name or the password is wrong." in pages[0]

    async def test_is_401_and_sets_no_session(self, browser: Any, eva: Any) -> None:
        answer = await log_in(browser, password="wrong password")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "wrong password" not in answer.text

    @pytest.mark.parametrize("name", ["eva", "nobody"])
    async def test_makes_the_next_attempt_wait_even_a_right_one(
        self, browser: Any, eva: Any, name: str
    ) -> None:
        for _ in range(NAME_FREE):
            assert (await log_in(browser, name, "wrong password")).status_code == 401
        answer = await log_in(browser, name)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert "try again in 1 s" in answer.text

    async def test_of_a_disabled_person_is_any_password(
        self, browser: Any, eva: Any, visitor_client: Any
    ) -> None:
        admin = await visitor_client("admin")
        answer = await admin.post(
            "/dashboard/people/access", {"person": eva.id, "allowed": "false"}
        )
        assert answer.status_code == 303
        assert (await log_in(browser)).status_code == 401


async def test_a_form_of_another_site_is_refused(browser: Any, eva: Any) -> None:
    browser.headers["sec-fetch-site"] = "cross-site"
    assert (await log_in(browser)).status_code == 403


class TestLoggingOut:
    async def test_ends_this_session_alone(self, visitor_client: Any) -> None:
        eva, bob = await visitor_client("viewer"), await visitor_client("viewer")
        assert (await eva.post("/dashboard/logout")).status_code == 303
        assert (await eva.get("/dashboard")).status_code == 303
        assert (await bob.get("/dashboard")).status_code == 200

    async def test_everywhere_ends_the_others_too(self, browser: Any, eva: Any) -> None:
        here = httpx.AsyncClient(transport=browser._transport, base_url="http://vendor")
        async with here:
            await log_in(browser)
            await log_in(here)
            page = (await browser.get("/dashboard/me")).text
            csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
            form = {"csrf": csrf, "everywhere": "yes"}
            assert (await browser.post("/dashboard/logout", data=form)).status_code == 303
            assert (await here.get("/dashboard", headers=HTML)).status_code == 303


class TestADifferentPassword:
    async def change(self, browser: Any, present: str, password: str, again: str) -> Any:
        page = (await browser.get("/dashboard/me")).text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "present": present, "password": password, "again": again}
        return await browser.post("/dashboard/me/password", data=form)

    async def test_ends_the_old_one_and_every_other_session(self, browser: Any, eva: Any) -> None:
        other = httpx.AsyncClient(transport=browser._transport, base_url="http://vendor")
        async with other:
            await log_in(other)
            await log_in(browser)
            answer = await self.change(browser, WORDS, "another horse here", "another horse here")
            assert answer.status_code == 303
            assert (await browser.get("/dashboard/me")).status_code == 200
            assert (await other.get("/dashboard", headers=HTML)).status_code == 303
            assert (await log_in(other)).status_code == 401
            assert (await log_in(other, "eva", "another horse here")).status_code == 303

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            (("wrong password", "another horse here", "another horse here"), "present password"),
            ((WORDS, "another horse here", "another horse hers"), "differ"),
            ((WORDS, "short", "short"), "at least 12"),
        ],
    )
    async def test_is_refused_in_words(
        self, browser: Any, eva: Any, form: Any, sentence: str
    ) -> None:
        await log_in(browser)
        answer = await self.change(browser, *form)
        assert answer.status_code == 400
        assert sentence in answer.text
        assert form[1] not in answer.text
