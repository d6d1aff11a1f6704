"""What an account can see of its own money: balance, usage, charges."""

from vendor_api.account.endpoints import router

__all__ = ["router"]
