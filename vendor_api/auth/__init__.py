"""Who is asking: API keys that can be told from random text without asking the database."""

from vendor_api.auth.keys import redact
from vendor_api.auth.pepper import open_pepper
from vendor_api.auth.service import Authenticator, InvalidKey, Principal

__all__ = ["Authenticator", "InvalidKey", "Principal", "open_pepper", "redact"]
