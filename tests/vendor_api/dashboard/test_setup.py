"""One-time links: the first admin's, and everybody else's."""

import stat
from typing import Any

import pytest
from sqlalchemy import text

from vendor_api.admin.log import list_actions
from vendor_api.db import read_clock
from vendor_api.people.founding import first_admin_file, offer_first_admin
from vendor_api.people.invitations import invite
from vendor_api.people.roster import add_person, list_people

WORDS = "correct horse battery"


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    """SQLite alone: the tables behind it are tried on both engines by the other tests."""
    return sqlite_url


@pytest.fixture
async def browser(anonymous: Any) -> Any:
    """A browser in which nobody is logged in."""
    async with anonymous() as opened:
        opened.headers["accept"] = "text/html"
        yield opened


async def choose(browser: Any, token: str, name: str = "Eva", password: str = WORDS) -> Any:
    form = {"token": token, "name": name, "password": password, "again": password}
    return await browser.post("/dashboard/setup", data=form)


class TestTheFirstAdmin:
    def test_has_a_token_in_a_private_file_while_there_is_none(self, shop: Any, tmp_path: Any):
        url = shop.database.url.render_as_string(hide_password=False)
        path = offer_first_admin(url, tmp_path / "pepper")
        assert path == first_admin_file(url, tmp_path / "pepper") == tmp_path / "pepper.first-admin"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = path.read_text()
        assert offer_first_admin(url, tmp_path / "pepper") == path
        assert path.read_text() == token, "a second start leaves a token that works"
        with shop.database.write() as connection:
            connection.execute(text("UPDATE invitation SET expires_at = 1"))
        offer_first_admin(url, tmp_path / "pepper")
        assert path.read_text() != token, "one that does not is replaced"
        with shop.database.write() as connection:
            add_person(connection, read_clock(connection), "eva", "admin", "hash")
        assert offer_first_admin(url, tmp_path / "pepper") is None
        assert not path.exists()

    async def test_chooses_a_name_and_a_password_and_is_logged_in(
        self, browser: Any, shop: Any
    ) -> None:
        with shop.database.write() as connection:
            token = invite(connection, read_clock(connection), None)
        page = await browser.get("/dashboard/setup", params={"token": token})
        assert "Become the first admin" in page.text
        answer = await choose(browser, token)
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
        home = await browser.get("/dashboard")
        assert "eva" in home.text
        assert "(admin)" in home.text
        with shop.database.read() as connection:
            (eva,) = list_people(connection)
            seen = list_actions(connection, subject=eva.id)
        assert [(each.actor, each.action) for each in seen] == [
            (eva.id, "person.create"),
            (eva.id, "person.login"),
        ]

    async def test_is_made_once(self, browser: Any, shop: Any) -> None:
        with shop.database.write() as connection:
            now = read_clock(connection)
            tokens = [invite(connection, now, None) for _ in range(2)]
        assert (await choose(browser, tokens[0])).status_code == 303
        assert (await choose(browser, tokens[0], "mallory")).status_code == 404
        assert (await choose(browser, tokens[1], "mallory")).status_code == 409
        with shop.database.read() as connection:
            assert [each.name for each in list_people(connection)] == ["eva"]

    async def test_is_told_of_the_file_where_everybody_logs_in(self, browser: Any) -> None:
        assert "one-time token to a file" in (await browser.get("/dashboard/login")).text


class TestALink:
    @pytest.fixture
    def link(self, shop: Any) -> str:
        with shop.database.write() as connection:
            now = read_clock(connection)
            bob = add_person(connection, now, "bob", "viewer")
            return invite(connection, now, bob.id)

    async def test_sets_the_password_of_its_person_alone(
        self, browser: Any, link: str, shop: Any
    ) -> None:
        page = (await browser.get("/dashboard/setup", params={"token": link})).text
        assert "You are <strong>bob</strong>" in page
        assert (await choose(browser, link, name="mallory")).status_code == 303
        assert "(viewer)" in (await browser.get("/dashboard")).text
        with shop.database.read() as connection:
            assert [each.name for each in list_people(connection)] == ["bob"]

    async def test_a_password_that_is_too_short_leaves_it_as_it_was(
        self, browser: Any, link: str
    ) -> None:
        answer = await choose(browser, link, password="short")
        assert answer.status_code == 400
        assert "at least 12 characters" in answer.text
        assert (await choose(browser, link)).status_code == 303

    async def test_a_wrong_token_opens_nothing(self, browser: Any, link: str) -> None:
        for token in ("", link[:-1], f"{link}x", "é"):
            assert (await choose(browser, token)).status_code == 404
        assert (await browser.get("/dashboard/setup?token=x")).status_code == 404
        assert (await browser.get("/dashboard/setup")).status_code == 200


def test_a_folder_that_cannot_be_written_to_offers_no_token(shop: Any, tmp_path: Any) -> None:
    url = shop.database.url.render_as_string(hide_password=False)
    with pytest.raises(OSError, match="No such file"):
        offer_first_admin(url, tmp_path / "nowhere" / "pepper")
    with shop.database.read() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM invitation")).scalar_one() == 0
