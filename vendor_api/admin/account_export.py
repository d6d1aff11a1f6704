"""Everything the vendor keeps about one account, as one ZIP file that says what is in it.

Each kind of row is a file of one JSON object a line, oldest first; `manifest.json` counts the rows
and has each file's SHA-256. No secret is in it: of a key only what its account may know.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

import orjson
from sqlalchemy import Connection, Row, or_, select

from shared.money import format_usd
from vendor_api.admin.books import read_account
from vendor_api.admin.holdings import describe_keys, show_instant
from vendor_api.auth.repository import list_keys
from vendor_api.db import format_instant, read_clock
from vendor_api.db.tables import api_key, audit_log, charge, purchase_lot
from vendor_api.ledger.closing import find_closure
from vendor_api.ledger.exports import PAGE, What, export_rows
from vendor_api.ledger.lots import split
from vendor_api.spaces.repository import read_space

FORMAT = "vl2v account export 1"
_BOOKS: tuple[What, ...] = ("grants", "charges", "journal", "usage")
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file in the ZIP: the same books give the same bytes but for the manifest's instant."""
_MACHINES = ("auditor", "retention")

__all__ = ["FORMAT", "write_account"]


def write_account(
    connection: Connection,
    account_id: str,
    file: IO[bytes],
    *,
    name_operators: bool = True,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Write the ZIP; returns its manifest. Best over a snapshot. Raises UnknownAccount.

    Without `name_operators` the audit log's entries say `operator` and not which one.
    """
    now = read_clock(connection)
    account = _describe(connection, account_id)
    keys = describe_keys(connection, now, list_keys(connection, account_id))
    rows: dict[str, Iterable[Mapping[str, Any]]] = {
        "account": [account],
        "keys": (key.model_dump() for key in keys),
        **{what: export_rows(connection, what, account_id=account_id) for what in _BOOKS},
        "purchases": _read_purchases(connection, account_id),
        "audit": _read_audit(connection, account_id, name_operators=name_operators),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        files = [_write_lines(archive, name, lines, progress) for name, lines in rows.items()]
        manifest = {
            "format": FORMAT,
            "account_id": account_id,
            "as_of": format_instant(now),
            "files": files,
        }
        archive.writestr(_entry("manifest.json"), json.dumps(manifest, indent=2) + "\n")
    return manifest


def _describe(connection: Connection, account_id: str) -> dict[str, Any]:
    space, closure = read_space(connection, account_id), find_closure(connection, account_id)
    document = read_account(connection, account_id).model_dump()
    document["private_space"] = space and {
        "space_id": space.space.id,
        "serial": space.space.serial,
        "status": "on" if space.on else "off",
        "changed_at": format_instant(space.changed_at),
    }
    document["closure"] = closure and {
        "closed_at": format_instant(closure.closed_at),
        "reason": closure.reason,
        "refund_ref": closure.refund_ref,
        "refunded_usd": format_usd(closure.refunded_nanousd),
        "forfeited_usd": format_usd(closure.forfeited_nanousd),
        "erased_at": show_instant(closure.erased_at),
    }
    return document


def _write_lines(
    archive: zipfile.ZipFile,
    name: str,
    rows: Iterable[Mapping[str, Any]],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """One file of the ZIP, row by row as they come: never the whole of it in memory."""
    digest, count = hashlib.sha256(), 0
    with archive.open(_entry(f"{name}.ndjson"), "w", force_zip64=True) as entry:
        for row in rows:
            plain = {str(column): cell for column, cell in row.items()}
            line = orjson.dumps(plain) + b"\n"
            entry.write(line)
            digest.update(line)
            count += 1
            if count % PAGE == 0:
                progress(PAGE)
    progress(count % PAGE)
    return {"name": f"{name}.ndjson", "rows": count, "sha256": digest.hexdigest()}


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _read_purchases(connection: Connection, account_id: str) -> Iterator[dict[str, Any]]:
    query = (
        select(purchase_lot)
        .where(purchase_lot.c.account_id == account_id)
        .order_by(*purchase_lot.primary_key.columns)
    )
    for row in connection.execute(query, execution_options={"yield_per": PAGE}):
        for digest in split(row.digests, row.items):
            yield {
                "revision": row.revision,
                "modality": row.modality,
                "digest": digest.hex(),
                "charge_id": row.charge_id,
                "bought_at": format_instant(row.bought_at),
            }


def _read_audit(
    connection: Connection, account_id: str, *, name_operators: bool
) -> Iterator[dict[str, Any]]:
    """What operators changed about the account, its keys and its charges."""
    keys = select(api_key.c.id).where(api_key.c.account_id == account_id)
    charges = select(charge.c.id).where(charge.c.account_id == account_id)
    subject = audit_log.c.subject
    about = or_(subject == account_id, subject.in_(keys), subject.in_(charges))
    query = select(audit_log).where(about).order_by(audit_log.c.id)
    for row in connection.execute(query, execution_options={"yield_per": PAGE}):
        yield _show_action(row, name_operators=name_operators)


def _show_action(row: Row[Any], *, name_operators: bool) -> dict[str, Any]:
    named = name_operators or row.actor in _MACHINES
    return {
        "id": row.id,
        "at": format_instant(row.at),
        "actor": row.actor if named else "operator",
        "action": row.action,
        "subject": row.subject,
        "detail": json.loads(row.detail),
    }
