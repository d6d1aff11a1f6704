"""Any sequence of commands leaves the ledger where a small oracle says it should be.

200 histories of 30 commands on each engine; `make nightly` plays ten times as many.
"""

import pytest
from hypothesis import given

from tests.vendor_api.ledger.machine import SETTINGS, Play, history


@pytest.mark.timeout(3600)
def test_case_16_every_history_matches_the_oracle(shop, api_key):
    @SETTINGS
    @given(history)
    def check(played):
        limit, commands = played
        Play(shop, api_key.key_id, limit).run(commands)

    check()
