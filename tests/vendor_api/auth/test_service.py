"""From a bearer token to an account, on both engines."""

from pathlib import Path

import pytest

from vendor_api.auth import Authenticator, InvalidKey
from vendor_api.auth.keys import make_key
from vendor_api.auth.repository import find_key, list_keys, revoke_key
from vendor_api.auth.service import CACHE_SECONDS
from vendor_api.db import read_clock
from vendor_api.ledger.commands import LedgerUnavailable


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def authenticator(vendor_database_url, pepper, clock):
    opened = Authenticator.open(vendor_database_url, pepper, clock=clock)
    yield opened
    await opened.close()


def revoke_elsewhere(shop, key_id):
    with shop.database.write() as connection:
        assert revoke_key(connection, read_clock(connection), key_id)


async def test_wrong_key(authenticator, api_key):
    with pytest.raises(InvalidKey, match="not known"):
        await authenticator.authenticate(make_key().text)


async def test_a_key_names_its_account_and_scopes(authenticator, api_key, shop):
    principal = await authenticator.authenticate(api_key.text)
    assert (principal.account_id, principal.key_id) == (shop.account.id, api_key.key_id)
    assert principal.scopes == {"embed", "read"}
    assert await authenticator.authenticate(api_key.text) == principal


async def test_a_right_id_with_a_wrong_secret_is_refused(authenticator, api_key, shop):
    other = make_key()
    with shop.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE api_key SET id = '{other.key_id}'")
    with pytest.raises(InvalidKey, match="not known"):
        await authenticator.authenticate(other.text)


async def test_another_pepper_knows_no_key(vendor_database_url, api_key):
    other = Authenticator.open(vendor_database_url, b"quite another pepper of 32 bytes")
    with pytest.raises(InvalidKey):
        await other.authenticate(api_key.text)
    await other.close()


async def test_a_mistyped_key_is_refused_without_asking_the_database(authenticator, shop):
    with shop.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE api_key RENAME TO gone")
    with pytest.raises(InvalidKey, match="malformed"):
        await authenticator.authenticate("vl2v_live_mistyped")
    with pytest.raises(LedgerUnavailable):
        await authenticator.authenticate(make_key().text)


async def test_a_known_key_is_remembered(authenticator, api_key, shop):
    await authenticator.authenticate(api_key.text)
    with shop.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE api_key RENAME TO gone")
    await authenticator.authenticate(api_key.text)


async def test_a_key_revoked_here_ends_at_once(authenticator, api_key):
    await authenticator.authenticate(api_key.text)
    assert await authenticator.revoke(api_key.key_id)
    with pytest.raises(InvalidKey, match="revoked"):
        await authenticator.authenticate(api_key.text)
    assert not await authenticator.revoke(api_key.key_id)


async def test_a_key_revoked_elsewhere_ends_within_half_a_minute(
    authenticator, api_key, shop, clock
):
    assert CACHE_SECONDS <= 30
    await authenticator.authenticate(api_key.text)
    revoke_elsewhere(shop, api_key.key_id)
    await authenticator.authenticate(api_key.text)
    clock.now += CACHE_SECONDS
    with pytest.raises(InvalidKey, match="revoked"):
        await authenticator.authenticate(api_key.text)


def test_only_a_hash_is_stored(shop, api_key):
    secret = api_key.text[23:66]
    with shop.database.read() as connection:
        (key,) = list_keys(connection, shop.account.id)
        assert find_key(connection, api_key.key_id) == key
        assert find_key(connection, "key_none") is None
        assert secret.encode() not in key.secret_hmac
        assert len(key.secret_hmac) == 32
    if (path := shop.database.url.database) and shop.database.url.drivername == "sqlite":
        stored = b"".join(file.read_bytes() for file in Path(path).parent.iterdir())
        assert secret.encode() not in stored
