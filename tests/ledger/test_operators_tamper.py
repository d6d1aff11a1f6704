"""Case 20 of the worst, from the command line: an edited byte and an edited roll-up are found."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from vendor_api.cli import app


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def original(shop: Any, ledger: Any, vendor_database_url: str) -> Path:
    """A database with three captured charges."""
    for key in ("a", "b", "c"):
        hold = await ledger.reserve(shop.reserve(key, f"{key} 1", f"{key} 2"))
        await ledger.capture(hold, [True, True])
    with closing(sqlite3.connect(str(make_url(vendor_database_url).database))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(str(make_url(vendor_database_url).database))


@pytest.fixture
def copy(original: Path) -> Path:
    """A copy, as a thief or a broken disk would leave it."""
    target = original.with_name("copy.db")
    shutil.copyfile(original, target)
    return target


def run(path: Path, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["--database-url", f"sqlite:///{path}", *arguments])
    assert result.exit_code == code, result.output
    return result


def edit_byte(path: Path, table: str, value: int) -> None:
    """Change one byte of an integer where it lies in the file, behind the triggers' back."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    width = 3 if abs(value) < 2**23 else 4  # as short as SQLite writes it
    content = bytearray(path.read_bytes())
    start = (page - 1) * size
    found = content.rindex(value.to_bytes(width, "big", signed=True), start, start + size)
    content[found + width - 1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("ledger_entry", -200_000),
        ("ledger_entry", 1_000_000_000),
        ("account_balance", 600_000),
        ("charge", 200_000),
        ("usage_rollup", 600_000),
    ],
)
def test_case_20_one_edited_byte_of_a_copy_is_found(copy: Path, table: str, value: int) -> None:
    run(copy, "ledger", "verify")
    edit_byte(copy, table, value)
    found = json.loads(run(copy, "ledger", "verify", "--json", code=1).stdout)
    assert found["violations"]


def test_case_20_the_journal_cannot_be_rewritten_with_sql(original: Path) -> None:
    with closing(sqlite3.connect(original)) as connection:
        for statement in ("UPDATE ledger_entry SET amount_nanousd = 0", "DELETE FROM ledger_txn"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
    run(original, "ledger", "verify")


def test_case_20_a_roll_up_edited_by_hand_is_found_and_made_again(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        (rows,) = (connection.execute("SELECT * FROM usage_rollup").fetchall(),)
        connection.execute("UPDATE usage_rollup SET items = items + 1, cost_nanousd = 1")
        connection.commit()
    assert "roll-ups" in run(copy, "ledger", "verify", code=1).stderr
    seen = run(copy, "ledger", "rebuild-rollups", "--dry-run", "--json").stdout
    assert [hour["becomes_cost_usd"] for hour in json.loads(seen)] == ["0.000600000"]
    run(copy, "ledger", "verify", code=1)
    run(copy, "ledger", "rebuild-rollups")
    run(copy, "ledger", "verify")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT * FROM usage_rollup").fetchall() == rows
