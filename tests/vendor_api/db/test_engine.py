"""Addresses, durability settings, retries and the lock of a single server."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from vendor_api.db import (
    DatabaseInUse,
    ServerLock,
    as_datetime,
    as_microseconds,
    format_instant,
    open_database,
    read_clock,
    sqlite_path,
)
from vendor_api.refusal import Refusal


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("vendor.db", "not a database address"),
            ("mysql://localhost/vendor", "mysql is not supported"),
            ("sqlite://", "needs a SQLite file"),
            ("sqlite:///:memory:", "needs a SQLite file"),
        ],
    )
    def test_that_cannot_be_used_are_refused(self, url, sentence):
        with pytest.raises(Refusal, match=sentence):
            open_database(url)

    def test_a_database_that_does_not_answer_is_named_without_its_password(self):
        with pytest.raises(Refusal, match="does not answer") as refused:
            open_database("postgresql://ada:secret@127.0.0.1:1/vendor")
        assert "secret" not in str(refused.value)

    def test_the_plain_postgresql_scheme_is_understood(self, postgres_url):
        database = open_database(postgres_url.replace("+psycopg", ""))
        assert database.url.drivername == "postgresql+psycopg"
        database.close()

    def test_only_sqlite_has_a_file(self):
        assert sqlite_path("sqlite:///./vendor.db") == Path("./vendor.db")
        assert sqlite_path("postgresql://localhost/vendor") is None


class TestConnections:
    def test_sqlite_flushes_every_commit_and_checks_references(self, make_shop, sqlite_url):
        with make_shop(sqlite_url).database.write() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    def test_postgresql_gives_up_on_what_takes_too_long(self, make_shop, postgres_url):
        with make_shop(postgres_url).database.write() as connection:
            names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            shown = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
        assert shown == ["5s", "2s", "5s"]

    def test_a_failed_change_is_rolled_back(self, database):
        def work(connection):
            connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            database.change(work)
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM meta").scalar_one() == 0

    def test_a_change_that_gave_way_is_tried_again(self, make_shop, postgres_url):
        attempts = []

        def work(connection):
            attempts.append(1)
            if len(attempts) < 3:
                connection.exec_driver_sql(
                    "DO $$BEGIN RAISE EXCEPTION USING ERRCODE='40P01'; END$$"
                )
            return "done"

        assert make_shop(postgres_url).database.change(work) == "done"
        assert len(attempts) == 3

    def test_but_not_for_ever(self, make_shop, postgres_url):
        def work(connection):
            connection.exec_driver_sql("DO $$BEGIN RAISE EXCEPTION USING ERRCODE='40001'; END$$")

        with pytest.raises(OperationalError):
            make_shop(postgres_url).database.change(work)

    def test_a_plain_mistake_is_not_tried_again(self, database):
        attempts = []

        def work(connection):
            attempts.append(1)
            connection.exec_driver_sql("SELECT nonsense")

        with pytest.raises(DBAPIError):
            database.change(work)
        assert len(attempts) == 1


class TestClock:
    def test_is_the_databases_present_in_utc(self, database):
        with database.read() as connection:
            now = read_clock(connection)
        assert abs(now / 1e6 - time.time()) < 60
        assert as_microseconds(as_datetime(now)) == now

    def test_instants_are_written_as_iso_8601(self):
        assert format_instant(1_500_000) == "1970-01-01T00:00:01.500000Z"


class TestServerLock:
    def test_a_second_server_is_refused_while_the_first_lives(self, sqlite_url):
        holder = (
            "import sys; from vendor_api.db import ServerLock; lock = ServerLock(sys.argv[1]); "
            "lock.acquire(); print('held', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", holder, sqlite_url]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "held\n"
            with pytest.raises(DatabaseInUse, match=f"pid {first.pid}"), ServerLock(sqlite_url):
                pass
            first.kill()
            first.wait()
        with ServerLock(sqlite_url) as lock:
            assert lock.exclusive
        assert not lock.exclusive

    def test_postgresql_takes_any_number_of_servers(self):
        url = "postgresql://localhost/vendor"
        with ServerLock(url) as first, ServerLock(url):
            assert not first.exclusive
