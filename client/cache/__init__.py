"""Everything bought, kept on this machine: vectors, model documents, and what files were read."""

from client.cache.database import CacheError, Database, open_database
from client.cache.digests import FileDigests
from client.cache.integrity import check_integrity
from client.cache.store import EmbeddingStore, ModelNotCached, Purpose

__all__ = [
    "CacheError",
    "Database",
    "EmbeddingStore",
    "FileDigests",
    "ModelNotCached",
    "Purpose",
    "check_integrity",
    "open_database",
]
