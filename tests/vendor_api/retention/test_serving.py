"""A server sees to what is kept by itself: nobody has to remember the command."""

import asyncio

import pytest

from tests.vendor_api.admin.conftest import office
from vendor_api.settings import VendorSettings

__all__ = ["office"]


@pytest.fixture
def settings():
    return VendorSettings(audit_seconds=0, erase_days=0, erase_seconds=0.02)


async def test_a_closed_account_is_erased_while_the_vendor_serves(office, vendor):
    await vendor.embed("a cat", "a dog")
    account = f"/v1/admin/accounts/{office.account_id}"
    assert (await office.admin.post(f"{account}/close", json={"reason": "bye"})).status_code == 200
    async with asyncio.timeout(30):
        while (await office.balance())["name"] == "ada":  # noqa: ASYNC110  (a thread sets no event)
            await asyncio.sleep(0.01)
    last = await office.last_action()
    assert (last["actor"], last["action"]) == ("retention", "account.erase")
    assert last["detail"] == {"purchases": 2, "keys": 1}
    assert (await office.admin.get("/v1/admin/retention")).json()["due"] == []
