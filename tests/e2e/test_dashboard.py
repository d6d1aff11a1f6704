"""The dashboard in a real browser: the first admin, a sale seen and given back, every page for everybody."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from client.api import AuthenticationError, VendorClient
from shared.migrating import upgrade
from shared.money import parse_usd
from tests.e2e.browsing import DESKTOP, PHONE, Tab, open_chromium
from vendor_api.admin import actions
from vendor_api.auth.pepper import open_pepper
from vendor_api.dashboard.navigation import PAGES
from vendor_api.db import open_database, read_clock
from vendor_api.demo.customers import PEOPLE
from vendor_api.demo.screenshots import Shot, take_shots
from vendor_api.demo.seed import plant
from vendor_api.people.founding import first_admin_file
from vendor_api.people.roster import find_named
from vendor_api.people.sessions import open_session

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


def send(page: Page, button: str | re.Pattern[str]) -> None:
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
    """Pay money into the account `ada`."""
    page.goto("/dashboard/accounts")
    page.get_by_role("link", name="ada", exact=True).click()
    page.get_by_role("link", name="Top up").click()
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reference").fill("invoice-1")
    send(page, "Look at it first")
    send(page, re.compile("Yes, book"))
    expect(page.get_by_role("status").first).to_contain_text("Booked")


def create_key(page: Page) -> str:
    """A key of `ada` as the page shows it, once."""
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name of the key").fill("lab")
    send(page, "Create the key")
    return page.locator("code.secret").inner_text()


def refund(page: Page, charge_id: str) -> None:
    """Find the charge and give all of it back."""
    page.goto("/dashboard/charges")
    page.get_by_label("Search", exact=True).fill(charge_id)
    send(page, "Show")
    page.get_by_role("link", name=charge_id).click()
    page.get_by_label("Reference").fill("ticket-7")
    page.get_by_label("Reason").fill("arrived damaged")
    send(page, "Give it back")
    expect(page.get_by_role("status")).to_have_text("Refunded.")


def revoke(page: Page) -> None:
    """End the key `lab`."""
    page.goto("/dashboard/keys")
    page.get_by_role("row", name="lab").get_by_role("link").first.click()
    page.get_by_role("link", name="Revoke").click()
    send(page, "Yes, revoke it for ever")


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
        top_up(page, "1.00")
        key = create_key(page)
        page.goto("/dashboard")
        tiles = page.locator("#tiles")
        expect(tiles).to_contain_text("0 delivered")
        with VendorClient(api_key=key, base_url=serving.url) as client:
            sold = client.embeddings.create(model=MODEL, input=["a cat", "a dog", "a fish"])
            # The page looks again by itself, every five seconds.
            expect(tiles).to_contain_text("3 delivered", timeout=20_000)
            expect(tiles).to_contain_text("$0.00006")
            expect(page.locator("#pulse canvas")).to_be_visible()
            tab.check()
            refund(page, sold.charge_id)
            tab.check()
            revoke(page)
            with pytest.raises(AuthenticationError):
                client.embeddings.create(model=MODEL, input=["a horse"])
        page.goto("/dashboard/log")
        for action in ("credit", "key.create", "refund", "key.revoke"):
            expect(page.get_by_role("cell", name=action, exact=True).first).to_be_visible()
        tab.check()
        context = page.context
        context.close()


@pytest.fixture(scope="module")
def month(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A month of business, and an admin's session: `(database address, pepper file, token, paths)`."""
    folder = tmp_path_factory.mktemp("month")
    url, pepper_file = f"sqlite:///{folder}/vendor.db", folder / "pepper"
    upgrade("vendor", url)
    pepper = open_pepper(url, pepper_file)
    database = open_database(url)
    plant(database, pepper, charges=120)
    with database.write() as connection:
        found = find_named(connection, PEOPLE[0][0])
        assert found is not None
        token = open_session(connection, read_clock(connection), found[0].id)
        paths = [page.path for page in PAGES] + ["/dashboard/me", "/dashboard/money/journal"]
        for kind in ("account", "charge", "api_key"):
            order = "ORDER BY cost_nanousd DESC" if kind == "charge" else "ORDER BY id"
            row = connection.exec_driver_sql(f"SELECT id FROM {kind} {order} LIMIT 1").scalar_one()
            name = {"api_key": "keys"}.get(kind, f"{kind}s")
            paths.append(f"/dashboard/{name}/{row}")
            if kind == "account":
                paths.append(f"/dashboard/accounts/{row}/credits")
            if kind == "api_key":
                paths += [f"/dashboard/keys/{row}/{part}" for part in ("revoke", "limits", "caps")]
    database.close()
    return url, pepper_file, token, paths


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_page_is_for_everybody(browser: Browser, month: Any, serve_vendor: Any) -> None:
    url, pepper_file, token, paths = month
    with serve_vendor(url, pepper_file) as serving:
        nobody = Tab.open(browser, serving.url, viewport=PHONE)
        for path in ("/dashboard/login", "/dashboard/setup"):
            nobody.goto(path)
            nobody.examine()
        # The width and the colours hide faults of their own: each page once in either of both.
        looks: list[dict[str, Any]] = [
            {"viewport": DESKTOP, "color_scheme": "light"},
            {"viewport": PHONE, "color_scheme": "dark", "has_touch": True},
        ]
        for look in looks:
            tab = Tab.open(browser, serving.url, **look)
            tab.become(token, serving.url)
            for path in paths:
                tab.goto(path)
                tab.page.wait_for_load_state("networkidle")
                tab.examine()
            tab.page.context.close()


@pytest.mark.slow
def test_it_works_by_keyboard_and_without_scripts(
    browser: Browser, month: Any, serve_vendor: Any
) -> None:
    url, pepper_file, token, _ = month
    with serve_vendor(url, pepper_file) as serving:
        tab = Tab.open(browser, serving.url, viewport=DESKTOP)
        tab.become(token, serving.url)
        tab.goto("/dashboard")
        page = tab.page
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Light or dark").press("Enter")
        after = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert before != after
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after
        plain = Tab.open(browser, serving.url, java_script_enabled=False)
        plain.become(token, serving.url)
        plain.goto("/dashboard/charges?state=held")
        plain.goto("/dashboard")
        expect(plain.page.get_by_role("link", name="Charged today", exact=True)).to_be_visible()
        send(plain.page, "Log out")
        expect(plain.page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.slow
def test_pictures_are_taken_of_every_kind_of_page(
    browser: Browser, month: Any, serve_vendor: Any, tmp_path: Path
) -> None:
    url, pepper_file, token, _ = month
    shots = [
        Shot("now", "/dashboard", "light", phone=False),
        Shot("login", "/dashboard/login", "dark", phone=True, logged_in=False),
    ]
    with serve_vendor(url, pepper_file) as serving:
        total = take_shots(browser, serving.url, token, shots, tmp_path)
    sizes = {}
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            sizes[path.name] = (picture.format, picture.size)
    assert sizes == {
        "now-desktop-light.webp": ("WEBP", (1280, 800)),
        "login-phone-dark.webp": ("WEBP", (390, 844)),
    }
    assert 0 < total < 200_000
