"""The vendor's books on another disk, and back: whole, checked, and tied to their pepper."""

from vendor_api.backup.restore import restore_backup
from vendor_api.backup.write import write_backup

__all__ = ["restore_backup", "write_backup"]
