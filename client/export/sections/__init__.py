"""The report's sections, one subject a module; each gives blocks, or nothing where it has no data."""

__all__: list[str] = []
