"""Case 21 of the worst: one customer asks for another's rows; secrets are looked for everywhere."""

import base64
import logging
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from sqlalchemy import inspect, text

from tests.ledger.office import buy, open_office
from vendor_api.auth.operators import issue_operator
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock
from vendor_api.logs import configure_logs


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def two(shop: Any, pepper: bytes, vendor_database_url: str, api_key: Any) -> Any:
    """`ada` who bought something, `eve` who wants it, an operator, nobody; and every key's text."""
    eve = shop.open_account("eve", "1.00")
    with shop.database.write() as connection:
        now = read_clock(connection)
        keys = {
            "ada": api_key.text,
            "eve": issue_key(connection, now, pepper, eve.id, name="eve").text,
            "admin": issue_operator(connection, now, pepper, name="o", role="admin").text,
        }
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(open_office(vendor_database_url, pepper))
        people = {name: await office.connect(key) for name, key in keys.items()}
        people["nobody"] = await office.connect()
        yield people, keys


PLACES = ("/v1/balance", "/v1/admin/accounts", "/v1/nowhere", "/dashboard", "/metrics")


def secrets_of(keys: dict[str, str]) -> list[str]:
    return [key.split("_")[3][:30] for key in keys.values()]


async def test_case_21_no_id_of_another_account_opens_anything(two: Any, shop: Any) -> None:
    people, keys = two
    bought = await buy(people["ada"], "a", key="adas-key")
    charge = bought.json()["charge_id"]
    request = bought.headers["x-request-id"]
    key_id = f"key_{keys['ada'][10:22]}"
    ids = [charge, request, key_id, "adas-key", shop.account.id]
    reads = ["/v1/balance", "/v1/usage", "/v1/charges", "/v1/charges?idempotency_key=adas-key"]
    # Behind a charge of ada's, eve's own list goes on; it never shows ada's.
    reads += [f"/v1/charges?after={each}" for each in ("0", charge)]
    reads += [f"/v1/usage?account={shop.account.id}", f"/v1/charges?account={shop.account.id}"]
    for path in reads:
        answer = await people["eve"].get(path)
        assert answer.status_code == 200, path
        assert not [each for each in ids if each in answer.text], path
    for path in (f"/v1/charges/{charge}", f"/v1/keys/{key_id}", f"/v1/accounts/{shop.account.id}"):
        assert (await people["eve"].get(path)).status_code == 404, path


async def test_case_21_an_idempotency_key_of_another_account_replays_nothing(two: Any) -> None:
    people, _ = two
    first = await buy(people["ada"], "a", key="shared")
    second = await buy(people["eve"], "a", key="shared")
    assert second.headers.get("idempotency-replayed") != "true"
    assert second.json()["charge_id"] != first.json()["charge_id"]
    assert second.json()["cost_usd"] == first.json()["cost_usd"] == "0.000010000"


async def test_case_21_operators_routes_are_closed_to_customers(two: Any, shop: Any) -> None:
    people, _ = two
    charge = (await buy(people["ada"], "a")).json()["charge_id"]
    paths = [
        ("GET", "accounts"),
        ("GET", f"accounts/{shop.account.id}"),
        ("GET", f"charges/{charge}"),
        ("GET", "journal"),
        ("GET", "exports/journal.csv"),
        ("POST", f"accounts/{shop.account.id}/credits"),
        ("POST", f"charges/{charge}/refunds"),
        ("PATCH", f"accounts/{shop.account.id}"),
    ]
    before = _dump(shop)
    body = {"amount_usd": "1", "external_ref": "r", "reason": "r"}
    for method, path in paths:
        for name, status in (("ada", 403), ("eve", 403), ("nobody", 401)):
            answer = await people[name].request(method, f"/v1/admin/{path}", json=body)
            assert answer.status_code == status, path
            assert charge not in answer.text
    assert _dump(shop) == before


@pytest.mark.parametrize(
    "member", ["cost_usd", "price", "balance", "account_id", "role", "free", "charge_id", "state"]
)
async def test_case_21_a_customer_sets_no_price_balance_or_role(two: Any, member: str) -> None:
    people, _ = two
    body = {"model": "icon-clip", "input": ["a"], member: "0"}
    answer = await people["ada"].post("/v1/embeddings", json=body)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:  # unknown members are OpenAI's custom, and ignored
        assert answer.json()["cost_usd"] == "0.000010000"


async def test_case_21_secrets_are_in_no_answer_log_metric_or_row(
    two: Any, shop: Any, caplog: Any, capfd: Any, request: Any
) -> None:
    people, keys = two
    caplog.set_level(logging.DEBUG)
    configure_logs(json=True, level="debug")
    request.addfinalizer(structlog.reset_defaults)
    said = []
    login = base64.b64encode(f"x:{keys['admin']}".encode()).decode()
    for name, person in people.items():
        said += [await person.get(path) for path in PLACES]
        # A key where it does not belong must not come back either.
        key = keys.get(name, keys["ada"])
        said.append(await person.get("/v1/charges", params={"after": key}))
        said.append(await person.get(f"/v1/admin/accounts/{key}"))
        said.append(await person.get(f"/v1/nowhere/{key}"))
        said.append(await person.post("/v1/embeddings", json={"model": key, "input": 5}))
        said.append(await person.post("/v1/admin/accounts", json={"name": "n", key: key}))
        said.append(await person.get("/v1/balance", headers={"authorization": f"Bearer {key}0"}))
    said.append(
        await people["nobody"].get("/dashboard", headers={"authorization": f"Basic {login}"})
    )
    made = f"/v1/admin/accounts/{shop.account.id}/keys"
    issued = (await people["admin"].post(made, json={})).json()["api_key"]
    books = [made, "/v1/admin/audit-log", "/v1/admin/exports/journal.ndjson"]
    said += [await people["admin"].get(path) for path in books]
    captured = capfd.readouterr()
    assert "/v1/admin/audit-log" in captured.err
    texts = [f"{answer.headers} {answer.text}" for answer in said]
    # The test's own HTTP client logs the addresses that it asks for.
    logged = [each.getMessage() for each in caplog.records if each.name != "httpx"]
    texts += [*logged, captured.out, captured.err, repr(_dump(shop))]
    for secret in secrets_of({**keys, "issued": issued}):
        assert not [heard for heard in texts if secret in heard]
    assert login not in " ".join(texts)


def _dump(shop: Any) -> dict[str, list[Any]]:
    """Every row of every table."""
    with shop.database.read() as connection:
        names = inspect(connection).get_table_names()
        assert all(re.fullmatch(r"\w+", name) for name in names)
        return {
            name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))]
            for name in names
            if name != "operator_key"  # its last use is written when it is used
        }
