"""`vl2v-vendor` in daily use: corrections, keys, operators, exports; every change in the audit log."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from shared.money import parse_usd
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import Hold, Line, Reserve
from vendor_api.ledger.prices import current_prices
from vendor_api.ledger.reservation import reserve


@pytest.fixture
def url(sqlite_url):
    return sqlite_url


@pytest.fixture
def path(url):
    """The database's file."""
    return Path(str(make_url(url).database))


@pytest.fixture
def vendor(vendor_of_ada):
    """Runs the command on a database with an account `ada` that has $5 and can buy."""
    vendor_of_ada("prices", "set", "icon-clip", "--image", "0.5", "--text", "0.00001")
    return vendor_of_ada


@pytest.fixture
def buy(url):
    """Charges `ada` for so many images; returns the charge's id."""

    def charge(key, images=2):
        database = open_database(url)
        with database.write() as connection:
            now = read_clock(connection)
            ada = find_account(connection, "ada")
            price = current_prices(connection, now, "icon-clip")["image"]
            lines = tuple(Line("image", f"{key} {n}".encode(), price) for n in range(images))
            command = Reserve(
                ada.id, "key_test", key, b"f", f"req_{key}", "icon-clip", "0" * 16, lines
            )
            hold = reserve(connection, now, command)
            assert isinstance(hold, Hold)
            capture(connection, now, hold, (True,) * images)
        database.close()
        return hold.charge_id

    return charge


def read_json(result):
    return json.loads(result.stdout)


def available(vendor):
    return read_json(vendor("accounts", "show", "ada", "--json"))["available_usd"]


def actions(vendor):
    return [row["action"] for row in read_json(vendor("audit-log", "--json"))]


class TestCredit:
    def test_a_promotion_expires(self, vendor):
        vendor(
            "credit", "ada", "1", "--ref", "hi", "--kind", "promo", "--expires", "90d",
            "--reason", "welcome",
        )  # fmt: skip
        grants = read_json(vendor("accounts", "show", "ada", "--json"))["grants"]
        assert [grant["kind"] for grant in grants] == ["credit", "promo"]
        assert grants[1]["expires_at"] is not None
        assert "promo" in vendor("accounts", "show", "ada").stdout

    def test_a_wrong_kind_or_date_is_a_usage_error(self, vendor):
        for option in (("--kind", "gift"), ("--expires", "soon"), ("--expires", "2001-01-01")):
            vendor("credit", "ada", "1", "--ref", "r", *option, code=2)
        assert available(vendor) == "5.000000000"

    def test_a_dry_run_says_what_would_be_and_changes_nothing(self, vendor):
        said = vendor("credit", "ada", "1", "--ref", "r", "--dry-run")
        assert said.stdout == "would credit $1.00 to ada: $6.00 available\n"
        assert available(vendor) == "5.000000000"
        assert actions(vendor).count("credit") == 1
        assert (
            "was credited before"
            in vendor("credit", "ada", "5", "--ref", "opening", "--dry-run").stdout
        )


class TestCorrections:
    def test_a_refund_in_parts_and_never_more(self, vendor, buy):
        charge = buy("one")
        why = ("--reason", "blurred")
        part = read_json(vendor("refund", charge, "--amount", "0.25", "--ref", "a", *why, "--json"))
        assert (part["amount_usd"], part["new"]) == ("0.250000000", True)
        assert (
            "was booked before"
            in vendor("refund", charge, "--amount", "0.25", "--ref", "a", *why).stdout
        )
        over = vendor("refund", charge, "--amount", "0.76", "--ref", "b", *why, code=1)
        assert "$0.75 left" in over.stderr
        assert (
            "would refund $0.75" in vendor("refund", charge, "--ref", "c", *why, "--dry-run").stdout
        )
        assert (
            "refunded $0.75: $5.00 available" in vendor("refund", charge, "--ref", "c", *why).stdout
        )
        shown = read_json(vendor("charges", "show", charge, "--json"))
        assert shown["refunded_usd"] == shown["cost_usd"] == "1.000000000"
        assert actions(vendor).count("refund") == 2

    def test_an_adjustment_goes_both_ways(self, vendor):
        why = ("--reason", "by hand")
        assert (
            "adjusted by -$0.50: $4.50"
            in vendor("adjust", "ada", "-0.50", "--ref", "a", *why).stdout
        )
        assert "$5.00" in vendor("adjust", "ada", "+0.5", "--ref", "b", *why).stdout
        assert (
            "would adjust by -$5.00: $0.00"
            in vendor("adjust", "ada", "-5", "--ref", "c", *why, "--dry-run").stdout
        )
        refused = vendor("adjust", "ada", "-5.01", "--ref", "c", *why, code=1)
        assert "only $5.00 available" in refused.stderr
        reused = vendor("adjust", "ada", "-1", "--ref", "a", *why, code=1)
        assert "own --ref" in " ".join(reused.stderr.split())
        assert available(vendor) == "5.000000000"

    def test_reference_and_reason_are_needed(self, vendor, buy):
        vendor("adjust", "ada", "1", "--ref", "r", code=2)
        vendor("adjust", "ada", "1", "--ref", " ", "--reason", "x", code=2)
        vendor("refund", buy("one"), "--ref", "r", "--reason", " ", code=2)
        unknown = vendor("refund", "chg_none", "--ref", "r", "--reason", "x", code=1)
        assert "charges list" in " ".join(unknown.stderr.split())


