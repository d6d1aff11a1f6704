"""Everything bought, kept on this machine: vectors, model documents, and what files were read."""

from client.cache.database import CacheError, open_database
from client.cache.digests import FileDigests
from client.cache.store import EmbeddingStore, ModelNotCached, Purpose

__all__ = [
    "CacheError",
    "EmbeddingStore",
    "FileDigests",
    "ModelNotCached",
    "Purpose",
    "open_database",
]
