"""`vl2v-vendor accounts space | close | export` and `retention`, as an operator types them."""

import json
import zipfile

import pytest

from vendor_api.db import open_database
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.audit import audit


@pytest.fixture
def vendor(vendor_of_ada):
    """Runs the command on a database with an account `ada` that has $5 and a key."""
    vendor_of_ada("keys", "create", "--account", "ada", "--name", "lab")
    return vendor_of_ada


def read_json(result):
    return json.loads(result.stdout)


class TestSpace:
    def test_shown_turned_on_renewed_and_off(self, vendor):
        assert "everybody's space" in vendor("accounts", "space", "ada").stdout
        on = read_json(vendor("accounts", "space", "ada", "--on", "--json"))
        assert (on["status"], on["serial"]) == ("on", 1)
        assert on["space_id"] in vendor("accounts", "space", "ada").stdout
        assert on["space_id"] in vendor("accounts", "show", "ada").stdout
        new = read_json(vendor("accounts", "space", "ada", "--new", "--json"))
        assert (new["status"], new["serial"]) == ("on", 2)
        off = read_json(vendor("accounts", "space", "ada", "--off", "--json"))
        assert (off["status"], off["space_id"]) == ("off", new["space_id"])
        again = read_json(vendor("accounts", "space", "ada", "--on", "--json"))
        assert again["space_id"] == new["space_id"]

    def test_two_wishes_at_once_are_refused(self, vendor):
        refused = vendor("accounts", "space", "ada", "--on", "--off", code=2)
        assert "one of --on, --off and --new" in refused.output

    def test_an_account_that_is_not_there(self, vendor):
        refused = vendor("accounts", "space", "eve", "--on", code=1)
        assert "see `vl2v-vendor accounts list`" in refused.output


class TestClosing:
    def test_a_dry_run_closes_nothing(self, vendor):
        words = ("accounts", "close", "ada", "--reason", "bye", "--refund-external-ref", "w1")
        shown = vendor(*words, "--dry-run")
        assert "would be closed: $5.00 to pay back under w1, $0.00 forfeited" in shown.stdout
        assert read_json(vendor("accounts", "show", "ada", "--json"))["status"] == "active"

    def test_closed_for_ever(self, vendor, sqlite_url):
        closed = read_json(vendor("accounts", "close", "ada", "--reason", "bye", "--json"))
        assert (closed["forfeited_usd"], closed["new"]) == ("5.000000000", True)
        assert "was closed at" in vendor("accounts", "close", "ada", "--reason", "bye").stdout
        keys = read_json(vendor("keys", "list", "--account", "ada", "--json"))
        assert all(key["revoked_at"] for key in keys)
        for words in (
            ("credit", "ada", "5", "--ref", "late"),
            ("accounts", "unfreeze", "ada", "--reason", "x"),
            ("accounts", "space", "ada", "--on"),
            ("accounts", "limit", "ada", "5"),
            ("keys", "create", "--account", "ada"),
        ):
            assert "closed for ever" in vendor(*words, code=1).output
        vendor("ledger", "verify")
        actions = read_json(vendor("audit-log", "--json"))
        assert [each["action"] for each in actions].count("account.close") == 1

    def test_a_reason_is_needed(self, vendor):
        assert "say why" in vendor("accounts", "close", "ada", "--reason", " ", code=2).output


class TestExport:
    def test_the_file_is_whole_and_counted(self, vendor, tmp_path):
        out = tmp_path / "ada.zip"
        told = read_json(vendor("accounts", "export", "ada", "--out", out, "--json"))
        assert told["file"] == str(out)
        with zipfile.ZipFile(out) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        assert {name: told[name] for name in manifest} == manifest
        assert (
            "1 keys.ndjson" in vendor("accounts", "export", "ada", "--out", tmp_path / "b").stdout
        )

    def test_no_half_file_and_no_overwriting(self, vendor, tmp_path):
        out = tmp_path / "ada.zip"
        vendor("accounts", "export", "eve", "--out", out, code=1)
        assert list(tmp_path.iterdir()) == []
        out.write_bytes(b"mine")
        refused = vendor("accounts", "export", "ada", "--out", out, code=1)
        assert "exists already: name a new file" in refused.output
        assert out.read_bytes() == b"mine"


class TestRetention:
    def test_what_is_kept_is_stated_with_this_vendors_days(self, vendor, monkeypatch):
        monkeypatch.setenv("VENDOR_ERASE_DAYS", "7")
        assert "7 days after the account is closed" in vendor("retention", "show").stdout
        told = read_json(vendor("retention", "show", "--json"))
        assert (told["erase_days"], told["due"]) == (7, [])

    def test_erasing_waits_for_its_day_and_can_be_tried(self, vendor, monkeypatch, sqlite_url):
        vendor("accounts", "close", "ada", "--reason", "bye")
        assert "nothing to erase" in vendor("retention", "erase").output
        monkeypatch.setenv("VENDOR_ERASE_DAYS", "0")
        tried = vendor("retention", "erase", "--dry-run")
        assert "1 accounts would be erased" in tried.output
        (gone,) = read_json(vendor("retention", "erase", "--json"))
        assert (gone["purchases"], gone["keys"]) == (0, 1)
        database = open_database(sqlite_url)
        with database.read() as connection:
            found = find_account(connection, gone["account_id"])
        assert found.name == f"closed {gone['account_id']}"
        assert audit(database).ok
        database.close()
        vendor("accounts", "create", "ada")  # the name is free again
