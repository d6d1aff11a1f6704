"""`vl2v-vendor` as an operator types it."""

import json
import sqlite3

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from typer.testing import CliRunner

from vendor_api.cli import app


@pytest.fixture
def vendor(tmp_path, monkeypatch):
    """Runs the command on a database of this test's own."""
    monkeypatch.setenv("VENDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'vendor.db'}")
    monkeypatch.setenv("VENDOR_BUSY_TIMEOUT_S", "0.05")

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def shop(vendor):
    vendor("migrate")
    vendor("accounts", "create", "ada")
    return vendor


def read_json(result):
    return json.loads(result.stdout)


def one_sentence(result):
    """What stderr says, on one line; nothing may be on stdout."""
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


class TestTheWholeSetUp:
    def test_an_operator_opens_shop(self, vendor):
        assert "now up to date" in vendor("migrate").stdout
        assert "already up to date" in vendor("migrate").stdout
        account = vendor("accounts", "create", "ada").stdout.strip()
        assert account.startswith("acct_")
        assert "$5.00 available" in vendor("credit", "ada", "5.00", "--ref", "r1").stdout
        prices = vendor("prices", "set", "icon-clip", "--image", "0.0001", "--text", "0.00001")
        assert "0.000100000" in prices.stdout
        key = vendor("keys", "create", "--account", "ada").stdout.strip()
        assert key.startswith("vl2v_live_")
        listed = vendor("keys", "list").stdout
        assert key[:22].replace("vl2v_live_", "key_") in listed
        assert key[23:] not in listed
        assert vendor("ledger", "verify").stdout.startswith("ledger ok")

    def test_also_on_postgresql(self, vendor, empty_postgres_url, tmp_path, monkeypatch):
        monkeypatch.setenv("VENDOR_DATABASE_URL", "sqlite:///unused.db")
        monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(tmp_path / "pepper"))
        there = ("--database-url", empty_postgres_url)
        vendor(*there, "migrate")
        vendor(*there, "accounts", "create", "ada")
        vendor(*there, "credit", "ada", "1", "--ref", "r")
        vendor(*there, "keys", "create", "--account", "ada")
        assert read_json(vendor(*there, "--json", "ledger", "verify"))["ok"] is True

    def test_the_version_is_printed(self, vendor):
        assert vendor("--version").stdout.startswith("vl2v-vendor ")


class TestJson:
    def test_before_or_behind_the_command(self, shop):
        assert read_json(shop("--json", "accounts", "list")) == read_json(
            shop("accounts", "list", "--json")
        )

    def test_money_is_a_string_with_nine_places(self, shop):
        shop("credit", "ada", "2.5", "--ref", "r")
        shown = read_json(shop("accounts", "show", "ada", "--json"))
        assert (shown["credited_usd"], shown["available_usd"]) == ("2.500000000", "2.500000000")

    def test_a_new_key_is_in_it_once(self, shop):
        created = read_json(shop("keys", "create", "--account", "ada", "--name", "pc", "--json"))
        assert created["name"] == "pc"
        (listed,) = read_json(shop("keys", "list", "--account", "ada", "--json"))
        assert listed["id"] == created["id"]
        assert "api_key" not in listed

    def test_an_empty_list_is_a_list(self, shop):
        assert read_json(shop("keys", "list", "--json")) == []
        assert "no keys yet" in shop("keys", "list").stderr


class TestCredit:
    def test_the_same_reference_is_credited_once(self, shop):
        first = read_json(shop("credit", "ada", "5", "--ref", "r", "--json"))
        second = read_json(shop("credit", "ada", "5.00", "--ref", "r", "--json"))
        assert (first["credited"], second["credited"]) == (True, False)
        assert second["available_usd"] == "5.000000000"

    def test_reused_ref(self, shop):
        shop("credit", "ada", "5", "--ref", "r")
        refused = shop("credit", "ada", "6", "--ref", "r", code=1)
        assert "own --ref" in one_sentence(refused)
        assert "$5.00" in shop("credit", "ada", "5", "--ref", "r").stdout

    @pytest.mark.parametrize(
        "amount", ["5,00", "five", "1e3", "0", "٥", "0.0000000001", "9999999999"]
    )
    def test_wrong_amount(self, shop, amount):
        refused = shop("credit", "ada", amount, "--ref", "r", code=2)
        assert "Invalid value" in one_sentence(refused)

    def test_unknown_account(self, shop):
        refused = shop("credit", "bob", "5", "--ref", "r", code=1)
        assert "no account bob: see `vl2v-vendor accounts list`" in one_sentence(refused)

    def test_missing_or_empty_ref(self, shop):
        shop("credit", "ada", "5", code=2)
        shop("credit", "ada", "5", "--ref", " ", code=2)


