"""A vendor's books survive an upgrade from 0001, the way back, and the way up again."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.migrating import downgrade, upgrade
from vendor_api.db import open_database, read_clock
from vendor_api.db.clock import HOUR
from vendor_api.ledger.audit import audit
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import Adjust, Credit, Hold, Line, Refund, Reserve
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.credits import add_credit, expire_due, list_grants
from vendor_api.ledger.prices import current_prices
from vendor_api.ledger.reservation import release, reserve

ADA, BOB = "acct_ada", "acct_bob"
CHARGE = "chg_{:032x}"
TXN = "txn_{:032x}"
AT = 1_790_000_000_000_000
FAR = 4_000_000_000_000_000


def run(url, *statements):
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement, values in statements:
            connection.execute(text(statement), values)


def book(n, kind, ref, owner, house, amount):
    txn = {"id": TXN.format(n), "kind": kind, "ref": ref, "owner": owner, "at": AT}
    yield "INSERT INTO ledger_txn VALUES (:id, :kind, :ref, :owner, :at)", txn
    for line, (name, signed) in enumerate(((f"customer:{owner}", amount), (house, -amount))):
        entry = {"id": TXN.format(n), "line": line, "book": name, "amount": signed}
        yield "INSERT INTO ledger_entry VALUES (:id, :line, :book, :amount)", entry


def charge(n, owner, state, images, cost):
    yield (
        "INSERT INTO charge (id, account_id, key_id, idempotency_key, fingerprint, request_id,"
        " model, revision, state, epoch, image_price_id, images, texts, reserved_nanousd,"
        " cost_nanousd, created_at, expires_at, captured_at) VALUES (:id, :owner, 'key_1', :key,"
        " :print, 'req', 'icon-clip', 'rev', :state, 1, 'prc_1', :images, 0, :reserved, :cost,"
        " :at, :far, :captured)",
        {
            "id": CHARGE.format(n),
            "owner": owner,
            "key": f"k{n}",
            "print": b"f",
            "state": state,
            "images": images,
            "reserved": images * 100,
            "cost": cost,
            "at": AT,
            "far": FAR,
            "captured": AT if state == "captured" else None,
        },
    )


def old_rows():
    for owner, credited, debited, held in ((ADA, 5000, 300, 200), (BOB, 700, 0, 0)):
        values = {"id": owner, "name": owner[5:], "at": AT}
        yield "INSERT INTO account VALUES (:id, :name, 'active', :at)", values
        values = {"id": owner, "credited": credited, "debited": debited, "held": held}
        yield (
            "INSERT INTO account_balance (account_id, credited_nanousd, debited_nanousd,"
            " held_nanousd, credit_limit_nanousd) VALUES (:id, :credited, :debited, :held, 0)",
            values,
        )
    yield "INSERT INTO price_version VALUES ('prc_1', 'icon-clip', 'image', 100, 1)", {}
    yield from charge(1, ADA, "captured", 3, 300)
    yield from charge(2, ADA, "held", 2, 0)
    yield from charge(3, ADA, "released", 4, 0)
    yield from book(1, "credit", "invoice 1", ADA, "cash", 3000)
    yield from book(2, "credit", "invoice 2", ADA, "cash", 2000)
    yield from book(3, "credit", "invoice 3", BOB, "cash", 700)
    yield from book(4, "capture", CHARGE.format(1), ADA, "revenue:icon-clip", -300)
    hour = {"owner": ADA, "hour": AT - AT % HOUR}
    yield (
        "INSERT INTO usage_rollup VALUES (:owner, :hour, 'key_1', 'icon-clip', 'image',"
        " 3, 0, 0, 300)",
        hour,
    )


@pytest.fixture
def old_url(empty_database_url):
    upgrade("vendor", empty_database_url, "0001")
    run(empty_database_url, *old_rows())
    return empty_database_url


def request(connection, now, key, images):
    price = current_prices(connection, now, "icon-clip")["image"]
    lines = tuple(Line("image", f"{key}{n}".encode().ljust(32), price) for n in range(images))
    return Reserve(ADA, "key_1", key, b"f", "req", "icon-clip", "rev", lines)


def buy(connection, now, key, images):
    hold = reserve(connection, now, request(connection, now, key, images))
    assert isinstance(hold, Hold)
    return capture(connection, now, hold, [True] * images)


def read_grants(url, owner=ADA):
    database = open_database(url)
    with database.read() as connection:
        grants = list_grants(connection, owner)
    database.close()
    return [(grant.amount_nanousd, grant.remaining_nanousd, grant.expires_at) for grant in grants]


def require_right(url):
    database = open_database(url)
    found = audit(database)
    database.close()
    assert found.ok, found.violations
    return found


def trade(url):
    """Everything that 0001 does not know."""
    database = open_database(url)
    with database.write() as connection:
        now = read_clock(connection)
        add_credit(connection, now, Credit(ADA, 50, "gift", kind="promo", expires_at=now + 10))
        expire_due(connection, now + 10, ADA)
        bought = buy(connection, now + 20, "new", 10)
        refund_charge(connection, now + 30, Refund(bought.charge_id, 400, "r1", "was blurred"))
        adjust_balance(connection, now + 40, Adjust(ADA, -7, "a1", "typing error"))
    database.close()


def test_credit_so_far_becomes_grants_that_never_expire(old_url):
    upgrade("vendor", old_url)
    require_right(old_url)
    assert read_grants(old_url) == [(3000, 2700, None), (2000, 2000, None)]
    assert read_grants(old_url, BOB) == [(700, 700, None)]


def test_what_was_held_before_can_be_captured_after(old_url):
    upgrade("vendor", old_url)
    database = open_database(old_url)
    with database.write() as connection:
        now = read_clock(connection)
        held = connection.execute(text("SELECT held_at FROM charge WHERE state = 'held'"))
        assert held.scalar_one() == AT
        assert buy(connection, now, "new", 5).cost_nanousd == 500
    database.close()
    require_right(old_url)


def test_down_and_up_again_changes_no_sum(old_url):
    upgrade("vendor", old_url)
    trade(old_url)
    before = require_right(old_url)
    downgrade("vendor", old_url, "0001")
    upgrade("vendor", old_url)
    after = require_right(old_url)
    totals = ("credited_nanousd", "debited_nanousd", "held_nanousd", "revenue_nanousd", "charges")
    assert [getattr(before, name) for name in totals] == [getattr(after, name) for name in totals]


def test_down_and_up_again_knows_promotions_refunds_and_expiries(old_url):
    upgrade("vendor", old_url)
    trade(old_url)
    query = text("SELECT id, kind, ref, account_id, charge_id FROM ledger_txn ORDER BY id")
    engine = create_engine(old_url, poolclass=NullPool)
    with engine.connect() as connection:
        before = connection.execute(query).all()
    downgrade("vendor", old_url, "0001")
    upgrade("vendor", old_url)
    with engine.connect() as connection:
        assert connection.execute(query).all() == before
        refunded = text("SELECT MAX(refunded_nanousd) FROM charge")
        assert connection.execute(refunded).scalar_one() == 400


def test_a_hold_from_before_is_released_after(old_url):
    upgrade("vendor", old_url)
    database = open_database(old_url)
    with database.write() as connection:
        now = read_clock(connection)
        hold = reserve(connection, now, request(connection, now, "k9", 3))
        assert isinstance(hold, Hold)
        release(connection, hold, final=False)
    database.close()
    require_right(old_url)
