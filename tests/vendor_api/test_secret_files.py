"""Settings that come in files: for what must not stand in an environment."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from vendor_api.cli import app
from vendor_api.refusal import Refusal
from vendor_api.secret_files import SUFFIX
from vendor_api.settings import VendorSettings


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a value into a file and name it in the environment."""

    def put(variable: str, text: str) -> Path:
        path = tmp_path / variable.lower()
        path.write_text(text, encoding="utf-8")
        monkeypatch.setenv(variable + SUFFIX, str(path))
        return path

    return put


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("database_url", "sqlite:///./other.db\n", "sqlite:///./other.db"),
        ("port", "8001\r\n", 8001),
        ("models", "a=b, c=d", ("a=b", "c=d")),
        ("log_level", "WARNING", "warning"),
    ],
)
def test_any_setting_may_come_in_a_file(give: Any, name: str, text: str, value: object) -> None:
    give(f"VENDOR_{name.upper()}", text)
    assert getattr(VendorSettings(), name) == value


def test_what_is_passed_wins(give: Any) -> None:
    give("VENDOR_PORT", "8001")
    assert VendorSettings(port=8002).port == 8002


def test_a_setting_that_is_a_file_itself_is_no_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENDOR_KEY_PEPPER_FILE", str(tmp_path / "not there yet"))
    assert VendorSettings().key_pepper_file == tmp_path / "not there yet"


def test_a_value_and_a_file_for_one_setting(give: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    give("VENDOR_METRICS_TOKEN", "one")
    monkeypatch.setenv("VENDOR_METRICS_TOKEN", "another")
    with pytest.raises(Refusal, match=r"both VENDOR_METRICS_TOKEN and VENDOR_METRICS_TOKEN_FILE"):
        VendorSettings()


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    env = {"VENDOR_METRICS_TOKEN_FILE": str(tmp_path / "none")}
    result = CliRunner().invoke(app, ["prices", "list"], env=env)
    assert result.exit_code == 1
    assert "VENDOR_METRICS_TOKEN_FILE names" in result.stderr
    assert "No such file" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_secret_is_not_shown_with_the_settings(give: Any) -> None:
    give("VENDOR_METRICS_TOKEN", "a token of metrics")
    settings = VendorSettings()
    assert "a token of metrics" not in repr(settings)
    assert settings.secrets() == ("a token of metrics",)


class TestPassword:
    """PostgreSQL's, beside an address without one."""

    @pytest.mark.parametrize("password", ["plain", "p@ss:w/rd %41?#&", "späßchen"])
    def test_it_goes_into_the_address(self, give: Any, password: str) -> None:
        give("VENDOR_DATABASE_PASSWORD", password)
        url = VendorSettings(database_url="postgresql+psycopg://me@host:5432/db").database_url
        assert make_url(url).password == password
        assert make_url(url).host == "host"
        again = VendorSettings(database_url=url)
        assert again.database_url == url

    def test_an_address_that_has_one_keeps_it(self, give: Any) -> None:
        give("VENDOR_DATABASE_PASSWORD", "other")
        url = "postgresql+psycopg://me:mine@host/db"
        assert VendorSettings(database_url=url).database_url == url

    def test_sqlite_needs_none(self, give: Any) -> None:
        give("VENDOR_DATABASE_PASSWORD", "other")
        assert VendorSettings().database_url == "sqlite:///./vendor.db"


@pytest.mark.parametrize("scheme", ["mysql://", "postgres//", "//", "postgresql://"])
def test_a_password_in_an_address_is_not_shown_when_it_is_refused(scheme: str) -> None:
    env = {"VENDOR_DATABASE_URL": f"{scheme}me:dont-show-me@127.0.0.1:1/db"}
    result = CliRunner().invoke(app, ["prices", "list"], env=env)
    assert result.exit_code == 1
    assert "dont-show-me" not in result.output
