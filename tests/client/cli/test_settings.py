"""`vl2v login`, `config`, `doctor` and the lists of the account."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.cli import app
from client.errors import UsageError
from client.settings import ClientSettings, store_settings
from tests.client.conftest import Command
from tests.client.standin import KEY

NO_KEY = {"VL2V_API_KEY": ""}


class TestLogin:
    def test_a_good_key_is_stored_for_its_owner_alone(self, command: Command, home: Path) -> None:
        done = command.run("login", "--key", KEY, VL2V_API_KEY="")
        assert done.returncode == 0, done.stderr
        assert "$5.00 available" in done.stdout
        file = home / "config.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert json.loads(file.read_text())["api_key"] == KEY
        assert KEY not in done.stdout + done.stderr

    def test_allowing_plain_http_is_remembered(self, command: Command, home: Path) -> None:
        assert command.run("login", "--key", KEY, "--insecure").returncode == 0
        assert json.loads((home / "config.json").read_text())["insecure"] is True
        rows = json.loads(command.run("config", "--json").stdout)["settings"]
        assert {"name": "insecure", "value": True, "source": "config file"} in rows

    def test_wrong_key_is_not_stored(self, command: Command, home: Path) -> None:
        done = command.run("login", "--key", "vl2v_live_wrong")
        assert done.returncode == 1
        assert "type `vl2v login`" in done.stderr
        assert not (home / "config.json").exists()

    def test_an_empty_key_is_refused(self, command: Command) -> None:
        done = command.run("login", "--key", "  ")
        assert done.returncode == 2
        assert "paste the whole key" in done.stderr

    def test_a_vendor_that_is_not_there_is_named(self, command: Command) -> None:
        done = command.run("login", "--key", KEY, "--url", "http://127.0.0.1:9")
        assert done.returncode == 1
        assert "cannot reach the vendor at http://127.0.0.1:9" in done.stderr


class TestConfig:
    def test_each_value_has_its_source_and_the_key_is_redacted(self, command: Command) -> None:
        command.run("login", "--key", KEY)
        rows = json.loads(command.run("config", "--json").stdout)["settings"]
        found = {row["name"]: (row["value"], row["source"]) for row in rows}
        assert found["api_key"] == ("vl2v_live_abcd…", "environment")
        assert found["cache_url"][1] == "default"
        assert found["insecure"] == (False, "default")
        text = command.run("config").stdout
        assert KEY not in text
        assert "vl2v_live_abcd…" in text

    def test_argument_beats_environment_beats_file_beats_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ClientSettings.load().base_url == "http://127.0.0.1:8000"
        store_settings(base_url="https://file.example", api_key="k")
        assert ClientSettings.load().base_url == "https://file.example"
        assert ClientSettings.load().source("base_url") == "config file"
        monkeypatch.setenv("VL2V_BASE_URL", "https://environment.example")
        assert ClientSettings.load().base_url == "https://environment.example"
        assert ClientSettings.load(base_url="https://a.example").base_url == "https://a.example"
        store_settings(base_url="https://new.example")
        key = ClientSettings.load().api_key
        assert key is not None
        assert key.get_secret_value() == "k"

    def test_how_pictures_are_sent_can_be_stored_and_overridden(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ClientSettings.load().upload == "original"
        assert command.run("config", "--upload", "pixels").returncode == 0
        assert ClientSettings.load().upload == "pixels"
        monkeypatch.setenv("VL2V_UPLOAD", "original")
        assert ClientSettings.load().upload == "original"
        monkeypatch.setenv("VL2V_UPLOAD", "jpeg")
        with pytest.raises(UsageError, match="VL2V_UPLOAD"):
            ClientSettings.load()

    @pytest.mark.parametrize("text", ["not json", "[]"])
    def test_a_broken_config_file_is_named(self, home: Path, text: str) -> None:
        home.mkdir()
        (home / "config.json").write_text(text)
        with pytest.raises(UsageError, match=r"config\.json"):
            ClientSettings.load()

    def test_a_bad_value_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VL2V_INSECURE", "perhaps")
        with pytest.raises(UsageError, match="VL2V_INSECURE"):
            ClientSettings.load()

    def test_the_key_does_not_show_in_the_settings(self) -> None:
        assert KEY not in repr(ClientSettings.load(api_key=KEY))


class TestDoctor:
    def test_a_healthy_machine_exits_0(self, command: Command) -> None:
        done = command.run("doctor", "--json")
        assert done.returncode == 0
        checks = {row["check"]: row["ok"] for row in json.loads(done.stdout)}
        assert checks.keys() == {"settings", "cache", "books", "vendor", "training"}
        assert all(checks.values())

    def test_corrupt_cache_fails_with_what_to_do(self, command: Command, home: Path) -> None:
        home.mkdir()
        (home / "client.db").write_bytes(b"x" * 5000)
        done = command.run("doctor")
        assert done.returncode == 1
        assert "is damaged" in done.stdout
        assert "client.db.damaged" in done.stdout.replace("\n", "")

    def test_a_missing_key_fails_and_the_rest_is_still_checked(self, command: Command) -> None:
        rows = json.loads(command.run("doctor", "--json", **NO_KEY).stdout)
        failed = [row["check"] for row in rows if not row["ok"]]
        assert failed == ["vendor"]


class TestAccount:
    def test_models_balance_and_usage_are_listed(self, command: Command) -> None:
        assert "$0.0001" in command.run("models").stdout
        assert "$5.00" in command.run("balance").stdout
        assert "total" in command.run("usage", "--since", "2026-11-01").stdout

    @pytest.mark.parametrize("name", ["models", "balance", "usage"])
    def test_each_has_json(self, command: Command, name: str) -> None:
        assert json.loads(command.run(name, "--json").stdout)

    def test_a_time_that_is_none_is_refused(self, command: Command) -> None:
        done = command.run("usage", "--since", "yesterday")
        assert done.returncode == 2
        assert "write it like" in done.stderr


class TestStart:
    def test_version(self, command: Command) -> None:
        done = command.run("--version")
        assert done.returncode == 0
        assert done.stdout.startswith("vl2v ")

    def test_every_command_explains_itself_with_an_example(self, command: Command) -> None:
        for name in ("fetch", "login", "config", "models", "balance", "usage", "doctor"):
            done = command.run(name, "--help")
            assert done.returncode == 0
            assert f"vl2v {name}" in done.stdout

    def test_nothing_of_torch_or_the_vendor_is_loaded_to_start(self) -> None:
        script = (
            "import sys; from client.cli import app; import client.cli.fetching; "
            "print([name for name in ('torch', 'timm', 'fastapi', 'vendor_api', 'alembic') "
            "if name in sys.modules])"
        )
        root = str(Path(__file__).parents[3])
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": root}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "[]", done.stderr


def test_the_program_is_called_vl2v() -> None:
    assert app.info.name == "vl2v"
