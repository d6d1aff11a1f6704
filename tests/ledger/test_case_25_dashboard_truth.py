"""Case 25: every total of every page, file and route is what plain SQL over the journal says.

A random ledger of 10⁵ charges over more than seventy days, then two hundred random combinations of
span, zone, filter and group; spans begin and end anywhere, and on the edges of hours, days, months.
"""

import csv
import html
import io
import json
import random
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.money import format_usd, show_usd
from tests.conftest import PEPPER
from tests.planted import MODELS, Planted, plant
from tests.vendor_api.conftest import INFO, FakeModel, FakePreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.auth.operators import issue_operator
from vendor_api.db import as_microseconds, format_instant, open_database, read_clock
from vendor_api.db.clock import DAY, HOUR
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.ledger import Ledger
from vendor_api.ledger.audit import audit
from vendor_api.settings import VendorSettings

COMBINATIONS = 200
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati", "Europe/Berlin")
GROUPS = ("account", "key", "model", "modality")
COLUMNS = {"account": "account_id", "key": "key_id", "model": "model", "modality": "modality"}
CASES = [("sqlite_url", 100_000), ("postgres_url", 10_000)]

# Plain SQL over the journal; prices only to say which modality a capture's money was for.
FACTS = """
SELECT t.id, t.kind, t.created_at, t.account_id, e.amount_nanousd, c.id, c.key_id, c.model,
  c.images - c.images_free, c.images_free, (c.images - c.images_free) * COALESCE(i.unit_nanousd, 0),
  c.texts - c.texts_free, c.texts_free, (c.texts - c.texts_free) * COALESCE(p.unit_nanousd, 0)
FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || t.account_id
LEFT JOIN charge c ON c.id = CASE t.kind WHEN 'capture' THEN t.ref ELSE t.charge_id END
LEFT JOIN price_version i ON i.id = c.image_price_id
LEFT JOIN price_version p ON p.id = c.text_price_id ORDER BY t.created_at
"""
BUCKETS = {
    "hour": "at - at % 3600000000",
    "day": "at - at % 86400000000",
    "month": "CAST(strftime('%s', at / 1000000, 'unixepoch', 'start of month') AS INT) * 1000000",
}


class Journal:
    """What the journal says, in memory, to be asked in SQL."""

    def __init__(self, database: Any, planted: Planted) -> None:
        self._sql = sqlite3.connect(":memory:")
        self._sql.execute(
            "CREATE TABLE fact (txn, kind, at INT, account_id, amount INT, charge_id, key_id, model,"
            " modality, items INT, free INT, failed INT, cost INT)"
        )
        with database.snapshot() as connection:
            for row in connection.execute(text(FACTS)):
                self._remember(row, planted.failed)
        self._sql.execute("CREATE INDEX fact_at ON fact (at)")

    def _remember(self, row: Any, failures: dict[str, int]) -> None:
        base, counts = tuple(row[:8]), [int(part or 0) for part in row[8:]]
        if row[1] != "capture":
            parts: list[tuple[Any, ...]] = [("", 0, 0, 0, 0)]
        else:
            assert counts[2] + counts[5] == -row[4]
            failed = failures.get(row[5], 0)
            parts = [
                ("image", *counts[:2], failed, counts[2]),
                ("text", *counts[3:5], 0, counts[5]),
            ]
        for number, part in enumerate(parts):
            # The amount of a movement is counted once, however many modalities it has.
            amount = (*base[:4], base[4] if number == 0 else 0, *base[5:])
            modality, items, free, gone, cost = part
            values = (*amount, modality, items, free, gone, cost)
            self._sql.execute(f"INSERT INTO fact VALUES ({','.join('?' * 13)})", values)

    def ask(self, select: str, where: str = "", **values: Any) -> list[Any]:
        """Rows of a query about the facts."""
        return self._sql.execute(f"SELECT {select} FROM fact WHERE TRUE {where}", values).fetchall()

    def totals(self, select: str, where: str = "", **values: Any) -> list[int]:
        """Several sums."""
        return [int(total or 0) for total in self.ask(select, where, **values)[0]]


@dataclass
class Combination:
    """One way to look."""

    since: int | None
    until: int | None
    zone: str
    account: str | None
    key: str | None
    model: str | None
    modality: str | None
    outcome: str | None
    groups: tuple[str, ...]

    @property
    def hours(self) -> str:
        """SQL for the whole hours of the span."""
        parts = []
        if self.since is not None:
            parts.append(f"AND at >= {self.since - self.since % HOUR}")
        if self.until is not None:
            parts.append(f"AND at < {self.until + -self.until % HOUR}")
        return " ".join(parts)

    def where(self, *names: str) -> str:
        """SQL for the span and those filters."""
        found = [self.hours]
        for name in names:
            value = getattr(self, name)
            if value is not None:
                found.append(f"AND {COLUMNS[name]} = '{value}'")
        return " ".join(found)

    def query(self, *names: str) -> dict[str, Any]:
        """The same as a page's parameters."""
        span = {name: getattr(self, name) for name in ("since", "until")}
        shown = {name: "" if at is None else format_instant(at) for name, at in span.items()}
        filters = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {**shown, **filters, "tz": self.zone}


