"""`GET /v1/models`: what is on sale, at which price, and how to repeat its preprocessing."""

from vendor_api.models.service import Catalogue

__all__ = ["Catalogue"]
