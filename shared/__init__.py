"""What the vendor and the client agree on: wire shapes, money, digests, codecs."""

DISTRIBUTION = "vl2v"
"""The distribution these packages belong to; both sides check it before they trust this package."""

__all__ = ["DISTRIBUTION"]
