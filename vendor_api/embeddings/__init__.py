"""`POST /v1/embeddings`: texts and images to vectors, paid per item."""

from vendor_api.embeddings.service import Call, Counter

__all__ = ["Call", "Counter"]
