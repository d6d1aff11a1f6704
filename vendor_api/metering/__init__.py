"""What a request costs, and the only road on which it is paid."""

from vendor_api.metering.quote import Asked, Quote, quote_items
from vendor_api.metering.refusals import translate
from vendor_api.metering.service import Meter, NothingDelivered, Order, Settlement

__all__ = [
    "Asked",
    "Meter",
    "NothingDelivered",
    "Order",
    "Quote",
    "Settlement",
    "quote_items",
    "translate",
]
