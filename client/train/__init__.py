"""Distil bought embeddings into a small model; importing this package needs no torch."""

__all__: list[str] = []
