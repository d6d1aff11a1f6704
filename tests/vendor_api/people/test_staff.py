"""Who may open the dashboard: each change has its line in the log, and an admin is always left."""

from typing import Any

import pytest
from sqlalchemy import text

from vendor_api.admin.actions import Conflict
from vendor_api.admin.log import list_actions
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY
from vendor_api.people import invitations, roster, sessions, staff
from vendor_api.people.roster import UnknownPerson


@pytest.fixture
def run(database: Any) -> Any:
    """Run a change in a transaction at the database's present."""

    def change(work: Any, *args: Any, after: int = 0) -> Any:
        with database.write() as connection:
            return work(connection, read_clock(connection) + after, *args)

    return change


@pytest.fixture
def eva(run: Any) -> Any:
    """An admin with a password."""
    person, token = run(staff.hire, "cli:root", "Eva@Example.org", "admin", "hash")
    assert token is None
    return person


def test_names_are_one_whatever_the_capitals(run: Any, eva: Any) -> None:
    assert eva.name == "eva@example.org"
    assert run(lambda c, _now: staff.get_person(c, " EVA@example.org")) == eva
    with pytest.raises(Conflict, match="already"):
        run(staff.hire, "cli:root", "EVA@EXAMPLE.ORG", "viewer")


@pytest.mark.parametrize("name", ["", " ", "two words", "a" * 101, "a\u0000b", "a\u202eb"])
def test_a_name_that_cannot_be_typed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no spaces"):
        roster.normalise_name(name)


def test_a_link_works_once_and_a_newer_one_ends_it(run: Any) -> None:
    bob, first = run(staff.hire, "cli:root", "bob", "viewer")
    _, second = run(staff.reset, "cli:root", "bob")
    with pytest.raises(staff.LinkSpent):
        run(staff.set_first_password, first, bob.id, "hash")
    run(staff.set_first_password, second, bob.id, "hash")
    with pytest.raises(staff.LinkSpent):
        run(staff.set_first_password, second, bob.id, "another")
    assert run(lambda c, _now: roster.find_named(c, "bob"))[1] == "hash"


def test_a_link_ends_after_a_day(run: Any) -> None:
    bob, token = run(staff.hire, "cli:root", "bob", "viewer")
    with pytest.raises(staff.LinkSpent):
        run(staff.set_first_password, token, bob.id, "hash", after=DAY + 1)


def test_the_last_admin_stays(run: Any, eva: Any) -> None:
    run(staff.hire, eva.id, "invited", "admin")  # has no password yet, so does not count
    for change in (
        staff.disable,
        lambda c, now, a, who: staff.change_role(c, now, a, who, "viewer"),
    ):
        with pytest.raises(Conflict, match="last admin"):
            run(change, eva.id, eva.id)
    run(staff.hire, eva.id, "bob", "admin", "hash")
    assert run(staff.disable, eva.id, eva.id).disabled_at is not None


@pytest.mark.parametrize("change", [staff.disable, staff.reset, staff.log_out_everywhere])
def test_sessions_end_at_once(run: Any, eva: Any, change: Any) -> None:
    bob, _ = run(staff.hire, eva.id, "bob", "support", "hash")
    token = run(sessions.open_session, bob.id)
    assert run(sessions.find_session, token) is not None
    run(change, eva.id, "bob")
    assert run(sessions.find_session, token) is None


def test_a_session_ends_when_idle_and_after_its_lifetime_however_busy(run: Any, eva: Any) -> None:
    token = run(sessions.open_session, eva.id)
    assert run(sessions.find_session, token, after=sessions.IDLE - DAY // 1440) is not None
    assert run(sessions.find_session, token, after=sessions.IDLE) is None
    for step in range(1, 24):
        run(sessions.record_seen, token, after=step * sessions.IDLE // 2)
    late = sessions.LIFETIME - sessions.IDLE // 4
    assert run(sessions.find_session, token, after=late) is not None
    run(sessions.record_seen, token, after=sessions.LIFETIME)
    assert run(sessions.find_session, token, after=sessions.LIFETIME) is None


def test_only_the_hash_of_a_token_is_stored(run: Any, eva: Any, database: Any) -> None:
    token, link = run(sessions.open_session, eva.id), run(invitations.invite, eva.id)
    with database.read() as connection:
        stored = [
            bytes(row[0])
            for table in ("session", "invitation")
            for row in connection.execute(text(f"SELECT token_hash FROM {table}"))
        ]
    assert len(stored) == 2
    assert not {token.encode(), link.encode()} & set(stored)


def test_every_change_is_in_the_log_once_with_who_made_it(run: Any, eva: Any) -> None:
    bob, token = run(staff.hire, eva.id, "bob", "viewer")
    run(staff.set_first_password, token, bob.id, "hash")
    run(staff.change_role, eva.id, "bob", "finance")
    run(staff.change_role, eva.id, "bob", "finance")
    run(staff.disable, eva.id, "bob")
    run(staff.disable, eva.id, "bob")
    run(staff.enable, eva.id, "bob")
    run(staff.reset, eva.id, "bob")
    seen = run(lambda c, _now: list_actions(c, subject=bob.id))
    assert [(each.actor, each.action) for each in seen] == [
        (eva.id, "person.create"),
        (bob.id, "person.password"),
        (eva.id, "person.role"),
        (eva.id, "person.disable"),
        (eva.id, "person.enable"),
        (eva.id, "person.reset"),
    ]
    assert seen[2].detail == {"before": "viewer", "after": "finance"}
    assert token not in str(seen)


def test_nobody_is_a_sentence_not_a_crash(run: Any) -> None:
    with pytest.raises(UnknownPerson):
        run(staff.disable, "cli:root", "nobody")
