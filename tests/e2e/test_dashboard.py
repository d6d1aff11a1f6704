"""The dashboard in a real browser: the first admin, a sale seen and given back, every page for everybody."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from shared.money import parse_usd
from tests.e2e.browsing import DESKTOP, Tab, open_chromium
from vendor_api.admin import actions
from vendor_api.db import open_database, read_clock
from vendor_api.people.founding import first_admin_file

MODEL = "icon-clip"
WORDS = "correct horse battery"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def shop_url(sqlite_url: str, pepper_file: Path) -> str:
    """A vendor with a price and an account without credit; nobody can log in yet."""
    database = open_database(sqlite_url)
    with database.write() as connection:
        now = read_clock(connection)
        units: Any = {"image": parse_usd("0.0004"), "text": parse_usd("0.00002")}
        actions.change_prices(connection, now, "cli:test", MODEL, units, None)
        actions.open_account(connection, now, "cli:test", "ada", 0)
    database.close()
    return sqlite_url


def send(page: Page, button: str) -> None:
    """Press a form's button and wait for the page it leads to."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()


def found_vendor(tab: Tab, token_file: Path) -> None:
    """Become the first admin with the token of the server's file."""
    page = tab.page
    tab.goto("/dashboard/login")
    page.get_by_role("link", name="use it here").click()
    page.get_by_label("One-time token").fill(token_file.read_text().strip())
    send(page, "Go on")
    page.get_by_label("Your name or e-mail address").fill("Eva@example.org")
    page.get_by_label("Password", exact=True).fill(WORDS)
    page.get_by_label("The same password again").fill(WORDS)
    send(page, "Set the password and log in")
    expect(page.get_by_role("heading", name="Now")).to_be_visible()
    tab.check()


def log_in(tab: Tab) -> None:
    """Log in with the password."""
    page = tab.page
    page.get_by_label("Name or e-mail address").fill("eva@example.org")
    page.get_by_label("Password").fill(WORDS)
    send(page, "Log in")


def top_up(page: Page, amount: str) -> None:
    page.goto("/dashboard/accounts")
    page.get_by_role("link", name="ada").first.click()
    page.get_by_role("link", name="Top up").click()
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reference").fill("invoice-1")
    page.get_by_role("button", name=re.compile("Top up|Pay in|Review|Go on|Check")).click()
    confirm = page.get_by_role("button", name=re.compile("Confirm|Yes|Book"))
    if confirm.count():
        confirm.first.click()


@pytest.mark.slow
def test_a_sale_is_seen_found_given_back_and_ended(
    browser: Browser, shop_url: str, pepper_file: Path, serve_vendor: Any
) -> None:
    with serve_vendor(shop_url, pepper_file) as serving:
        tab = Tab.open(browser, serving.url, viewport=DESKTOP)
        page = tab.page
        found_vendor(tab, first_admin_file(shop_url, pepper_file))
        send(page, "Log out")
        log_in(tab)
        tab.check()
