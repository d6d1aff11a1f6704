"""What a key looks like, and what is let through."""

import pytest

from vendor_api.auth.keys import hash_secret, make_key, parse_key, redact


class TestFormat:
    def test_a_key_can_be_taken_apart_again(self):
        key = make_key()
        assert key.text.startswith("vl2v_live_")
        assert len(key.text) == len("vl2v_live_") + 12 + 1 + 43 + 6
        parts = parse_key(key.text)
        assert parts is not None
        assert parts.key_id == key.key_id == f"key_{key.text[10:22]}"
        assert parts.secret == key.text[23:66]

    def test_no_two_are_alike(self):
        keys = [make_key() for _ in range(200)]
        assert len({key.text for key in keys}) == len({key.key_id for key in keys}) == 200

    @pytest.mark.parametrize("position", [10, 21, 23, 40, 65, 66, 71])
    def test_any_changed_character_breaks_the_checksum(self, position):
        text = make_key().text
        changed = "a" if text[position] != "a" else "b"
        assert parse_key(text[:position] + changed + text[position + 1 :]) is None

    @pytest.mark.parametrize("text", ["", "sk-123", "vl2v_live_", "vl2v_live_é" + "0" * 61])
    def test_other_text_is_not_a_key(self, text):
        assert parse_key(text) is None

    def test_a_key_with_something_behind_it_is_not_a_key(self):
        assert parse_key(make_key().text + "\n") is None
        assert parse_key(make_key().text + "0") is None


class TestSecrecy:
    def test_only_the_public_part_survives_redaction(self):
        key = make_key()
        line = f"authorization: Bearer {key.text}; then {key.text}."
        assert redact(line) == f"authorization: Bearer {key.text[:22]}_…; then {key.text[:22]}_…."

    def test_a_cut_off_key_is_redacted_as_well(self):
        key = make_key().text
        assert key[23:50] not in redact(f"key={key[:50]}")

    def test_neither_part_nor_key_shows_its_secret(self):
        key = make_key()
        assert key.text not in repr(key)
        parts = parse_key(key.text)
        assert parts is not None
        assert parts.secret not in repr(parts)

    def test_the_hash_depends_on_the_pepper(self):
        assert hash_secret(b"one", "secret") != hash_secret(b"two", "secret")
        assert len(hash_secret(b"one", "secret")) == 32


class TestTwoKinds:
    def test_an_operators_key_is_no_customers_key_and_the_other_way_round(self):
        customer, operator = make_key(), make_key("admin")
        assert operator.text.startswith("vl2v_admin_")
        assert operator.key_id == f"opk_{operator.text[11:23]}"
        assert parse_key(operator.text) is None
        assert parse_key(customer.text, "admin") is None
        assert parse_key(operator.text, "admin") is not None

    def test_one_cannot_be_made_of_the_other_by_changing_its_prefix(self):
        assert parse_key(make_key("admin").text.replace("admin", "live", 1)) is None
        assert parse_key(make_key().text.replace("live", "admin", 1), "admin") is None

    def test_an_operators_key_is_redacted_too(self):
        key = make_key("admin")
        assert redact(f"Basic {key.text}") == f"Basic {key.text[:23]}_…"
