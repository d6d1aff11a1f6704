"""What the vendor keeps, for how long, and what sees to it that the rest goes."""

from vendor_api.retention.erasing import Erased, accounts_to_erase, erase_names, erase_purchases
from vendor_api.retention.job import Eraser, erase_due
from vendor_api.retention.kept import KEPT, Kept

__all__ = [
    "KEPT",
    "Erased",
    "Eraser",
    "Kept",
    "accounts_to_erase",
    "erase_due",
    "erase_names",
    "erase_purchases",
]
