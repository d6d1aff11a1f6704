"""Every route of the OpenAPI document, asked what a machine makes up: no crash, no undocumented answer."""

import asyncio
import importlib
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import PEPPER, create_postgres, open_shop
from tests.ledger.tiny import INFO, TinyModel, TinyPreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.auth.repository import issue_key
from vendor_api.db import Database, open_database, read_clock
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.ledger import Ledger
from vendor_api.settings import VendorSettings

EXAMPLES = 15
"""For each route and each kind of data."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUTES = [
    (path, method, operation)
    for path, operations in create_app(VendorSettings(), engines={}).openapi()["paths"].items()
    for method, operation in operations.items()
]
CASES = [
    pytest.param(path, method, mode, id=f"{method} {path} {mode}")
    for path, method, operation in ROUTES
    for mode in ("positive", "negative")
    # What takes no input cannot be given a wrong one.
    if mode == "positive" or operation.keys() & {"parameters", "requestBody"}
]
BOUNDED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Published:
    """An app in an event loop of its own, its document, and keys that it accepts."""

    app: FastAPI
    runner: asyncio.Runner
    schema: Any
    key: str
    operator_key: str

    def send(self, case: Any) -> httpx.Response:
        """The answer to one generated request."""
        return self.runner.run(self._send(case))

    async def _send(self, case: Any) -> httpx.Response:
        asked = requests.Request(**_only_known(case.as_transport_kwargs(base_url="http://vendor")))
        key = self.operator_key if "/admin" in case.path else self.key
        asked.headers = {**asked.headers, "authorization": f"Bearer {key}"}
        prepared = asked.prepare()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as http:
            return await http.request(
                str(prepared.method),
                str(prepared.url),
                content=_as_bytes(prepared.body),
                headers={n.encode(): _as_bytes(v) for n, v in prepared.headers.items()},
            )


def _as_bytes(given: Any) -> bytes:
    return given.encode() if isinstance(given, str) else given or b""


def _only_known(values: dict[str, Any]) -> dict[str, Any]:
    names = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
    return {name: values[name] for name in names if values.get(name) is not None}


def issue_operator_key(database: Database) -> str:
    """A key for the operator's routes."""
    operators = importlib.import_module("vendor_api.auth.operators")
    with database.write() as connection:
        now = read_clock(connection)
        issued = operators.issue_operator(connection, now, PEPPER, name="fuzz", role="admin")
    return str(issued.text)


@contextmanager
def make_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """A migrated database for this file; setting one up for each route would take minutes."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        with create_postgres(server, request.getfixturevalue("postgres_template")) as url:
            yield url
    else:
        shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "vendor.db")
        yield f"sqlite:///{folder}/vendor.db"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    """A vendor with $1.00 of credit and a tiny model, on each engine in turn."""
    folder = tmp_path_factory.mktemp("published")
    with make_database(request, folder) as url, closing(open_database(url)) as database:
        shop = open_shop(database)
        with database.write() as connection:
            now = read_clock(connection)
            key = issue_key(connection, now, PEPPER, shop.account.id, name="fuzz").text
        operated = any("/admin" in path for path, _, _ in ROUTES)
        operator_key = issue_operator_key(database) if operated else ""
        with asyncio.Runner() as runner, closing(Batcher(TinyModel(folder))) as engine:
            app, stop = runner.run(start(url, engine))
            schema = schemathesis.openapi.from_dict(_without_patterns(app.openapi()))
            yield Published(app, runner, schema, key, operator_key)
            runner.run(stop.aclose())


async def start(url: str, engine: Batcher) -> tuple[FastAPI, AsyncExitStack]:
    """The app, running until the stack is closed."""
    served = {INFO.id: ServedModel(INFO, TinyPreparation(), engine)}
    ledger, authenticator = Ledger.open(url), Authenticator.open(url, PEPPER)
    stack = AsyncExitStack()
    stack.push_async_callback(ledger.close)
    stack.push_async_callback(authenticator.close)
    settings = VendorSettings(audit_seconds=0)
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    await stack.enter_async_context(app.router.lifespan_context(app))
    return app, stack


def _without_patterns(node: Any) -> Any:
    """To make up what breaks a pattern can take for ever; any text may break it by chance."""
    if isinstance(node, dict):
        kept = {k: _without_patterns(v) for k, v in node.items()}
        return {k: v for k, v in kept.items() if k != "pattern" or not isinstance(v, str)}
    return [_without_patterns(child) for child in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_no_route_crashes_or_answers_what_is_not_documented(
    published: Published, path: str, method: str, mode: str
) -> None:
    operation = published.schema[path][method.upper()]
    kind = schemathesis.GenerationMode(mode)

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=kind))
    def ask(case: Any) -> None:
        if mode == "positive" and isinstance(case.body, dict) and "input" in case.body:
            case.body["model"] = INFO.id  # or every request would end at an unknown model
        case.validate_response(published.send(case), checks=CHECKS)

    ask()


def test_every_reference_of_the_document_leads_somewhere(published: Published) -> None:
    document = published.app.openapi()
    names = document["components"]["schemas"]

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(target := node.get("$ref"), str):
                assert target.removeprefix("#/components/schemas/") in names
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
    assert "HTTPValidationError" not in names


def test_every_route_says_what_it_answers_without_a_key(published: Published) -> None:
    for path, _, operation in ROUTES:
        if operation.get("security"):
            assert {"400", "401", "403", "429", "503"} <= operation["responses"].keys(), path


NUL_CASES = [
    pytest.param(path, method, parameter, id=f"{method} {path} {parameter['name']}")
    for path, method, operation in ROUTES
    for parameter in operation.get("parameters", [])
    if parameter["in"] in ("query", "path") and "string" in str(parameter["schema"])
]


@pytest.mark.parametrize(("path", "method", "parameter"), NUL_CASES)
def test_a_nul_character_in_an_address_is_nobodys_crash(
    published: Published, path: str, method: str, parameter: Any
) -> None:
    values: dict[str, dict[str, str]] = {"path_parameters": {}, "query": {}}
    for other in published.app.openapi()["paths"][path][method].get("parameters", []):
        if other["in"] == "path":
            values["path_parameters"][other["name"]] = "x"
    place = "path_parameters" if parameter["in"] == "path" else "query"
    values[place][parameter["name"]] = "a\0b"
    case = published.schema[path][method.upper()].Case(**values)
    assert published.send(case).status_code < 500
