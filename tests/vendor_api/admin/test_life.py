"""An account's end and its data over HTTP: for operators, and for the customer itself."""

import hashlib
import io
import json
import zipfile

import pytest
from sqlalchemy import text

from shared import headers
from shared.money import format_usd
from vendor_api.ledger.audit import audit
from vendor_api.ledger.lots import split

FILES = ["account", "keys", "grants", "charges", "journal", "usage", "purchases", "audit"]


def unpack(answer):
    """The manifest and each file's rows, checked against each other."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert "attachment" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        rows = {}
        for file in manifest["files"]:
            content = archive.read(file["name"])
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            lines = content.decode().splitlines()
            assert len(lines) == file["rows"]
            rows[file["name"].removesuffix(".ndjson")] = [json.loads(line) for line in lines]
        assert set(archive.namelist()) == {"manifest.json", *(f["name"] for f in manifest["files"])}
    return manifest, rows


@pytest.fixture
def sql(shop):
    """Plain SQL beside the vendor."""

    def query(statement, **values):
        with shop.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(text(statement), values)]

    return query


async def trade(office):
    """A few charges, a promotion, a refund, a revoked key; and another account that is not ada's."""
    account = f"/v1/admin/accounts/{office.account_id}"
    bob = (await office.admin.post("/v1/admin/accounts", json={"name": "bob"})).json()["id"]
    await office.admin.post(
        f"{account}/credits",
        json={"amount_usd": "0.5", "external_ref": "gift", "kind": "promo", "reason": "welcome"},
    )
    await office.admin.post(
        f"/v1/admin/accounts/{bob}/credits", json={"amount_usd": "7", "external_ref": "bob's"}
    )
    key = (await office.admin.post(f"{account}/keys", json={"name": "lab"})).json()
    await office.admin.post(f"/v1/admin/keys/{key['id']}/revoke")
    await office.admin.post(f"{account}/space", json={"space": "on"})
    bought = await office.vendor.embed("a cat", "a dog", headers={headers.IDEMPOTENCY_KEY: "k"})
    await office.vendor.embed("a cat", "a cow")
    await office.admin.post(
        f"/v1/admin/charges/{bought.json()['charge_id']}/refunds",
        json={"amount_usd": "0.00001", "external_ref": "r1", "reason": "was blurred"},
    )
    return key["id"]


def pick(rows, *names):
    """Of each row only these columns, digests in hexadecimal."""
    shown = []
    for row in rows:
        cells = {name: row[name] for name in names}
        shown.append({n: c.hex() if isinstance(c, bytes) else c for n, c in cells.items()})
    return shown


CHARGE = ("id", "key_id", "idempotency_key", "state", "texts", "texts_free", "cost_nanousd")
ENTRY = ("txn_id", "kind", "ref", "line", "book", "amount_nanousd")
USAGE = ("key_id", "modality", "items", "items_free", "items_failed", "cost_nanousd")
PURCHASE = ("revision", "modality", "digest", "charge_id")
GRANT = ("id", "txn_id", "amount_nanousd")
JOURNAL = """
SELECT t.*, t.id AS txn_id, e.* FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id
WHERE t.account_id = :ada ORDER BY t.created_at, t.id, e.line
"""
AUDIT = """
SELECT id, action FROM audit_log WHERE subject = :ada
OR subject IN (SELECT id FROM api_key WHERE account_id = :ada)
OR subject IN (SELECT id FROM charge WHERE account_id = :ada) ORDER BY id
"""


async def test_an_export_is_what_sql_says(office, sql):
    key_id = await trade(office)
    manifest, rows = unpack(
        await office.admin.get(f"/v1/admin/accounts/{office.account_id}/export")
    )
    assert manifest["account_id"] == office.account_id
    assert [file["name"].removesuffix(".ndjson") for file in manifest["files"]] == FILES

    def ask(statement, *names):
        return pick(sql(statement, ada=office.account_id), *names)

    def own(table, order):
        return f"SELECT * FROM {table} WHERE account_id = :ada ORDER BY {order}"

    assert pick(rows["keys"], "id", "name") == ask(own("api_key", "created_at, id"), "id", "name")
    assert key_id in {key["id"] for key in rows["keys"]}
    assert pick(rows["charges"], *CHARGE) == ask(own("charge", "created_at, id"), *CHARGE)
    assert pick(rows["journal"], *ENTRY) == ask(JOURNAL, *ENTRY)
    assert {row["kind"] for row in rows["journal"]} == {"credit", "promo", "capture", "refund"}
    lots = sql(own("purchase_lot", "revision, modality, number"), ada=office.account_id)
    assert pick(rows["purchases"], *PURCHASE) == [
        {**{name: lot[name] for name in PURCHASE if name != "digest"}, "digest": digest.hex()}
        for lot in lots
        for digest in split(bytes(lot["digests"]), lot["items"])
    ]
    assert len(rows["purchases"]) == 3
    assert pick(rows["usage"], *USAGE) == ask(own("usage_rollup", "hour"), *USAGE)
    assert pick(rows["grants"], *GRANT) == ask(own("credit_grant", "granted_at, id"), *GRANT)
    assert pick(rows["audit"], "id", "action") == ask(AUDIT, "id", "action")
    done = {line["action"] for line in rows["audit"]}
    assert done == {"credit", "refund", "key.create", "key.revoke", "account.space"}
    assert {line["actor"] for line in rows["audit"]} == {office.admin_key.key_id}


