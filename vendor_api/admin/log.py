"""Who changed what, and when: written in the very transaction that makes the change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from vendor_api.auth.keys import redact
from vendor_api.db.tables import audit_log
from vendor_api.ledger.ids import new_id

__all__ = ["Action", "list_actions", "record_action"]


@dataclass(frozen=True, slots=True)
class Action:
    """One change that somebody made."""

    id: str
    at: int
    actor: str
    """An operator's key id, `cli:` and a user of the machine, or the part of the vendor that acted."""
    action: str
    subject: str
    """The id of what was changed."""
    detail: dict[str, Any]


def record_action(
    connection: Connection,
    now: int,
    *,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
) -> None:
    """Remember a change for ever; `detail` must be JSON, and loses the secret of any key in it."""
    row = {
        "id": new_id("act"),
        "at": now,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": redact(json.dumps(dict(detail), ensure_ascii=False)),
    }
    connection.execute(insert(audit_log).values(**row))


def list_actions(
    connection: Connection,
    *,
    actor: str | None = None,
    subject: str | None = None,
    after: str | None = None,
    limit: int = 100,
    newest: bool = False,
) -> list[Action]:
    """Changes, oldest first, from behind the action `after`; or the newest first."""
    query = select(audit_log)
    if actor is not None:
        query = query.where(audit_log.c.actor == actor)
    if subject is not None:
        query = query.where(audit_log.c.subject == subject)
    if after is not None:
        query = query.where(audit_log.c.id > after)
    order = audit_log.c.id.desc() if newest else audit_log.c.id
    rows = connection.execute(query.order_by(order).limit(limit))
    return [
        Action(row.id, row.at, row.actor, row.action, row.subject, json.loads(row.detail))
        for row in rows
    ]
