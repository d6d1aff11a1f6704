"""Everything bought, kept on this machine: vectors, model documents, and what files were read."""

from client.cache.archive import ArchiveError, export_archive
from client.cache.database import CacheError, Database, open_database
from client.cache.digests import FileDigests
from client.cache.imports import Imported, import_archive
from client.cache.integrity import check_integrity
from client.cache.inventory import Inventory, take_inventory
from client.cache.pruning import Selection, drop_vectors, plan_drop
from client.cache.spaces import SpacesMixed, require_same_space
from client.cache.store import EmbeddingStore, ModelNotCached, Purpose
from client.cache.verification import Verification, verify_cache

__all__ = [
    "ArchiveError",
    "CacheError",
    "Database",
    "EmbeddingStore",
    "FileDigests",
    "Imported",
    "Inventory",
    "ModelNotCached",
    "Purpose",
    "Selection",
    "SpacesMixed",
    "Verification",
    "check_integrity",
    "drop_vectors",
    "export_archive",
    "import_archive",
    "open_database",
    "plan_drop",
    "require_same_space",
    "take_inventory",
    "verify_cache",
]