class TestAccounts:
    def test_a_name_is_given_once(self, shop):
        refused = shop("accounts", "create", "ada", code=1)
        assert "already" in one_sentence(refused)

    def test_a_credit_limit_can_be_spent(self, shop):
        shop("accounts", "create", "bob", "--credit-limit", "3")
        assert (
            read_json(shop("accounts", "show", "bob", "--json"))["available_usd"] == "3.000000000"
        )

    def test_a_bad_name_or_limit_is_a_usage_error(self, shop):
        shop("accounts", "create", " ", code=2)
        shop("accounts", "create", "bob", "--credit-limit", "-3", code=2)

    def test_unknown_account(self, shop):
        assert "accounts list" in one_sentence(shop("accounts", "show", "bob", code=1))


class TestPrices:
    def test_one_modality_alone_is_not_for_sale_in_full(self, shop):
        result = shop("prices", "set", "icon-clip", "--image", "0.0001")
        assert "not for sale yet: texts of icon-clip" in result.stderr

    def test_a_new_price_replaces_the_old_one(self, shop):
        shop("prices", "set", "icon-clip", "--image", "0.0001", "--text", "0.00001")
        shop("prices", "set", "icon-clip", "--image", "0.0002")
        listed = read_json(shop("prices", "list", "--json"))
        assert {row["modality"]: row["price_usd"] for row in listed} == {
            "image": "0.000200000",
            "text": "0.000010000",
        }

    @pytest.mark.parametrize("price", ["free", "1e-4", "-1", "9999999999"])
    def test_wrong_amount(self, shop, price):
        shop("prices", "set", "icon-clip", "--image", price, code=2)

    def test_no_price_at_all_is_a_usage_error(self, shop):
        shop("prices", "set", "icon-clip", code=2)


class TestKeys:
    def test_a_key_is_revoked_by_id_or_by_itself(self, shop):
        for given in ("id", "api_key"):
            key = read_json(shop("keys", "create", "--account", "ada", "--json"))
            assert key["id"] in shop("keys", "revoke", key[given]).stdout
        assert all(row["revoked_at"] for row in read_json(shop("keys", "list", "--json")))

    def test_an_unknown_or_revoked_key_is_named_but_no_secret(self, shop):
        assert "keys list" in one_sentence(shop("keys", "revoke", "key_none", code=1))

    def test_unknown_account(self, shop):
        shop("keys", "create", "--account", "bob", code=1)
        shop("keys", "list", "--account", "bob", code=1)

    def test_a_lost_pepper_is_not_replaced(self, shop, tmp_path):
        shop("keys", "create", "--account", "ada")
        (tmp_path / "vendor.db.pepper").unlink()
        refused = shop("keys", "create", "--account", "ada", code=1)
        assert "restore it from your backup" in one_sentence(refused)


class TestLedger:
    def test_broken_books_exit_1_and_say_where(self, shop, tmp_path):
        shop("credit", "ada", "5", "--ref", "r")
        engine = create_engine(f"sqlite:///{tmp_path / 'vendor.db'}", poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE account_balance SET credited_nanousd = 1")
        result = shop("ledger", "verify", code=1)
        assert "2 rules broken" in result.stdout
        assert "credited: acct_" in result.stderr
        assert read_json(shop("ledger", "verify", "--json", code=1))["ok"] is False


class TestTheDatabase:
    @pytest.mark.parametrize(
        "command",
        [
            ("accounts", "list"),
            ("credit", "ada", "5", "--ref", "r"),
            ("prices", "list"),
            ("keys", "create", "--account", "ada"),
            ("ledger", "verify"),
        ],
    )
    def test_pending_migration(self, vendor, command, tmp_path):
        refused = vendor(*command, code=1)
        assert "run `vl2v-vendor migrate` first" in one_sentence(refused)
        assert list(tmp_path.iterdir()) == []

    def test_locked_database(self, shop, tmp_path):
        other = sqlite3.connect(tmp_path / "vendor.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = shop("credit", "ada", "5", "--ref", "r", code=1)
        assert "locked by another process" in one_sentence(refused)
        other.execute("ROLLBACK")
        other.close()
        assert "$5.00" in shop("credit", "ada", "5", "--ref", "r").stdout

    def test_database_of_a_newer_version(self, shop, tmp_path):
        connection = sqlite3.connect(tmp_path / "vendor.db")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
        assert "newer version" in one_sentence(shop("migrate", code=1))

    def test_wrong_address(self, vendor):
        refused = vendor("--database-url", "mysql://x/y", "migrate", code=1)
        assert "not supported" in one_sentence(refused)

    def test_file_that_is_no_database(self, vendor, tmp_path):
        (tmp_path / "vendor.db").write_bytes(b"not a database at all" * 100)
        assert "not a database" in one_sentence(vendor("accounts", "list", code=1))

    def test_wrong_setting(self, vendor, monkeypatch):
        monkeypatch.setenv("VENDOR_PORT", "eighty")
        assert "VENDOR_PORT" in one_sentence(vendor("accounts", "list", code=1))
