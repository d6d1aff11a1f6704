"""How much of a model's embedding space each account has been sold: a sketch, never a vector."""

from vendor_api.coverage.keeper import Coverage
from vendor_api.coverage.sketch import BUCKETS, find_buckets

__all__ = ["BUCKETS", "Coverage", "find_buckets"]
