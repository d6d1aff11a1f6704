"""Random histories against the oracle: others than those of `tests/vendor_api/ledger`, and fewer."""

import pytest
from hypothesis import given, seed, settings

from tests.vendor_api.ledger.machine import EXAMPLES, SETTINGS, Play, history


@pytest.mark.timeout(3600)
def test_case_16_every_history_matches_the_oracle(shop, api_key):
    @seed(16)
    @settings(SETTINGS, max_examples=EXAMPLES // 10, derandomize=False)
    @given(history)
    def check(played):
        limit, commands = played
        Play(shop, api_key.key_id, limit).run(commands)

    check()
