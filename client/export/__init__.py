"""Take a finished student elsewhere, and tell its story; importing this package needs no torch."""

__all__: list[str] = []
