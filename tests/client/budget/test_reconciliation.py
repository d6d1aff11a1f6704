"""Every way in which the two sides of a request can differ is told, and nothing else is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from client.budget import Journal, Settlement, State
from client.budget.history import HistoryLine
from client.budget.reconciliation import Reconciliation, compare, reconcile
from shared.money import format_usd
from shared.wire import ChargeDocument
from tests.client.cache.shelves import PRICE, buy
from tests.client.standin import StandInVendor

LINE = HistoryLine(
    id=1,
    run="run",
    project="default",
    idempotency_key="k1",
    state="settled",
    model_id="toy",
    revision="r1",
    modality="image",
    view="file",
    purpose="training",
    items=3,
    refused=0,
    held_nanousd=0,
    cost_nanousd=300,
    charge_id="chg_1",
    request_id="req_1",
    problem=None,
    planned_ns=10**18,
    sent_ns=10**18,
    closed_ns=10**18,
)


def charge(
    key: str = "k1", cost: int = 300, state: str = "captured", at: str = "2026-11-22T09:00:00Z"
):
    return ChargeDocument.model_validate(
        {
            "id": f"chg_{key}",
            "state": state,
            "idempotency_key": key,
            "request_id": "req_1",
            "model": "toy",
            "revision": "r1",
            "images": 3,
            "texts": 0,
            "reserved_usd": format_usd(cost),
            "cost_usd": format_usd(cost if state == "captured" else 0),
            "created_at": at,
        }
    )


def line(state: State, cost: int | None = None, **more: Any) -> HistoryLine:
    return replace(LINE, state=state, cost_nanousd=cost, **more)


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        # Settled here.
        (line("settled", 300), charge(), None),
        (line("settled", 300), charge(cost=200), "other cost"),
        (line("settled", 300), None, "not charged"),
        (line("settled", 300), charge(state="released"), "not charged"),
        (line("settled", 300), charge(state="expired"), "not charged"),
        (line("settled", 300), charge(state="held"), "other state"),
        (line("settled", 0), charge(cost=0), None),
        (line("settled", 0), None, None),
        (line("settled", 0), charge(state="released_final"), None),
        (line("settled", 0), charge(cost=1), "other cost"),
        # Closed here without a charge.
        (line("failed"), None, None),
        (line("failed"), charge(state="released"), None),
        (line("failed"), charge(), "other state"),
        (line("failed"), charge(state="held"), "other state"),
        # Paid, asked for again, and failed: the first payment stands.
        (line("failed", 300), charge(), None),
        (line("failed", 300), None, "not charged"),
        # Not sent yet.
        (line("planned"), None, None),
        (line("planned"), charge(), "other state"),
        (line("planned", 300), charge(), None),
        # Under way.
        (line("sent"), None, "open"),
        (line("sent"), charge(), "open"),
        (line("unknown"), charge(state="held"), "open"),
        # Unknown here.
        (None, charge(), "not here"),
        (None, charge(cost=0), "not here"),
        (None, charge(state="held"), "not here"),
        (None, charge(state="expired"), None),
        (None, None, None),
    ],
)
def test_each_difference_has_its_kind(here, there, kind) -> None:
    found = compare(here, there)
    assert (found and found.kind) == kind
    if found is not None:
        assert (found.line, found.charge) == (here, there)
        assert found.said


class TestAll:
    @pytest.fixture
    def both(self, store) -> StandInVendor:
        """Three requests that both sides have, each under its key."""
        vendor = StandInVendor()
        for number in range(3):
            buy(store, [10 * number, 10 * number + 1], key=f"k{number}")
        return vendor

    def compare(self, store, charges: list[ChargeDocument], **more: Any) -> Reconciliation:
        by_key = {one.idempotency_key: one for one in charges}
        return reconcile(store.database, charges, by_key.get, **more)

    def test_two_sides_that_agree(self, store, both) -> None:
        found = self.compare(store, [charge(f"k{n}", 2 * PRICE) for n in range(3)])
        assert found == Reconciliation(3, 3, 6 * PRICE, 6 * PRICE, [])

    def test_what_either_side_lacks_is_listed(self, store, both) -> None:
        charges = [charge("k0", 2 * PRICE), charge("k1", 3 * PRICE), charge("x", 7)]
        found = self.compare(store, charges)
        assert [(d.kind, d.idempotency_key) for d in found.differences] == [
            ("other cost", "k1"),
            ("not charged", "k2"),
            ("not here", "x"),
        ]
        assert (found.journal_nanousd, found.vendor_nanousd) == (6 * PRICE, 5 * PRICE + 7)

    def test_what_is_settled_while_it_is_compared_is_no_difference(self, store, both) -> None:
        journal = Journal(store.database)
        late = charge("k9", 100)
        known = {f"k{n}": charge(f"k{n}", 2 * PRICE) for n in range(3)}

        def charges() -> Iterator[ChargeDocument]:
            yield from known.values()
            # Planned and sent only after the vendor had told its charges.
            buy(store, [90], key="k9")
            known["k9"] = late

        assert reconcile(store.database, charges(), known.get).differences == []
        assert journal.get("k9") is not None

    def test_what_the_vendor_captures_while_it_is_compared_is_no_difference(
        self, store, both
    ) -> None:
        told = [charge(f"k{n}", 2 * PRICE) for n in range(3)]
        told[2] = charge("k2", 2 * PRICE, state="held")
        now = {one.idempotency_key: one for one in told} | {"k2": charge("k2", 2 * PRICE)}
        assert reconcile(store.database, told, now.get).differences == []

    @pytest.mark.parametrize(
        ("since", "until", "requests", "charges"),
        [
            (None, None, 4, 3),
            (10**18 - 1, None, 4, 3),
            (10**18 + 1, None, 0 + 3, 3),
            (None, 10**18, 0, 0),
            (10**18, 10**18 + 1, 4, 3),
            (1_790_000_000 * 10**9, None, 3, 3),
        ],
    )
    def test_a_span_takes_what_either_side_has_in_it(
        self, store, both, since, until, requests, charges
    ) -> None:
        # In 2001 here, in 2026 there; one failed request has no charge.
        journal = Journal(store.database, clock=lambda: 10**18)
        from tests.client.budget.test_journal import make_batch

        journal.plan(make_batch("f"))
        journal.fail("f", "refused")
        found = self.compare(
            store,
            [charge(f"k{n}", 2 * PRICE) for n in range(3)],
            since_ns=since,
            until_ns=until,
        )
        assert (found.requests, found.charges) == (requests, charges)
        assert found.differences == []

    def test_an_open_request_is_a_difference_until_it_is_closed(self, store, both) -> None:
        from tests.client.budget.test_journal import make_batch

        journal = Journal(store.database)
        journal.plan(make_batch("o"))
        charges = [charge(f"k{n}", 2 * PRICE) for n in range(3)]
        assert self.compare(store, charges).differences == []
        journal.mark_sent("o")
        (found,) = self.compare(store, charges).differences
        assert (found.kind, "run the fetch of run again" in found.said) == ("open", True)
        journal.settle("o", Settlement(300))
        assert self.compare(store, [*charges, charge("o")]).differences == []