class TestAccounts:
    def test_freezing_and_limits(self, vendor):
        assert "ada is frozen" in vendor("accounts", "freeze", "ada", "--reason", "unpaid").stdout
        assert "ada is active" in vendor("accounts", "unfreeze", "ada", "--reason", "paid").stdout
        assert "15.000000000 available" in vendor("accounts", "limit", "ada", "10").stdout
        vendor("accounts", "limit", "ada", "-1", code=2)
        assert actions(vendor)[:3] == ["account.limit", "account.unfreeze", "account.freeze"]


class TestCharges:
    def test_the_newest_come_first_and_filters_apply(self, vendor, buy):
        first, second = buy("one"), buy("two")
        assert [row["id"] for row in read_json(vendor("charges", "list", "--json"))] == [
            second,
            first,
        ]
        (found,) = read_json(vendor("charges", "list", "--idempotency-key", "one", "--json"))
        assert (found["id"], found["cost_usd"]) == (first, "1.000000000")
        assert (
            first in vendor("charges", "list", "--account", "ada", "--since", "2001-01-01").stdout
        )
        assert "no such charges" in vendor("charges", "list", "--state", "held").stderr
        vendor("charges", "list", "--state", "lost", code=2)
        vendor("charges", "list", "--since", "yesterday", code=2)


class TestPrices:
    def test_a_price_for_later_is_upcoming(self, vendor):
        vendor("prices", "set", "icon-clip", "--image", "0.7", "--from", "7d")
        assert "0.700000000" not in vendor("prices", "list").stdout
        (row,) = read_json(vendor("prices", "list", "--upcoming", "--json"))
        assert (row["modality"], row["price_usd"]) == ("image", "0.700000000")
        vendor("prices", "set", "icon-clip", "--image", "1", "--from", "2001-01-01", code=2)


class TestKeys:
    def test_a_key_is_made_with_what_it_may_do(self, vendor):
        key = read_json(
            vendor(
                "keys", "create", "--account", "ada", "--scopes", "embed", "--expires", "90d",
                "--models", "icon-clip,other", "--requests-per-minute", 60, "--concurrency", 2,
                "--json",
            )
        )  # fmt: skip
        shown = read_json(vendor("keys", "show", key["id"], "--json"))
        assert (shown["scopes"], shown["models"]) == (["embed"], ["icon-clip", "other"])
        assert (shown["requests_per_minute"], shown["concurrency"]) == (60, 2)
        assert shown["expires_at"] is not None
        assert "last_used_at: None" in vendor("keys", "show", key["api_key"]).stdout
        vendor("keys", "limits", key["id"], "--items-per-minute", 5)
        limited = read_json(vendor("keys", "show", key["id"], "--json"))
        assert (limited["items_per_minute"], limited["concurrency"]) == (5, None)

    @pytest.mark.parametrize(
        "option",
        [("--scopes", "admin"), ("--expires", "never"), ("--models", ","), ("--concurrency", "0")],
    )
    def test_wrong_settings_are_usage_errors(self, vendor, option):
        vendor("keys", "create", "--account", "ada", *option, code=2)

    def test_the_default_may_embed_and_read(self, vendor):
        key = read_json(vendor("keys", "create", "--account", "ada", "--json"))
        assert key["scopes"] == ["embed", "read"]
        old_word = vendor(
            "keys", "create", "--account", "ada", "--scopes", "embed account", "--json"
        )
        assert read_json(old_word)["scopes"] == ["embed", "read"]

    def test_rotation_keeps_settings_and_ends_the_old_key(self, vendor):
        old = read_json(
            vendor(
                "keys", "create", "--account", "ada", "--name", "pc", "--concurrency", 2, "--json"
            )
        )
        new = read_json(vendor("keys", "rotate", old["id"], "--overlap", "24h", "--json"))
        assert (new["name"], new["concurrency"], new["rotated_from"]) == ("pc", 2, old["id"])
        assert new["api_key"] != old["api_key"]
        ended = read_json(vendor("keys", "show", old["id"], "--json"))
        assert ended["expires_at"] == new["old_expires_at"] is not None
        vendor("keys", "rotate", old["id"], "--overlap", "a day", code=2)
        assert "keys list" in vendor("keys", "rotate", "key_none", code=1).stderr

    def test_caps_are_set_one_by_one_shown_and_taken_away(self, vendor):
        key = read_json(vendor("keys", "create", "--account", "ada", "--json"))["id"]
        assert "has no caps" in vendor("keys", "caps", key).stderr
        vendor("keys", "caps", key, "--spend-per-day", "2.50")
        caps = read_json(vendor("keys", "caps", key, "--items-per-month", 10_000, "--json"))
        assert [(cap["kind"], cap["window"], cap["cap"], cap["held"]) for cap in caps] == [
            ("items", "month", 10_000, 0),
            ("spend", "day", "2.500000000", "0.000000000"),
        ]
        assert "spend per day: 0.000000000 used" in vendor("keys", "show", key).stdout
        left = read_json(vendor("keys", "caps", key, "--items-per-month", "none", "--json"))
        assert [cap["kind"] for cap in left] == ["spend"]
        for wrong in ("-1", "1e9", "ten", "٥", "1" * 30):
            vendor("keys", "caps", key, "--items-per-day", wrong, code=2)
            vendor("keys", "caps", key, "--spend-per-day", wrong, code=2)
        assert "keys list" in vendor("keys", "caps", "key_none", code=1).stderr


