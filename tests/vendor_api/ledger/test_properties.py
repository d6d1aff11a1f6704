"""Any sequence of commands leaves the ledger where a small oracle says it should be."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.vendor_api.ledger.machine import SETTINGS, Play


@pytest.mark.timeout(3600)
def test_every_history_matches_the_oracle(shop, api_key):
    run_state_machine_as_test(lambda: Play(shop, api_key.key_id), settings=SETTINGS)
