"""Held charges are found through their own index, however many charges there are."""

import pytest
from sqlalchemy import select, text

from vendor_api.db.tables import charge
from vendor_api.ledger.holds import HELD, held_by


@pytest.mark.parametrize("held", [HELD, held_by("acct_1")], ids=["of all", "of one account"])
def test_the_index_over_held_charges_is_used(make_shop, sqlite_url, held):
    query = select(charge.c.reserved_nanousd).where(held)
    with make_shop(sqlite_url).database.read() as connection:
        written = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {written}")).all()
    assert "ix_charge_overdue" in str(plan)
