"""What an account with a private space gets: its own vectors, named, and paid for once."""

import asyncio

import httpx
import numpy as np
import pytest

from shared import headers
from shared.codecs import decode_base64
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock

REVISION = "0123456789abcdef"


def keyed(key):
    return {headers.IDEMPOTENCY_KEY: key}


def vectors(answer):
    assert answer.status_code == 200, answer.text
    return np.array([row["embedding"] for row in answer.json()["data"]], dtype=np.float32)


async def set_space(office, wanted, account_id=None):
    path = f"/v1/admin/accounts/{account_id or office.account_id}/space"
    answer = await office.admin.post(path, json={"space": wanted})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def neighbour(vendor, shop, pepper):
    """Another customer's connection to the same vendor, and the account's id."""
    account = shop.open_account("bob", "1.00")
    with shop.database.write() as connection:
        key = issue_key(connection, read_clock(connection), pepper, account.id)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(vendor.app),
        base_url="http://vendor",
        headers={"authorization": f"Bearer {key.text}"},
    ) as http:
        yield http, account.id


async def test_nobody_has_a_private_space_until_it_is_asked_for(office, vendor, image_item):
    answer = await vendor.embed(image_item())
    assert "space_id" not in answer.json()
    assert answer.json()["model"] == f"icon-clip@{REVISION}"
    assert headers.SPACE_ID not in answer.headers
    document = (await vendor.http.get("/v1/models/icon-clip")).json()
    assert (document["revision"], document["space_id"]) == (REVISION, None)
    shown = (await office.admin.get(f"/v1/admin/accounts/{office.account_id}/space")).json()
    assert (shown["status"], shown["space_id"], shown["serial"]) == ("off", None, 0)


async def test_cosines_stay_and_vectors_do_not(office, vendor, image_item):
    items = [image_item(10), image_item(90), "a cat", "a dog on a mat"]
    plain = vectors(await vendor.embed(*items))
    await set_space(office, "on")
    private = vectors(await vendor.embed(*items))
    np.testing.assert_allclose(private @ private.T, plain @ plain.T, atol=1e-6)
    assert np.abs(private - plain).max() > 0.1


async def test_every_answer_names_the_space(office, vendor):
    named = await set_space(office, "on")
    answer = await vendor.embed("a cat")
    assert answer.headers[headers.SPACE_ID] == answer.json()["space_id"] == named["space_id"]
    revision = f"{REVISION}~{named['space_id']}"
    assert answer.json()["model"] == f"icon-clip@{revision}"
    listed = (await vendor.http.get("/v1/models")).json()["data"][0]
    assert (listed["revision"], listed["space_id"]) == (revision, named["space_id"])
    one = await vendor.http.get(f"/v1/models/icon-clip@{revision}")
    assert one.json()["revision"] == revision
    shown = await office.balance()
    assert shown["space_id"] == named["space_id"]


async def test_a_request_for_another_space_is_refused_and_costs_nothing(office, vendor):
    before = await vendor.available()
    named = (await set_space(office, "on"))["space_id"]
    answer = await vendor.embed("a cat", model=f"icon-clip@{REVISION}")
    assert (answer.status_code, answer.json()["code"]) == (409, "revision_changed")
    assert f"Ask for icon-clip@{REVISION}~{named}" in answer.json()["detail"]
    await set_space(office, "off")
    answer = await vendor.embed("a cat", model=f"icon-clip@{REVISION}~{named}")
    assert (answer.status_code, answer.json()["code"]) == (409, "revision_changed")
    assert (await vendor.http.get(f"/v1/models/icon-clip@{REVISION}~{named}")).status_code == 409
    assert await vendor.available() == before


async def test_a_neighbour_in_the_same_batch_is_answered_in_its_own_space(
    office, vendor, neighbour, image_item
):
    bob, _ = neighbour
    plain = vectors(await vendor.embed(image_item(1)))
    body = {"model": "icon-clip", "input": [image_item(1)]}
    await set_space(office, "on")
    vendor.model.gate.clear()
    waiting = [
        asyncio.create_task(bob.post("/v1/embeddings", json=body)),
        asyncio.create_task(vendor.embed(image_item(1))),
    ]
    await asyncio.to_thread(vendor.model.entered.wait, 10)
    vendor.model.gate.set()
    theirs, mine = await asyncio.gather(*waiting)
    np.testing.assert_allclose(vectors(theirs), plain, atol=1e-6)
    assert np.abs(vectors(mine) - plain).max() > 0.1


