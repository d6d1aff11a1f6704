"""A till: one customer without credit, at a time that the test chooses."""

import pytest

from tests.vendor_api.ledger.till import Till


@pytest.fixture
def till(shop, api_key):
    opened = Till(shop, api_key.key_id)
    yield opened
    opened.require_right_books()
