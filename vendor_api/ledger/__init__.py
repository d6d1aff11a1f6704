"""Money: who has paid in, what is held, what was charged, exactly once each."""

from vendor_api.ledger.audit import Audit, Violation
from vendor_api.ledger.ledger import Ledger

__all__ = ["Audit", "Ledger", "Violation"]
