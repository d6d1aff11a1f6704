"""What keys may do, how they are replaced, and operators' keys, on both engines."""

import pytest
from sqlalchemy import insert, select, text

from vendor_api.auth import repository
from vendor_api.auth.keys import make_key
from vendor_api.auth.operators import (
    check_operator,
    issue_operator,
    list_operators,
    record_operator_use,
    revoke_operator,
)
from vendor_api.auth.repository import (
    KeyLimits,
    KeySettings,
    issue_key,
    record_use,
    revoke_key,
    rotate_key,
    set_limits,
)
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import cap_window, key_cap

LIMITS = KeyLimits(60, 1000, 2**20, 4)


@pytest.fixture
def connection(shop, api_key):
    """One writing transaction; the shop's key is there before it begins."""
    with shop.database.write() as opened:
        yield opened


def find_key(connection, key_id):
    found = repository.find_key(connection, key_id)
    assert found is not None
    return found


@pytest.fixture
def now(connection):
    return read_clock(connection)


def issue(connection, shop, now, pepper, **settings):
    key = issue_key(connection, now, pepper, shop.account.id, settings=KeySettings(**settings))
    return find_key(connection, key.key_id)


class TestSettings:
    def test_a_key_keeps_what_it_was_made_with(self, connection, shop, now, pepper):
        expires = now + DAY
        key = issue(
            connection, shop, now, pepper, name="lab", scopes=["embed"], expires_at=expires,
            models={"b", "a"}, limits=LIMITS,
        )  # fmt: skip
        assert (key.name, key.scopes, key.expires_at) == ("lab", {"embed"}, expires)
        assert (key.models, key.limits) == ({"a", "b"}, LIMITS)

    def test_the_legacy_word_for_read_is_understood(self, connection, shop, now, pepper, api_key):
        assert issue(connection, shop, now, pepper, scopes=["account"]).scopes == {"read"}
        connection.execute(text("UPDATE api_key SET scopes = 'embed account'"))
        assert find_key(connection, api_key.key_id).scopes == {"embed", "read"}

    @pytest.mark.parametrize("scopes", [[], ["admin"], ["embed", "*"]])
    def test_unknown_scopes_are_refused(self, connection, shop, now, pepper, scopes):
        with pytest.raises(ValueError, match="choose from embed and read"):
            issue(connection, shop, now, pepper, scopes=scopes)

    def test_a_key_works_until_it_expires_or_is_revoked(self, connection, shop, now, pepper):
        key = issue(connection, shop, now, pepper, expires_at=now + DAY)
        assert key.works_at(now + DAY - 1)
        assert not key.works_at(now + DAY)
        assert revoke_key(connection, now, key.id)
        assert not find_key(connection, key.id).works_at(now)

    def test_limits_and_last_use_can_be_set(self, connection, shop, now, pepper):
        key = issue(connection, shop, now, pepper)
        set_limits(connection, key.id, LIMITS)
        record_use(connection, now, [key.id])
        record_use(connection, now - 5, [key.id, "key_none"])
        changed = find_key(connection, key.id)
        assert (changed.limits, changed.last_used_at) == (LIMITS, now)


class TestRotation:
    def test_the_successor_has_the_same_settings_and_the_old_key_ends(
        self, connection, shop, now, pepper
    ):
        old = issue(connection, shop, now, pepper, name="lab", models={"a"}, limits=LIMITS)
        made = rotate_key(connection, now, pepper, old, overlap=24 * HOUR)
        new = find_key(connection, made.key_id)
        assert (new.name, new.models, new.limits, new.account_id) == (
            "lab", {"a"}, LIMITS, shop.account.id,
        )  # fmt: skip
        assert (new.rotated_from, new.expires_at) == (old.id, None)
        assert find_key(connection, old.id).expires_at == now + 24 * HOUR

    def test_a_key_lives_no_longer_for_being_rotated(self, connection, shop, now, pepper):
        old = issue(connection, shop, now, pepper, expires_at=now + HOUR)
        made = rotate_key(connection, now, pepper, old, overlap=24 * HOUR)
        assert find_key(connection, old.id).expires_at == now + HOUR
        assert find_key(connection, made.key_id).expires_at == now + HOUR

    def test_caps_go_along_one_for_ever_as_what_is_left_of_it(self, connection, shop, now, pepper):
        old = issue(connection, shop, now, pepper)
        for window, used in (("ever", 300), ("day", 400)):
            cap = {"key_id": old.id, "kind": "spend", "window": window}
            connection.execute(insert(key_cap).values(**cap, cap=500))
            connection.execute(insert(cap_window).values(**cap, starts_at=0, used=used, held=50))
        made = rotate_key(connection, now, pepper, old, overlap=0)
        caps = select(key_cap.c.window, key_cap.c.cap).where(key_cap.c.key_id == made.key_id)
        assert dict(tuple(row) for row in connection.execute(caps)) == {"ever": 150, "day": 500}
        counted = select(cap_window).where(cap_window.c.key_id == made.key_id)
        assert connection.execute(counted).all() == []


class TestOperators:
    def test_a_key_opens_what_its_role_says(self, connection, now, pepper):
        key = issue_operator(connection, now, pepper, name="eva", role="viewer")
        operator = check_operator(connection, now, pepper, key.text)
        assert operator is not None
        assert (operator.name, operator.role, operator.id) == ("eva", "viewer", key.key_id)
        assert key.text[24:67] not in repr(operator)

    def test_wrong_revoked_expired_and_customers_keys_open_nothing(
        self, connection, now, pepper, api_key
    ):
        key = issue_operator(
            connection, now, pepper, name="eva", role="admin", expires_at=now + DAY
        )
        assert check_operator(connection, now + DAY, pepper, key.text) is None
        assert (
            check_operator(connection, now, b"quite another pepper of 32 bytes", key.text) is None
        )
        for other in (make_key("admin").text, api_key.text, key.text[:-1], ""):
            assert check_operator(connection, now, pepper, other) is None
        assert revoke_operator(connection, now, key.key_id)
        assert not revoke_operator(connection, now, key.key_id)
        assert check_operator(connection, now, pepper, key.text) is None

    def test_last_use_is_listed(self, connection, now, pepper):
        key = issue_operator(connection, now, pepper, name="eva", role="admin")
        record_operator_use(connection, now, key.key_id)
        (listed,) = list_operators(connection)
        assert listed.last_used_at == now