class TestOperators:
    def test_made_listed_revoked(self, vendor):
        key = read_json(vendor("operators", "create", "--name", "eva", "--role", "admin", "--json"))
        assert key["operator_key"].startswith("vl2v_admin_")
        (listed,) = read_json(vendor("operators", "list", "--json"))
        assert (listed["id"], listed["role"], listed["revoked_at"]) == (key["id"], "admin", None)
        assert key["operator_key"][24:] not in vendor("operators", "list").stdout
        vendor("operators", "revoke", key["operator_key"])
        assert "operators list" in " ".join(
            vendor("operators", "revoke", key["id"], code=1).stderr.split()
        )
        vendor("operators", "create", "--name", "eva", "--role", "root", code=2)
        vendor("operators", "create", "--name", " ", code=2)


class TestTheAuditLog:
    def test_every_change_names_who_made_it(self, vendor):
        key = read_json(vendor("keys", "create", "--account", "ada", "--json"))
        vendor("keys", "revoke", key["id"])
        log = read_json(vendor("audit-log", "--json"))
        assert {row["action"] for row in log} == {
            "account.create", "credit", "price", "key.create", "key.revoke",
        }  # fmt: skip
        assert all(row["actor"].startswith("cli:") for row in log)
        about = read_json(vendor("audit-log", "--subject", key["id"], "--json"))
        assert [row["action"] for row in about] == ["key.revoke", "key.create"]
        assert vendor("audit-log", "--limit", 1).stdout.count("\n") == 2

    def test_no_secret_is_in_it_or_in_the_database(self, vendor, path):
        customer = vendor("keys", "create", "--account", "ada").stdout.strip()
        operator = vendor("operators", "create", "--name", "eva").stdout.strip()
        vendor("keys", "revoke", customer)
        said = vendor("audit-log").stdout + vendor("keys", "list").stdout
        stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
        for key in (customer, operator):
            secret = key.split("_")[3]
            assert secret not in said
            assert secret[:20].encode() not in stored


class TestExport:
    def test_to_a_file_or_to_stdout(self, vendor, buy, tmp_path):
        charge = buy("=key")
        out = tmp_path / "charges.csv"
        assert "1 rows" in vendor("ledger", "export", "charges", "--out", out).stderr
        (row,) = csv.DictReader(io.StringIO(out.read_text(encoding="utf-8")))
        assert (row["id"], row["idempotency_key"]) == (charge, "'=key")
        assert not list(tmp_path.glob("*.partial"))
        lines = vendor("ledger", "export", "journal", "--format", "ndjson").stdout.splitlines()
        amounts = [json.loads(line)["amount_nanousd"] for line in lines]
        assert len(amounts) == 4
        assert sum(amounts) == 0
        assert parse_usd("5") in amounts

    def test_of_one_account_and_a_span(self, vendor, buy):
        buy("one")
        vendor("accounts", "create", "bob")
        assert "0 rows" in vendor("ledger", "export", "charges", "--account", "bob").stderr
        assert "0 rows" in vendor("ledger", "export", "usage", "--until", "2001-01-01").stderr
        assert "1 rows" in vendor("ledger", "export", "grants", "--since", "2001-01-01").stderr

    def test_other_names_are_usage_errors(self, vendor):
        vendor("ledger", "export", "keys", code=2)
        vendor("ledger", "export", "journal", "--format", "xlsx", code=2)


class TestRollups:
    def test_an_hour_edited_by_hand_is_found_and_set_right(self, vendor, buy, path):
        buy("one")
        assert read_json(vendor("ledger", "rebuild-rollups", "--json")) == []
        edit = sqlite3.connect(path)
        edit.execute("UPDATE usage_rollup SET items = 99, cost_nanousd = 5")
        edit.commit()
        edit.close()
        assert "roll-ups" in vendor("ledger", "verify", code=1).stderr
        (hour,) = read_json(vendor("ledger", "rebuild-rollups", "--dry-run", "--json"))
        assert (hour["was_items"], hour["becomes_items"]) == (99, 2)
        vendor("ledger", "verify", code=1)
        assert "1 hours were set right" in vendor("ledger", "rebuild-rollups").stderr
        vendor("ledger", "verify")
        assert actions(vendor)[0] == "rollups.rebuild"
