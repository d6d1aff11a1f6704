"""Every change of who may open the dashboard, each with its line in the audit log, in one transaction."""

from sqlalchemy import Connection

from vendor_api.admin.actions import Conflict
from vendor_api.admin.log import record_action
from vendor_api.people import roster
from vendor_api.people.invitations import end_invitations, invite, use_invitation
from vendor_api.people.roster import Person, Role, UnknownPerson
from vendor_api.people.sessions import end_sessions

__all__ = [
    "LinkSpent",
    "change_password",
    "change_role",
    "disable",
    "enable",
    "found_vendor",
    "get_person",
    "hire",
    "log_out_everywhere",
    "reset",
    "set_first_password",
]


class LinkSpent(Conflict):
    """The one-time link was used meanwhile, or its time is over."""


def get_person(connection: Connection, who: str) -> Person:
    """The person of that id or name. Raises UnknownPerson."""
    known = roster.find_person(connection, who)
    if known is None:
        named = roster.find_named(connection, who.strip().casefold())
        if named is None:
            raise UnknownPerson(who)
        known = named[0]
    return known


def hire(
    connection: Connection,
    now: int,
    actor: str,
    name: str,
    role: Role,
    password_hash: str | None = None,
) -> tuple[Person, str | None]:
    """A new person, with a one-time link's token when no password is given. Raises Conflict."""
    try:
        person = roster.add_person(connection, now, name, role, password_hash)
    except ValueError as error:
        raise Conflict(str(error)) from error
    _record(connection, now, actor, "person.create", person, name=person.name, role=role)
    return person, invite(connection, now, person.id) if password_hash is None else None


def found_vendor(
    connection: Connection, now: int, token: str, name: str, password_hash: str
) -> Person:
    """The first admin, made with the token of the server's file. Raises LinkSpent and Conflict."""
    if roster.count_admins(connection) or not use_invitation(connection, now, token):
        raise LinkSpent("there is an admin already, or the token was used")
    try:
        person = roster.add_person(connection, now, name, "admin", password_hash)
    except ValueError as error:
        raise Conflict(str(error)) from error
    _record(connection, now, person.id, "person.create", person, name=person.name, role="admin")
    return person


def set_first_password(
    connection: Connection, now: int, token: str, person_id: str, password_hash: str
) -> Person:
    """The password that the owner of a one-time link chose. Raises LinkSpent and UnknownPerson."""
    if not use_invitation(connection, now, token):
        raise LinkSpent("the link was used")
    person = get_person(connection, person_id)
    _replace_password(connection, now, person.id, person, password_hash)
    return person


def change_password(
    connection: Connection, now: int, actor: str, person_id: str, password_hash: str
) -> Person:
    """Another password; every session and link of the person ends. Raises UnknownPerson."""
    person = get_person(connection, person_id)
    _replace_password(connection, now, actor, person, password_hash)
    return person


def change_role(connection: Connection, now: int, actor: str, who: str, role: Role) -> Person:
    """Another role, from the next request on. Raises UnknownPerson, Conflict for the last admin."""
    person = get_person(connection, who)
    if person.role != role:
        _keep_an_admin(connection, person)
        roster.set_role(connection, person.id, role)
        _record(connection, now, actor, "person.role", person, before=person.role, after=role)
    return get_person(connection, person.id)


def disable(connection: Connection, now: int, actor: str, who: str) -> Person:
    """Log the person out everywhere and let them in no more. Raises as `change_role` does."""
    person = get_person(connection, who)
    if person.disabled_at is None:
        _keep_an_admin(connection, person)
        roster.set_disabled(connection, person.id, now)
        end_sessions(connection, person.id)
        end_invitations(connection, now, person.id)
        _record(connection, now, actor, "person.disable", person)
    return get_person(connection, person.id)


def enable(connection: Connection, now: int, actor: str, who: str) -> Person:
    """Let the person in again. Raises UnknownPerson."""
    person = get_person(connection, who)
    if person.disabled_at is not None:
        roster.set_disabled(connection, person.id, None)
        _record(connection, now, actor, "person.enable", person)
    return get_person(connection, person.id)


def reset(connection: Connection, now: int, actor: str, who: str) -> tuple[Person, str]:
    """A one-time link's token to choose another password with; the old one ends, and every session.

    Raises UnknownPerson, and Conflict for somebody who is disabled.
    """
    person = get_person(connection, who)
    if person.disabled_at is not None:
        raise Conflict(f"{person.name} is disabled: enable them first")
    roster.set_password(connection, person.id, None)
    end_sessions(connection, person.id)
    _record(connection, now, actor, "person.reset", person)
    return person, invite(connection, now, person.id)


def log_out_everywhere(connection: Connection, now: int, actor: str, who: str) -> int:
    """End every session of the person; how many there were. Raises UnknownPerson."""
    person = get_person(connection, who)
    ended = end_sessions(connection, person.id)
    _record(connection, now, actor, "person.logout", person, sessions=ended)
    return ended


def _replace_password(
    connection: Connection, now: int, actor: str, person: Person, password_hash: str
) -> None:
    roster.set_password(connection, person.id, password_hash)
    end_sessions(connection, person.id)
    end_invitations(connection, now, person.id)
    _record(connection, now, actor, "person.password", person)


def _keep_an_admin(connection: Connection, person: Person) -> None:
    usable = person.role == "admin" and person.has_password and person.disabled_at is None
    if usable and roster.count_admins(connection) == 1:
        raise Conflict(f"{person.name} is the last admin: make another one first")


def _record(
    connection: Connection, now: int, actor: str, action: str, person: Person, **detail: object
) -> None:
    record_action(connection, now, actor=actor, action=action, subject=person.id, detail=detail)
