"""Operators, pictures, and two accounts at one vendor."""

from tests.vendor_api.admin.conftest import office
from tests.vendor_api.embeddings.conftest import image_item, picture

__all__ = ["image_item", "office", "picture"]
