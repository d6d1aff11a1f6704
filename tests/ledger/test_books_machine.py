"""Random histories against the oracle; nightly ten times as many (HYPOTHESIS_PROFILE=nightly)."""

from tests.vendor_api.ledger.test_properties import (
    test_every_history_matches_the_oracle as test_case_16_every_history_matches_the_oracle,
)

__all__ = ["test_case_16_every_history_matches_the_oracle"]