async def test_two_accounts_have_two_spaces(office, vendor, neighbour):
    bob, bob_id = neighbour
    mine = await set_space(office, "on")
    theirs = await set_space(office, "on", bob_id)
    assert mine["space_id"] != theirs["space_id"]
    body = {"model": "icon-clip", "input": ["a cat"]}
    left = vectors(await vendor.embed("a cat"))
    right = vectors(await bob.post("/v1/embeddings", json=body))
    assert np.abs(left - right).max() > 0.1


async def test_a_replay_gives_the_same_vectors_for_nothing(office, vendor, image_item):
    await set_space(office, "on")
    first = await vendor.embed(image_item(), "a cat", headers=keyed("k"))
    again = await vendor.embed(image_item(), "a cat", headers=keyed("k"))
    assert again.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
    np.testing.assert_allclose(vectors(again), vectors(first), atol=1e-6)
    assert again.json()["space_id"] == first.json()["space_id"]


async def test_a_key_of_another_space_is_never_replayed(office, vendor):
    await vendor.embed("a cat", headers=keyed("k"))
    await set_space(office, "on")
    answer = await vendor.embed("a cat", headers=keyed("k"))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    await set_space(office, "off")
    again = await vendor.embed("a cat", headers=keyed("k"))
    assert again.headers[headers.IDEMPOTENCY_REPLAYED] == "true"


async def test_what_was_bought_is_free_in_a_new_space(office, vendor, image_item):
    items = (image_item(7), "a cat")
    paid = await vendor.embed(*items)
    assert paid.json()["cost_usd"] == "0.000110000"
    for wanted in ("on", "new", "off"):
        await set_space(office, wanted)
        free = await vendor.embed(*items)
        assert free.json()["cost_usd"] == "0.000000000"


async def test_a_space_turned_on_again_is_the_same_and_a_new_one_is_not(office, vendor):
    first = await set_space(office, "on")
    one = vectors(await vendor.embed("a cat"))
    await set_space(office, "off")
    again = await set_space(office, "on")
    assert (again["space_id"], again["serial"]) == (first["space_id"], 1)
    np.testing.assert_allclose(vectors(await vendor.embed("a cat")), one, atol=1e-6)
    other = await set_space(office, "new")
    assert other["serial"] == 2
    assert other["space_id"] != first["space_id"]
    assert np.abs(vectors(await vendor.embed("a cat")) - one).max() > 0.1


async def test_only_a_change_is_written_to_the_audit_log(office):
    await set_space(office, "off")
    named = await set_space(office, "on")
    await set_space(office, "on")
    log = (await office.admin.get("/v1/admin/audit-log?limit=1000")).json()["data"]
    changes = [line for line in log if line["action"] == "account.space"]
    assert len(changes) == 1
    assert changes[0]["detail"] == {"space": "on", "space_id": named["space_id"], "serial": 1}
    assert changes[0]["actor"] == office.admin_key.key_id


async def test_float16_is_rounded_after_the_rotation(office, vendor, image_item):
    await set_space(office, "on")
    exact = vectors(await vendor.embed(image_item()))[0]
    answer = await vendor.embed(image_item(), encoding_format="base64", embed_dtype="float16")
    rounded = decode_base64(answer.json()["data"][0]["embedding"], "float16")
    np.testing.assert_array_equal(rounded, exact.astype(np.float16).astype(np.float32))


async def test_a_spoilt_item_does_not_shift_its_neighbours(office, vendor, image_item):
    whole = {"image": image_item(20)["image"]}
    await set_space(office, "on")
    alone = vectors(await vendor.embed(whole))[0]
    spoilt = image_item(255)  # the model refuses this picture
    answer = (await vendor.embed(spoilt, whole, "a cat")).json()["data"]
    assert answer[0]["embedding"] is None
    np.testing.assert_allclose(answer[1]["embedding"], alone, atol=1e-6)


async def test_an_operator_who_may_only_look_cannot_change_it(office):
    path = f"/v1/admin/accounts/{office.account_id}/space"
    assert (await office.viewer.post(path, json={"space": "on"})).status_code == 403
    assert (await office.viewer.get(path)).status_code == 200
    assert (await office.customer.get(path)).status_code == 403
    assert (await office.admin.post(path, json={"space": "sideways"})).status_code == 400
    unknown = "/v1/admin/accounts/acct_none/space"
    assert (await office.admin.get(unknown)).status_code == 404
    assert (await office.admin.post(unknown, json={"space": "on"})).status_code == 404
