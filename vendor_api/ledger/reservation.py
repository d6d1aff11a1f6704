"""Claims an idempotency key and holds the money; gives it back when nothing came of it.

held → captured | released | released_final | expired; released and expired keys may enter again
under a higher epoch, which fences the worker that was late.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select, update

from shared.money import MAX_NANOUSD
from vendor_api.db.clock import DAY, SECOND
from vendor_api.db.tables import account, charge
from vendor_api.db.upsert import insert
from vendor_api.ledger import balance, caps, credits
from vendor_api.ledger.commands import (
    REPLAYS_PER_DAY,
    AccountFrozen,
    Hold,
    HoldLost,
    InsufficientCredit,
    KeyReused,
    NothingValid,
    Replay,
    ReplayLimit,
    RequestInFlight,
    Reserve,
    UnknownAccount,
)
from vendor_api.ledger.holds import HELD, held_by
from vendor_api.ledger.ids import new_id
from vendor_api.ledger.lines import count_modalities

__all__ = [
    "Known",
    "accounts_to_sweep",
    "expire",
    "held_values",
    "insert",
    "refuse",
    "release",
    "reserve",
    "validate",
]


class Known(Protocol):
    """What an earlier request left under an idempotency key: a row of the charges."""

    @property
    def id(self) -> str: ...
    @property
    def fingerprint(self) -> bytes: ...
    @property
    def state(self) -> str: ...
    @property
    def expires_at(self) -> int: ...
    @property
    def replays_today(self) -> int: ...
    @property
    def replay_day(self) -> int | None: ...


def validate(command: Reserve) -> None:
    """Raises ValueError for a command that no honest caller makes."""
    lines = command.lines
    alike = len({line.digest for line in lines}) != len(lines)  # few look further
    if alike and len({(line.modality, line.digest) for line in lines}) != len(lines):
        raise ValueError("a request's lines must be distinct")
    if len({line.price.id for line in lines}) != len({line.modality for line in lines}):
        raise ValueError("a request has one price for each modality")


def reserve(connection: Connection, now: int, command: Reserve) -> Hold | Replay:
    """Hold the full price of every line, or recognise the request. Raises a LedgerError.

    What it has written when it raises is for the caller to roll back.
    """
    _require_active(connection, command.account_id)
    amount = sum(line.price.unit_nanousd for line in command.lines)
    if amount > MAX_NANOUSD:
        raise InsufficientCredit(amount, balance.read_available(connection, command.account_id))
    windows = caps.plan(
        connection, now, command.key_id, {"items": len(command.lines), "spend": amount}
    )
    held = held_values(now, command, amount, windows)
    charge_id, epoch = _claim(connection, now, command, held), 1
    if charge_id is None:
        known = _find(connection, command)
        refuse(now, command, known)
        if known.state == "captured":
            return _replay(connection, now, known)
        charge_id, epoch = _reenter(connection, held, known)
    # The new hold protects nothing that is due, and the one it replaces no more.
    credits.expire_due(connection, now, command.account_id)
    available = balance.hold(connection, command.account_id, amount)
    caps.hold(connection, now, command.key_id, windows)
    return Hold(charge_id, command.account_id, epoch, amount, available, command.lines)


def refuse(now: int, command: Reserve, known: Known | Row[Any]) -> None:
    """Raises what an idempotency key gets that may neither enter again nor be replayed."""
    if known.fingerprint != command.fingerprint:
        raise KeyReused(command.idempotency_key)
    if known.state == "held" and known.expires_at > now:
        raise RequestInFlight(known.id)
    if known.state == "released_final":
        raise NothingValid(known.id)
    if known.state == "captured" and _replays_today(now, known) >= REPLAYS_PER_DAY:
        raise ReplayLimit(known.id)


def release(connection: Connection, hold: Hold, *, final: bool) -> None:
    """Give the held money back; `final` spends the key at amount zero. Raises HoldLost."""
    state = "released_final" if final else "released"
    statement = (
        update(charge)
        .where(charge.c.id == hold.charge_id, charge.c.state == "held")
        .where(charge.c.epoch == hold.epoch)
        .values(state=state)
        .returning(charge.c.key_id, charge.c.reserved_nanousd, charge.c.caps)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise HoldLost(hold.charge_id)
    _unhold(connection, hold.account_id, [row])


def accounts_to_sweep(connection: Connection, now: int | None) -> list[str]:
    """Accounts with a hold that is past its time at `now`, or with any hold when `now` is None."""
    query = select(charge.c.account_id).distinct().where(HELD)
    if now is not None:
        query = query.where(charge.c.expires_at <= now)
    return list(connection.execute(query.order_by(charge.c.account_id)).scalars())


def expire(connection: Connection, now: int, *, account_id: str, everything: bool = False) -> int:
    """Expire one account's overdue holds, or all, and give their money back; returns how many.

    Credit that is due and that nothing holds any more expires with them.
    """
    statement = (
        update(charge)
        .where(held_by(account_id))
        .values(state="expired")
        .returning(charge.c.key_id, charge.c.reserved_nanousd, charge.c.caps)
    )
    if not everything:
        statement = statement.where(charge.c.expires_at <= now)
    expired = connection.execute(statement).all()
    _unhold(connection, account_id, expired)
    credits.expire_due(connection, now, account_id)
    return len(expired)


def _unhold(connection: Connection, account_id: str, charges: Sequence[Row[Any]]) -> None:
    balance.unhold(connection, account_id, sum(each.reserved_nanousd for each in charges))
    for each in sorted(charges, key=lambda each: str(each.key_id)):
        caps.give_back(connection, each.key_id, caps.parse(each.caps))


def _require_active(connection: Connection, account_id: str) -> None:
    query = select(account.c.status).where(account.c.id == account_id)
    status = connection.execute(query).scalar_one_or_none()
    if status is None:
        raise UnknownAccount(account_id)
    if status != "active":
        raise AccountFrozen(account_id)


def _claim(
    connection: Connection, now: int, command: Reserve, held: Mapping[str, Any]
) -> str | None:
    statement = (
        insert(connection, charge)
        .values(
            id=new_id("chg"),
            account_id=command.account_id,
            idempotency_key=command.idempotency_key,
            fingerprint=command.fingerprint,
            epoch=1,
            created_at=now,
            **held,
        )
        .on_conflict_do_nothing(index_elements=["account_id", "idempotency_key"])
        .returning(charge.c.id)
    )
    claimed: str | None = connection.execute(statement).scalar_one_or_none()
    return claimed


def held_values(
    now: int, command: Reserve, amount: int, windows: Sequence[caps.CapHold] = ()
) -> dict[str, Any]:
    """The columns of a charge that a hold sets, on its first entry and on any later one."""
    prices = {line.modality: line.price.id for line in command.lines}
    counts = count_modalities(command.lines)
    return {
        "state": "held",
        "key_id": command.key_id,
        "request_id": command.request_id,
        "model": command.model,
        "revision": command.revision,
        "image_price_id": prices.get("image"),
        "text_price_id": prices.get("text"),
        "images": counts["image"],
        "texts": counts["text"],
        "reserved_nanousd": amount,
        "caps": caps.encode(windows),
        "held_at": now,
        "expires_at": now + command.hold_seconds * SECOND,
    }


def _find(connection: Connection, command: Reserve) -> Row[Any]:
    query = select(charge).where(
        charge.c.account_id == command.account_id,
        charge.c.idempotency_key == command.idempotency_key,
    )
    return connection.execute(query).one()


def _reenter(connection: Connection, held: Mapping[str, Any], known: Row[Any]) -> tuple[str, int]:
    if known.state == "held":
        # Overdue, and the sweeper has not come by: its money goes back before it is held anew.
        _unhold(connection, known.account_id, [known])
    statement = update(charge).where(charge.c.id == known.id, charge.c.epoch == known.epoch)
    connection.execute(statement.values(epoch=known.epoch + 1, **held))
    return known.id, known.epoch + 1


def _replays_today(now: int, known: Known | Row[Any]) -> int:
    return known.replays_today if known.replay_day == now // DAY else 0


def _replay(connection: Connection, now: int, known: Row[Any]) -> Replay:
    connection.execute(
        update(charge)
        .where(charge.c.id == known.id)
        .values(
            replays=charge.c.replays + 1,
            replays_today=_replays_today(now, known) + 1,
            replay_day=now // DAY,
        )
    )
    available = balance.read_available(connection, known.account_id)
    return Replay(known.id, known.account_id, available, known.cost_nanousd)