async def test_an_export_says_who_and_how_much(office, sql):
    await trade(office)
    _, rows = unpack(await office.admin.get(f"/v1/admin/accounts/{office.account_id}/export"))
    balance = "SELECT * FROM account_balance WHERE account_id = :ada"
    (stored,) = sql(balance, ada=office.account_id)
    (account,) = rows["account"]
    assert (account["name"], account["status"]) == ("ada", "active")
    for name in ("credited", "debited", "held", "credit_limit"):
        assert account[f"{name}_usd"] == format_usd(stored[f"{name}_nanousd"])
    assert account["private_space"]["status"] == "on"
    assert account["closure"] is None


async def test_a_customer_takes_its_own_data_and_learns_no_operator(office, vendor):
    await trade(office)
    answer = await office.customer.get("/v1/account/export")
    _, rows = unpack(answer)
    assert {line["actor"] for line in rows["audit"]} == {"operator"}
    assert office.admin_key.key_id.encode() not in answer.content
    whole = json.dumps(rows)
    assert "bob" not in whole
    assert vendor.key.split("_")[-1] not in whole  # the secret
    assert len(rows["charges"]) == 2


async def test_an_export_needs_the_scope_to_read(office, vendor, anonymous):
    account = f"/v1/admin/accounts/{office.account_id}"
    made = (await office.admin.post(f"{account}/keys", json={"scopes": ["embed"]})).json()
    async with anonymous() as http:
        http.headers["authorization"] = f"Bearer {made['api_key']}"
        assert (await http.get("/v1/account/export")).status_code == 403
    assert (await office.anonymous.get("/v1/account/export")).status_code == 401
    assert (await office.customer.get(f"{account}/export")).status_code == 403
    assert (await office.admin.get("/v1/admin/accounts/acct_none/export")).status_code == 404


async def test_closing_pays_back_ends_the_keys_and_is_for_ever(office, vendor, shop):
    await trade(office)
    account = f"/v1/admin/accounts/{office.account_id}"
    body = {"reason": "asked for it", "refund_external_ref": "wire 1"}
    closed = await office.admin.post(f"{account}/close", json=body)
    assert closed.status_code == 200, closed.text
    # $1.00 paid in, four texts bought for $0.00003 in all, one refunded; $0.50 was a gift.
    assert (closed.json()["refunded_usd"], closed.json()["forfeited_usd"]) == (
        "0.999980000",
        "0.500000000",
    )
    assert (await vendor.embed("a cat")).status_code == 401
    shown = await office.balance()
    assert (shown["status"], shown["available_usd"]) == ("closed", "0.000000000")
    again = await office.admin.post(f"{account}/close", json=body)
    assert (again.status_code, again.json()["new"]) == (200, False)
    other = await office.admin.post(f"{account}/close", json={**body, "refund_external_ref": "w2"})
    assert other.status_code == 409
    for path, order in (
        ("credits", {"amount_usd": "1", "external_ref": "late"}),
        ("adjustments", {"amount_usd": "1", "external_ref": "late", "reason": "x"}),
        ("keys", {"name": "late"}),
        ("space", {"space": "new"}),
        ("unfreeze", {"reason": "x"}),
    ):
        refused = await office.admin.post(f"{account}/{path}", json=order)
        assert refused.status_code == 409, path
        assert "closed for ever" in refused.json()["detail"]
    limit = await office.admin.patch(account, json={"credit_limit_usd": "1"})
    assert limit.status_code == 409
    log = (await office.admin.get("/v1/admin/audit-log?limit=1000")).json()["data"]
    assert [line["action"] for line in log].count("account.close") == 1
    _, rows = unpack(await office.admin.get(f"{account}/export"))
    assert rows["account"][0]["closure"]["refund_ref"] == "wire 1"
    found = audit(shop.database)
    assert found.ok, found.violations


async def test_a_viewer_closes_nothing(office):
    account = f"/v1/admin/accounts/{office.account_id}"
    refused = await office.viewer.post(f"{account}/close", json={"reason": "x"})
    assert refused.status_code == 403
    assert (await office.admin.post(f"{account}/close", json={})).status_code == 400
    assert (await office.balance())["status"] == "active"


async def test_what_is_kept_is_stated(office):
    stated = (await office.viewer.get("/v1/admin/retention")).json()
    assert (stated["erase_days"], stated["due"]) == (30, [])
    digests = next(each for each in stated["kept"] if each["tables"] == ["purchase_lot"])
    assert digests["until"] == "30 days after the account is closed"
