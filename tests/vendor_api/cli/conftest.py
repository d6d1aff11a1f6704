"""The command line on a database with somebody in it."""

import pytest
from typer.testing import CliRunner

from vendor_api.cli import app


@pytest.fixture
def vendor_of_ada(sqlite_url, monkeypatch):
    """Runs the command on a database with an account `ada` that has $5."""
    monkeypatch.setenv("VENDOR_DATABASE_URL", sqlite_url)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result

    run("accounts", "create", "ada")
    run("credit", "ada", "5", "--ref", "opening")
    return run
