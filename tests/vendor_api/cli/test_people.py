"""`vl2v-vendor people`: one-time links, passwords from stdin, roles; and the first admin's file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vendor_api.cli import app
from vendor_api.cli.serve import describe_start
from vendor_api.db import open_database, read_clock
from vendor_api.people import roster
from vendor_api.people.invitations import find_invitation


@pytest.fixture
def vendor(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command on an empty vendor."""
    monkeypatch.setenv("VENDOR_DATABASE_URL", sqlite_url)

    def run(*arguments: str, code: int = 0, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(app, list(arguments), input=stdin)
        assert result.exit_code == code, result.output
        return result

    return run


def look(url: str, query: Any) -> Any:
    database = open_database(url)
    with database.read() as connection:
        found = query(connection, read_clock(connection))
    database.close()
    return found


def test_a_new_person_gets_a_link_that_is_printed_once(vendor: Any, sqlite_url: str) -> None:
    made = vendor("people", "create", "Eva@example.org", "--role", "finance")
    token = re.fullmatch(r"http://127.0.0.1:8000/dashboard/setup\?token=(\S+)\n", made.stdout)
    assert token is not None
    assert "works once, within 24 hours" in made.stderr
    invitation = look(sqlite_url, lambda c, now: find_invitation(c, now, token[1]))
    (row,) = json.loads(vendor("people", "list", "--json").stdout)
    assert invitation.person_id == row["id"]
    assert (row["name"], row["role"], row["status"]) == ("eva@example.org", "finance", "invited")


def test_a_password_is_read_from_stdin_and_only_its_hash_kept(vendor: Any, sqlite_url: str) -> None:
    vendor("people", "create", "eva", "--password", "--role", "admin", stdin="correct horse bat\n")
    person, stored = look(sqlite_url, lambda c, _now: roster.find_named(c, "eva"))
    assert person.role == "admin"
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert json.loads(vendor("people", "list", "--json").stdout)[0]["status"] == "active"


def test_a_short_password_is_refused_in_a_sentence(vendor: Any) -> None:
    refused = vendor("people", "create", "eva", "--password", code=1, stdin="short\n")
    assert "at least 12 characters" in refused.stderr
    assert json.loads(vendor("people", "list", "--json").stdout) == []


def test_roles_change_and_the_last_admin_stays(vendor: Any) -> None:
    words = "correct horse battery\n"
    vendor("people", "create", "eva", "--password", "--role", "admin", stdin=words)
    assert "last admin" in vendor("people", "disable", "eva", code=1).stderr
    vendor("people", "create", "bob", "--password", stdin=words)
    assert vendor("people", "role", "BOB", "admin").stdout == "bob is admin\n"
    assert vendor("people", "disable", "eva").stdout == "disabled eva\n"
    assert vendor("people", "enable", "eva").stdout == "enabled eva\n"
    status = {
        row["name"]: row["status"] for row in json.loads(vendor("people", "list", "--json").stdout)
    }
    assert status == {"eva": "active", "bob": "active"}


def test_a_reset_ends_the_password_and_says_how_to_choose_another(vendor: Any) -> None:
    vendor("people", "create", "bob", "--password", stdin="correct horse battery\n")
    document = json.loads(vendor("people", "reset", "bob", "--json").stdout)
    assert document["link"].startswith("http://127.0.0.1:8000/dashboard/setup?token=")
    assert json.loads(vendor("people", "list", "--json").stdout)[0]["status"] == "invited"
    vendor("people", "reset", "bob", "--password", stdin="another horse battery\n")
    assert json.loads(vendor("people", "list", "--json").stdout)[0]["status"] == "active"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("role", "nobody", "admin"), 1, "nobody called nobody"),
        (("create", "two words"), 2, "no spaces"),
        (("create", "eva", "--role", "owner"), 2, "one of viewer"),
    ],
)
def test_what_cannot_be_is_said_in_words(
    vendor: Any, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in vendor("people", *arguments, code=code).stderr


def test_a_start_without_an_admin_says_where_the_token_is(tmp_path: Path) -> None:
    file = tmp_path / "p.first-admin"
    document, sentence = describe_start("http://127.0.0.1:1", file)
    assert document["first_admin_token_file"] == str(file)
    assert "http://127.0.0.1:1/dashboard/setup" in sentence
    assert str(file) in sentence
    assert describe_start("http://127.0.0.1:1", None)[1] == ""