def combine(dice: random.Random, planted: Planted) -> Combination:
    """A random combination."""
    owner = dice.randrange(len(planted.accounts))
    account = dice.choice([None, planted.accounts[owner]])
    keys = [key.key_id for key in planted.keys[owner]]
    instants = sorted(pick_instant(dice, planted) for _ in range(2))
    since, until = (at if dice.random() < 0.8 else None for at in instants)
    time = dice.choice([(), ("hour",), ("day",), ("month",)])
    others = tuple(group for group in GROUPS if dice.random() < 0.4)
    return Combination(
        since=since,
        until=until,
        zone=dice.choice(ZONES),
        account=account,
        key=dice.choice([None, None, *keys]),
        model=dice.choice([None, None, *MODELS]),
        modality=dice.choice([None, None, "image", "text"]),
        outcome=dice.choice([None, None, "paid", "free", "failed"]),
        groups=time + others,
    )


def pick_instant(dice: random.Random, planted: Planted) -> int:
    """Anywhere, or on an edge, or a microsecond beside it."""
    at = dice.randrange(planted.since - DAY, planted.until)
    kind = dice.randrange(4)
    if kind == 1:
        at -= at % HOUR
    elif kind == 2:
        at -= at % DAY
    elif kind == 3:
        first = datetime.fromisoformat(format_instant(at)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        at = as_microseconds(first)
    return at + dice.choice([-1, 0, 0, 1]) if kind else at


@dataclass
class Books:
    """The vendor with its planted books, seen by an operator and by customers."""

    http: httpx.AsyncClient
    planted: Planted
    journal: Journal

    async def json(self, path: str, query: dict[str, Any]) -> Any:
        """A page or a route as JSON."""
        answer = await self.http.get(path, params=query, headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def text(self, path: str, query: dict[str, Any]) -> str:
        """A page or a file as it is."""
        answer = await self.http.get(path, params=query, headers={"accept": "text/html"})
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    async def rows(self, path: str, query: dict[str, Any]) -> list[dict[str, str]]:
        """A CSV file."""
        return list(csv.DictReader(io.StringIO(await self.text(path, query))))


@asynccontextmanager
async def open_books(url: str, charges: int) -> AsyncIterator[Books]:
    """A vendor over a fresh random ledger that passes the audit."""
    database = open_database(url)
    planted = plant(database, PEPPER, charges=charges, seed=25)
    checked = audit(database)
    assert checked.ok, checked.violations[:5]
    assert checked.charges == charges
    with database.write() as connection:
        operator = issue_operator(
            connection, read_clock(connection), PEPPER, name="o", role="viewer"
        )
    journal = Journal(database, planted)
    ledger, authenticator = Ledger.open(url), Authenticator.open(url, PEPPER)
    engine = Batcher(FakeModel())
    served = {INFO.id: ServedModel(INFO, FakePreparation(), engine)}
    settings = VendorSettings(audit_seconds=0)
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(authenticator.close)
        stack.callback(engine.close, 30)
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://vendor",
            headers={"authorization": f"Bearer {operator.text}"},
        )
        yield Books(await stack.enter_async_context(client), planted, journal)


def read_tiles(page: str) -> dict[str, str]:
    """Title → what stands there."""
    tiles = re.findall(r'<p class="tile-title">(.*?)</p><p class="tile-value">(.*?)</p>', page)
    return {strip(title): strip(value).replace("\u202f", "") for title, value in tiles}


def strip(markup: str) -> str:
    """The text alone."""
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


async def check_usage(books: Books, look: Combination) -> None:
    """The explorer's total, tiles, rows and files."""
    filters = ("account", "key", "model", "modality")
    query = look.query(*filters, "outcome") | {"group": ",".join(look.groups)}
    where = look.where(*filters)
    measures = {"paid": ["items", "cost"], "free": ["free"], "failed": ["failed"]}
    wanted = [
        name for kind, names in measures.items() if look.outcome in (None, kind) for name in names
    ]
    document = await books.json("/dashboard/usage", query)
    sums = ", ".join(f"SUM({name})" for name in wanted)
    totals = books.journal.totals(sums, f"AND kind = 'capture' {where}")
    total = dict(zip(wanted, totals, strict=True))
    shown = {"items": "items", "free": "items_free", "failed": "items_failed"}
    for name, column in shown.items():
        assert document["total"][column] == (total[name] if name in wanted else None)
    assert document["total"]["cost_usd"] == (
        format_usd(total["cost"]) if "cost" in wanted else None
    )
    tiles = read_tiles(await books.text("/dashboard/usage", query))
    titles = {"Paid items": "items", "Free items": "free", "Failed items": "failed"}
    assert {name: tiles[name] for name in titles if name in tiles} == {
        title: str(total[name]) for title, name in titles.items() if name in wanted
    }
    assert tiles.get("Cost") == (show_usd(total["cost"]) if "cost" in wanted else None)
    await check_usage_rows(books, look, query, where, wanted, document)


async def check_usage_rows(
    books: Books,
    look: Combination,
    query: dict[str, Any],
    where: str,
    wanted: list[str],
    document: Any,
) -> None:
    """Row by row, as CSV and as NDJSON, and the first page of them."""
    key = [BUCKETS[group] if group in BUCKETS else COLUMNS[group] for group in look.groups]
    sums = [f"SUM({name})" for name in wanted]
    having = (
        f"HAVING SUM({wanted[0]}) > 0" if look.outcome else "HAVING SUM(items + free + failed) > 0"
    )
    grouping = f"GROUP BY {', '.join(key)}" if key else ""
    expected = books.journal.ask(
        ", ".join([*key, *sums]), f"AND kind = 'capture' {where} {grouping} {having if key else ''}"
    )
    names = ["at" if group in BUCKETS else COLUMNS[group] for group in look.groups]
    columns = {
        "items": "items",
        "free": "items_free",
        "failed": "items_failed",
        "cost": "cost_nanousd",
    }
    found = [
        (
            *(
                as_microseconds(datetime.fromisoformat(row[name])) if name == "at" else row[name]
                for name in names
            ),
            *(int(row[columns[name]]) for name in wanted),
        )
        for row in await books.rows("/dashboard/usage.csv", query)
    ]
    rows = [tuple(int(part or 0) if part is None else part for part in row) for row in expected]
    assert sorted(found) == sorted(rows)
    lines = (await books.text("/dashboard/usage.ndjson", query)).splitlines()
    assert len(lines) == len(rows)
    assert [row["id"] for row in document["rows"]] == [
        json.loads(line)["id"] for line in lines[: len(document["rows"])]
    ]
    assert len(document["rows"]) == min(100, len(rows))


async def check_money(books: Books, look: Combination) -> None:
    """The statement, its tiles, and revenue in total and by day."""
    query = look.query("account", "model")
    document = await books.json("/dashboard/money", query)
    tiles = read_tiles(await books.text("/dashboard/money", query))
    sums = dict(books.journal.ask("kind, SUM(amount)", f"{look.where('account')} GROUP BY kind"))
    signs = {
        "Sold": ("sold_usd", sums.get("credit", 0)),
        "Given away": ("given_usd", sums.get("promo", 0)),
        "Captured": ("captured_usd", -sums.get("capture", 0)),
        "Refunded": ("refunded_usd", sums.get("refund", 0)),
        "Adjusted": ("adjusted_usd", sums.get("adjust", 0)),
        "Expired": ("expired_usd", -sums.get("expire", 0)),
    }
    statement = document["statement"]
    for title, (name, amount) in signs.items():
        assert statement["movements"][name] == format_usd(amount), title
        assert tiles[title] == show_usd(amount), title
    first = look.since - look.since % HOUR if look.since is not None else 0
    last = look.until + -look.until % HOUR if look.until is not None else 2**62
    opening, closing, liability = books.journal.totals(
        f"SUM(amount * (at < {first})), SUM(amount * (at < {last})), SUM(amount)",
        f"AND account_id = '{look.account}'" if look.account else "",
    )
    assert statement["opening_usd"] == format_usd(opening)
    assert statement["closing_usd"] == format_usd(closing)
    assert tiles["Liability"] == show_usd(liability)
    await check_revenue(books, look, document["revenue"])


async def check_revenue(books: Books, look: Combination, shown: Any) -> None:
    """By day, model and account."""
    where = f"AND kind IN ('capture', 'refund') {look.where('account', 'model')}"
    key = f"{BUCKETS['day']}, model, account_id"
    sums = "-SUM(amount * (kind = 'capture')), SUM(amount * (kind = 'refund'))"
    expected = books.journal.ask(f"{key}, {sums}", f"{where} GROUP BY {key}")
    rows = await books.rows("/dashboard/money/revenue.csv", look.query("account", "model"))
    found = [
        (
            as_microseconds(datetime.fromisoformat(row["at"])),
            row["model"],
            row["account_id"],
            int(row["captured_nanousd"]),
            int(row["refunded_nanousd"]),
        )
        for row in rows
    ]
    assert sorted(found) == sorted(map(tuple, expected))
    earned = sum(row[3] - row[4] for row in found)
    assert shown["total"]["revenue_usd"] == format_usd(earned)
    chart = await books.text("/dashboard/money/chart.json", look.query("account", "model"))
    drawn = re.findall(r'"values":\[([^\]]*)\]', chart)
    points = [part for values in drawn for part in values.split(",")]
    assert sum(round(float(part) * 10**9) for part in points if part) == pytest.approx(
        earned, abs=1
    )


async def check_lists(books: Books, look: Combination) -> None:
    """The journal's file, and the shares of every account."""
    rows = await books.rows("/dashboard/money/journal.csv", look.query("account"))
    sums = books.journal.ask(
        "txn, SUM(amount)", f"AND kind <> 'capture' {look.where('account')} GROUP BY txn"
    )
    assert sorted((row["id"], int(row["amount_nanousd"])) for row in rows) == sorted(sums)
    signals = await books.json("/dashboard/abuse", look.query("account"))
    expected = books.journal.ask(
        "account_id, SUM(items), SUM(free), SUM(failed)",
        f"AND kind = 'capture' {look.where('account')} GROUP BY account_id",
    )
    found = [
        (row["account_id"], row["paid"], row["free"], row["failed"]) for row in signals["rows"]
    ]
    assert sorted(found) == sorted(map(tuple, expected))


async def check_routes(books: Books, look: Combination) -> None:
    """The operators' and the customers' routes, which know a span only."""
    span = {name: at for name, at in look.query().items() if at and name != "tz"}
    owner = {} if look.account is None else {"account": look.account}
    listing = await books.json("/v1/admin/usage", {**span, **owner, "limit": 1})
    where = f"AND kind = 'capture' {look.where('account')}"
    items, cost = books.journal.totals("SUM(items), SUM(cost)", where)
    assert listing["total_items"] == items
    assert listing["total_cost_usd"] == format_usd(cost)
    number = books.planted.accounts.index(look.account) if look.account else 0
    account_id, key = books.planted.accounts[number], books.planted.keys[number][0]
    since = {} if "since" in span else {"since": "1970-01-01T00:00:00Z"}
    answer = await books.http.get(
        "/v1/usage", params={**span, **since}, headers={"authorization": f"Bearer {key.text}"}
    )
    mine = f"AND kind = 'capture' {look.hours} AND account_id = '{account_id}'"
    document = answer.json()
    items, cost, free = books.journal.totals("SUM(items), SUM(cost), SUM(free)", mine)
    assert document["total_items"] == items
    assert document["total_cost_usd"] == format_usd(cost)
    assert sum(row["items_free"] for row in document["data"]) == free


async def check_charges(books: Books, look: Combination) -> None:
    """The charges that a row of the usage links to, for at most a day: exact to the microsecond."""
    since = look.since if look.since is not None else books.planted.since
    until = min(since + DAY, look.until or books.planted.until)
    if since > until:
        return
    query = look.query("account", "key", "model") | {
        "since": format_instant(since),
        "until": format_instant(until),
        "clock": "captured",
        "state": "captured",
    }
    rows = await books.rows("/dashboard/charges.csv", query)
    filters = look.where("account", "key", "model").removeprefix(look.hours)
    where = f"AND kind = 'capture' AND at >= {since} AND at < {until} {filters} GROUP BY charge_id"
    expected = books.journal.ask("charge_id, -SUM(amount)", where)
    assert sorted((row["id"], int(row["cost_nanousd"])) for row in rows) == sorted(expected)
    page = await books.json("/dashboard/charges", query)
    assert [row["id"] for row in page["rows"]] == [row["id"] for row in rows[:100]]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("engine", "charges"), CASES, ids=["sqlite", "postgres"])
async def test_every_total_is_the_journals(
    engine: str, charges: int, request: pytest.FixtureRequest
) -> None:
    dice = random.Random(25)
    async with open_books(request.getfixturevalue(engine), charges) as books:
        for number in range(COMBINATIONS):
            look = combine(dice, books.planted)
            try:
                await check_usage(books, look)
                await check_money(books, look)
                await check_lists(books, look)
                await check_routes(books, look)
                if number % 10 == 0:
                    await check_charges(books, look)
            except AssertionError as error:
                raise AssertionError(f"combination {number}: {look}") from error
