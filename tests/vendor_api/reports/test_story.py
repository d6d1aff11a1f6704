"""One charge's story, whatever became of it."""

from typing import Any

from sqlalchemy import text

from vendor_api.db import read_clock
from vendor_api.ledger.commands import Hold, Refund
from vendor_api.ledger.corrections import refund_charge
from vendor_api.reports.story import Story, tell_charge


def tell(shop: Any, charge_id: str) -> Story:
    with shop.database.read() as connection:
        return tell_charge(connection, read_clock(connection), charge_id)


def names(story: Story) -> list[str]:
    return [event.name for event in story.events]


async def hold(ledger: Any, command: Any) -> Hold:
    claim = await ledger.reserve(command)
    assert isinstance(claim, Hold)
    return claim


async def test_held_then_captured_in_part_then_refunded(ledger: Any, shop: Any) -> None:
    held = await hold(ledger, shop.reserve("k", "a", "b", "c"))
    story = tell(shop, held.charge_id)
    assert names(story) == ["asked", "held", "still held"]
    assert (story.lines[0].count, story.undelivered, story.journal) == (3, None, [])
    await ledger.capture(held, [True, True, False])
    await ledger.reserve(shop.reserve("k", "a", "b", "c"))
    with shop.database.write() as connection:
        command = Refund(held.charge_id, 100_000, "r", "it was late")
        refund_charge(connection, read_clock(connection), command)
    story = tell(shop, held.charge_id)
    assert names(story) == ["asked", "held", "captured", "answered again", "refunded"]
    assert story.undelivered == 1
    assert story.refundable_nanousd == 100_000
    assert story.events[-1].detail == "it was late"
    assert [line.amount_nanousd for line in story.journal] == [-200_000, 200_000, 100_000, -100_000]
    assert sum(line.cost_nanousd for line in story.lines) == story.charge.cost_nanousd


async def test_released_and_entered_again(ledger: Any, shop: Any) -> None:
    held = await hold(ledger, shop.reserve("k", "a"))
    await ledger.release(held, final=False)
    assert names(tell(shop, held.charge_id)) == ["asked", "held", "released"]
    await hold(ledger, shop.reserve("k", "a", request_id="req_again"))
    story = tell(shop, held.charge_id)
    assert names(story) == ["asked", "entered again", "held", "still held"]
    assert "req_again" in story.events[1].detail


async def test_overdue_then_expired_and_released_for_good(ledger: Any, shop: Any) -> None:
    held = await hold(ledger, shop.reserve("k", "a"))
    with shop.database.write() as connection:
        connection.execute(text("UPDATE charge SET expires_at = created_at"))
    assert names(tell(shop, held.charge_id))[-1] == "overdue"
    await ledger.sweep()
    assert names(tell(shop, held.charge_id))[-1] == "expired"
    final = await hold(ledger, shop.reserve("l", "a"))
    await ledger.release(final, final=True)
    assert names(tell(shop, final.charge_id))[-1] == "released for good"


async def test_two_prices_hide_what_was_not_delivered(ledger: Any, shop: Any) -> None:
    lines = shop.lines("a") + shop.lines("b", "c", modality="text")
    whole = await hold(ledger, shop.reserve("k", lines=lines))
    await ledger.capture(whole, [True] * 3)
    assert tell(shop, whole.charge_id).undelivered == 0
    lines = shop.lines("d") + shop.lines("e", "f", modality="text")
    part = await hold(ledger, shop.reserve("l", lines=lines))
    await ledger.capture(part, [True, True, False])
    assert tell(shop, part.charge_id).undelivered is None
