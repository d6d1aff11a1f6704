"""The first charge, the largest number, the smallest price, and never a float."""

import ast
import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, NoResultFound

from shared.money import MAX_NANOUSD, format_usd, parse_usd
from tests.vendor_api.ledger.till import Till
from vendor_api.db import MAX_CREDITED_NANOUSD, read_clock
from vendor_api.db.tables import account_balance
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.commands import (
    Credit,
    Hold,
    InsufficientCredit,
    LedgerUnavailable,
    Line,
    UnknownAccount,
)
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.prices import set_prices

ROOT = Path(__file__).parents[2]
MONEY = [*sorted((ROOT / "vendor_api" / "ledger").glob("*.py")), ROOT / "shared" / "money.py"]


@pytest.fixture
def till(shop, api_key):
    opened = Till(shop, api_key.key_id)
    yield opened
    opened.require_right_books()


class TestCase18:
    async def test_case_18_the_first_charge_of_an_account_twenty_times_at_once(self, ledger, shop):
        bob = shop.open_account("bob", "0.0005")
        calls = [
            ledger.reserve(shop.reserve(f"k{n}", f"item {n}", account_id=bob.id)) for n in range(20)
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, Hold) for outcome in outcomes) == 5
        assert sum(isinstance(outcome, InsufficientCredit) for outcome in outcomes) == 15
        assert (await ledger.balance(bob.id)).available_usd == format_usd(0)

    async def test_case_18_an_account_without_any_credit_gets_nothing(self, ledger, shop):
        with shop.database.write() as connection:
            bob = create_account(connection, read_clock(connection), "bob")
        with pytest.raises(InsufficientCredit):
            await ledger.reserve(shop.reserve("k", "a", account_id=bob.id))

    async def test_case_18_an_account_whose_balance_is_lost_gets_nothing(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("held", "a"))
        with shop.database.write() as connection:
            connection.execute(account_balance.delete())
        calls = [ledger.reserve(shop.reserve(f"k{n}", f"item {n}")) for n in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {UnknownAccount, LedgerUnavailable}
        with pytest.raises((LedgerUnavailable, NoResultFound)):
            await ledger.capture(hold, [True])
        assert "balance row" in {violation.rule for violation in (await ledger.verify()).violations}


class TestCase19:
    def test_case_19_a_million_items_at_one_nano_dollar_cost_a_million_nano_dollars(self, till):
        till.run(lambda c: add_credit(c, till.now, Credit(till.account_id, 10**6, "exact")))
        price = till.run(
            lambda c: set_prices(c, till.now, "icon-clip", {"image": 1}, valid_from=till.now)
        )["image"]
        lines = tuple(Line("image", n.to_bytes(32), price) for n in range(10**4))
        for turn in range(2):
            hold = till.reserve(f"k{turn}", lines=lines[turn * 5000 :][:5000])
            assert till.capture(hold).cost_nanousd == 5000
        assert till.available * 100_000 == 10**6 - 10**4

    def test_case_19_a_request_of_a_million_items_adds_up_exactly(self, till):
        price = replace(till.shop.prices["image"], unit_nanousd=MAX_NANOUSD // 10**6)
        lines = (Line("image", b"x" * 32, price),) * 10**6
        with pytest.raises(InsufficientCredit) as refused:
            till.reserve("k", lines=lines)
        assert refused.value.needed_nanousd == MAX_NANOUSD // 10**6 * 10**6

    def test_case_19_the_largest_balance_can_be_held_and_not_one_more(self, till):
        most = MAX_CREDITED_NANOUSD
        till.run(lambda c: add_credit(c, till.now, Credit(till.account_id, most, "all")))
        with pytest.raises(DBAPIError):
            till.run(lambda c: add_credit(c, till.now, Credit(till.account_id, 1, "more")))
        price = till.run(lambda c: set_prices(c, till.now, "icon-clip", {"image": most}))["image"]
        hold = till.reserve("k", lines=(Line("image", b"x" * 32, price),))
        assert (hold.reserved_nanousd, hold.available_nanousd) == (most, 0)
        till.capture(hold)
        assert till.available == 0

    @pytest.mark.parametrize(
        "text", ["-1e3", "1e400", "NaN", "Infinity", "٣", "1_000", "0x1", "1.0000000001", "", "1,5"]
    )
    def test_case_19_what_is_not_a_plain_decimal_is_no_amount(self, text):
        with pytest.raises(ValueError, match="dollars"):
            parse_usd(text)

    def test_case_19_amounts_print_and_parse_exactly_up_to_the_last_nano_dollar(self):
        for amount in (0, 1, -1, 2**53 + 1, MAX_NANOUSD, -MAX_NANOUSD):
            assert parse_usd(format_usd(amount)) == amount
        with pytest.raises(ValueError, match="more than the ledger can hold"):
            parse_usd(format_usd(MAX_NANOUSD + 1))

    @pytest.mark.parametrize("path", MONEY, ids=lambda path: path.name)
    def test_case_19_there_is_no_float_near_money(self, path):
        assert list(find_floats(ast.parse(path.read_text(encoding="utf-8")))) == []


def find_floats(tree):
    """Line numbers of float literals, float() and true division; defaults in seconds are allowed."""
    seconds = {
        id(default)
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        if argument.arg.endswith("_s") and default is not None
    }
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        called = isinstance(node, ast.Call) and getattr(node.func, "id", None) == "float"
        if (literal and id(node) not in seconds) or division or called:
            yield getattr(node, "lineno", 0)


def test_case_19_the_search_for_floats_finds_them():
    source = "a = 0.5\nb = 1 / 2\nc = float(1)\nd = 1 // 2\ndef f(*, wait_s=5.0, x=1.0): ...\n"
    assert sorted(find_floats(ast.parse(source))) == [1, 2, 3, 5]
