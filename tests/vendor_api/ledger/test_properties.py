"""Any sequence of commands leaves the ledger where a small oracle says it should be."""

import pytest
from hypothesis import given

from tests.vendor_api.ledger.machine import SETTINGS, Play, history


@pytest.mark.timeout(3600)
def test_every_history_matches_the_oracle(shop, api_key):
    @SETTINGS
    @given(history)
    def check(played):
        limit, commands = played
        Play(shop, api_key.key_id, limit).run(commands)

    check()
