"""Who may do what on the dashboard: CSRF, roles, programs, and errors as pages."""

import html
import re
from typing import Any

import httpx
import pytest

from vendor_api.db import read_clock
from vendor_api.people.roster import ROLES
from vendor_api.people.sessions import IDLE


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    """SQLite alone: the tables behind it are tried on both engines by the other tests."""
    return sqlite_url


class TestForms:
    @pytest.mark.parametrize("token", ["", "0" * 64, "é"])
    async def test_without_the_sessions_token_nothing_changes(
        self, visitor_client: Any, token: str
    ) -> None:
        admin = await visitor_client("admin")
        answer = await admin.http.post(
            "/dashboard/people", data={"csrf": token, "name": "mallory", "role": "admin"}
        )
        assert answer.status_code == 403
        assert "Reload the page" in answer.text
        assert "mallory" not in (await admin.get("/dashboard/people")).text

    async def test_another_sessions_token_is_none(self, visitor_client: Any) -> None:
        admin, other = await visitor_client("admin"), await visitor_client("admin")
        admin.csrf = other.csrf
        answer = await admin.post("/dashboard/people", {"name": "mallory", "role": "admin"})
        assert answer.status_code == 403

    async def test_the_token_may_come_in_a_header(self, visitor_client: Any) -> None:
        admin = await visitor_client("admin")
        answer = await admin.http.post(
            "/dashboard/people",
            data={"name": "bob", "role": "viewer"},
            headers={"x-csrf-token": admin.csrf},
        )
        assert answer.status_code == 201

    async def test_nobody_is_sent_to_log_in_and_changes_nothing(self, anonymous: Any) -> None:
        async with anonymous() as nobody:
            answer = await nobody.post("/dashboard/people", data={"name": "m", "role": "admin"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login")


class TestRoles:
    async def test_only_an_admin_sees_and_changes_people(self, visitor_client: Any) -> None:
        for role in ROLES:
            person = await visitor_client(role)
            expected = 200 if role == "admin" else 403
            page = await person.get("/dashboard/people")
            assert page.status_code == expected
            added = await person.post("/dashboard/people", {"name": f"by-{role}", "role": "viewer"})
            assert added.status_code == (201 if role == "admin" else 403)
            assert ("/dashboard/people" in (await person.get("/dashboard")).text) == (
                role == "admin"
            )

    async def test_a_role_taken_away_is_gone_with_the_next_click(self, visitor_client: Any) -> None:
        eva, bob = await visitor_client("admin"), await visitor_client("admin")
        answer = await eva.post(
            "/dashboard/people/role", {"person": bob.person_id, "role": "viewer"}
        )
        assert answer.status_code == 303
        assert (await bob.get("/dashboard/people")).status_code == 403

    async def test_the_link_is_shown_once_and_works(
        self, visitor_client: Any, anonymous: Any
    ) -> None:
        admin = await visitor_client("admin")
        page = await admin.post("/dashboard/people", {"name": "Bob", "role": "finance"})
        address = page.text.partition('<code class="secret">')[2].partition("<")[0]
        assert address.startswith("http://vendor/dashboard/setup?token=")
        async with anonymous() as browser:
            assert "You are <strong>bob</strong>" in (await browser.get(address)).text
        assert address not in (await admin.get("/dashboard/people")).text


class TestPrograms:
    @pytest.fixture
    async def program(self, office_keys: dict[str, str], vendor: Any) -> Any:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(vendor.app),
            base_url="http://vendor",
            headers={"accept": "application/json"},
        ) as client:
            yield client

    @pytest.fixture
    def office_keys(self, shop: Any, pepper: bytes) -> dict[str, str]:
        from vendor_api.auth.operators import issue_operator

        with shop.database.write() as connection:
            now = read_clock(connection)
            return {
                role: issue_operator(connection, now, pepper, name=role, role=role).text
                for role in ("admin", "viewer")
            }

    async def test_an_operators_key_reads_the_pages_as_json(
        self, program: Any, office_keys: Any
    ) -> None:
        program.headers["authorization"] = f"Bearer {office_keys['admin']}"
        answer = await program.get("/dashboard/people")
        assert answer.status_code == 200
        assert answer.json()["data"] == []
        made = await program.post("/dashboard/people", data={"name": "bob", "role": "viewer"})
        assert made.status_code == 201
        assert made.json()["link"].startswith("http://vendor/dashboard/setup?token=")

    async def test_a_viewers_key_changes_nothing(self, program: Any, office_keys: Any) -> None:
        program.headers["authorization"] = f"Bearer {office_keys['viewer']}"
        assert (await program.get("/dashboard")).status_code == 200
        for path in ("/dashboard/people", "/dashboard/logout"):
            assert (
                await program.post(path, data={"name": "b", "role": "admin"})
            ).status_code == 403

    async def test_nobody_is_told_how_in_json(self, program: Any, vendor: Any) -> None:
        answer = await program.get("/dashboard")
        assert answer.status_code == 401
        assert "vl2v_admin_" in answer.json()["detail"]
        program.headers["authorization"] = f"Bearer {vendor.key}"
        assert (await program.get("/dashboard")).status_code == 401

    async def test_a_part_of_a_page_sends_the_whole_page_to_log_in(self, anonymous: Any) -> None:
        async with anonymous() as nobody:
            answer = await nobody.get("/dashboard", headers={"hx-request": "true"})
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/dashboard/login")


class TestSessionsInUse:
    async def test_a_page_that_refreshes_itself_does_not_keep_its_session_open(
        self, visitor_client: Any, shop: Any
    ) -> None:
        eva = await visitor_client("viewer")

        def age(by: int) -> int:
            with shop.database.write() as connection:
                connection.exec_driver_sql(f"UPDATE session SET last_seen_at = last_seen_at - {by}")
                return int(
                    connection.exec_driver_sql("SELECT last_seen_at FROM session").scalar_one()
                )

        seen = age(IDLE // 2)
        await eva.http.get("/dashboard", headers={"hx-request": "true"})
        assert age(0) == seen
        await eva.get("/dashboard")
        assert age(0) > seen
        age(2 * IDLE)
        assert (await eva.get("/dashboard")).status_code == 303


class TestErrors:
    async def test_a_browser_gets_a_page_and_a_program_the_envelope(
        self, visitor_client: Any
    ) -> None:
        viewer = await visitor_client("viewer")
        page = await viewer.get("/dashboard/nowhere/at-all")
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert "x-request-id" in page.headers
        document = await viewer.http.get(
            "/dashboard/nowhere/at-all", headers={"accept": "application/json"}
        )
        assert document.json()["code"] == "not_found"

    async def test_what_was_typed_is_not_markup(self, visitor_client: Any) -> None:
        admin = await visitor_client("admin")
        page = await admin.get("/dashboard/<script>alert(1)</script>")
        assert "<script>alert" not in page.text

    async def test_only_files_of_the_dashboard_are_served(self, anonymous: Any) -> None:
        async with anonymous() as nobody:
            for name in ("dashboard.css", "htmx.js", "uplot.js", "theme.js", "charts.js"):
                answer = await nobody.get(f"/dashboard/static/{name}")
                assert answer.status_code == 200
                assert "immutable" in answer.headers["cache-control"]
            for name in ("nothing.js", "htmx.LICENSE.txt", "..%2Fpage.py", "%2e%2e"):
                assert (await nobody.get(f"/dashboard/static/{name}")).status_code == 404


class TestZones:
    async def test_times_are_shown_in_the_zone_that_was_asked_for_and_named(
        self, visitor_client: Any
    ) -> None:
        eva = await visitor_client("viewer")
        assert " UTC</time>" in (await eva.get("/dashboard")).text
        page = (await eva.get("/dashboard", tz="Asia/Tokyo")).text
        assert " JST</time>" in page
        assert " JST</time>" in (await eva.get("/dashboard/me")).text, "kept for the next page"

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "utc; DROP"])
    async def test_a_zone_that_does_not_exist_is_utc(self, visitor_client: Any, zone: str) -> None:
        page = (await (await visitor_client("viewer")).get("/dashboard", tz=zone)).text
        assert " UTC</time>" in page

    async def test_another_zone_keeps_what_the_page_was_asked_for(
        self, visitor_client: Any
    ) -> None:
        eva = await visitor_client("viewer")
        asked = [("tz", "UTC"), ("state", "held"), ("state", "captured"), ("model", HOSTILE)]
        assert sent_with_the_zone((await eva.get("/dashboard/charges", tz="UTC")).text) == []
        page = (await eva.http.get("/dashboard/charges", params=asked)).text
        kept = sent_with_the_zone(page)
        assert kept == asked[1:]
        page = (await eva.http.get("/dashboard/charges", params=[*kept, ("tz", "Asia/Tokyo")])).text
        assert sent_with_the_zone(page) == kept
        assert " JST</time>" in page


HOSTILE = '"><script>alert(1)</script>&amp;'


def sent_with_the_zone(page: str) -> list[tuple[str, str]]:
    """The hidden fields of the form that chooses a zone."""
    form = re.search(r'<form method="get"[^>]*class="zone">.*?</form>', page, re.DOTALL)
    assert form is not None
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[0])
    return [(html.unescape(name), html.unescape(value)) for name, value in fields]
