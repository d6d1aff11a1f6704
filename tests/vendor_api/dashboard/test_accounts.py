"""Accounts in a table and one of them whole: every number is the database's, every name is escaped."""

from typing import Any


class TestAll:
    async def test_it_shows(self, visitor_client: Any, vendor: Any) -> None:
        await vendor.embed("a", "b")
        viewer = await visitor_client("admin")
        for path in ("/dashboard/accounts", f"/dashboard/accounts/{viewer.account_id}", "/dashboard/keys", "/dashboard/keys/new", "/dashboard/prices", "/dashboard/prices/what-if", "/dashboard/prices/what-if?model=icon-clip&image_usd=1&text_usd=0.1", "/dashboard/accounts/new", *(f"/dashboard/accounts/{viewer.account_id}/{x}" for x in ("credits", "adjustments", "freeze", "unfreeze", "credit-limit", "low-balance"))):
            answer = await viewer.get(path)
            print(path, answer.status_code)
            print(answer.text if answer.status_code != 200 or "accounts/acct" in path and path.endswith(viewer.account_id) else "")
            print(await viewer.json(path))
        assert 0
