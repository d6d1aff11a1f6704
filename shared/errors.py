"""Every error code the vendor answers with: its status, its title, whether to try again."""

from dataclasses import dataclass
from enum import StrEnum

TYPE_PREFIX = "urn:vl2v:error:"
"""RFC 9457 `type` of a problem: this prefix and the code. Stable; the client's exceptions key on it."""


class ErrorCode(StrEnum):
    """What went wrong, in one stable word."""

    INVALID_REQUEST = "invalid_request"
    INVALID_IMAGE = "invalid_image"
    INVALID_TEXT = "invalid_text"
    NO_VALID_ITEM = "no_valid_item"
    ITEMS_REFUSED = "items_refused"
    INVALID_API_KEY = "invalid_api_key"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    SPEND_CAP_REACHED = "spend_cap_reached"
    FORBIDDEN = "forbidden"
    ACCOUNT_FROZEN = "account_frozen"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MODEL_NOT_FOUND = "model_not_found"
    REQUEST_TIMEOUT = "request_timeout"
    REQUEST_IN_FLIGHT = "request_in_flight"
    REVISION_CHANGED = "revision_changed"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    REQUEST_TOO_LARGE = "request_too_large"
    RATE_LIMITED = "rate_limited"
    REPLAY_LIMIT = "replay_limit"
    NOT_READY = "not_ready"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
    REFERENCE_REUSED = "reference_reused"
    OVER_REFUND = "over_refund"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """How a code travels: HTTP status, a title for people, whether the same request may be resent."""

    status: int
    title: str
    retryable: bool


ERROR_KINDS: dict[ErrorCode, ErrorKind] = {
    ErrorCode.INVALID_REQUEST: ErrorKind(400, "The request is not valid", False),
    ErrorCode.INVALID_IMAGE: ErrorKind(400, "An image cannot be read", False),
    ErrorCode.INVALID_TEXT: ErrorKind(400, "A text cannot be used", False),
    ErrorCode.NO_VALID_ITEM: ErrorKind(422, "No item of the request is valid", False),
    ErrorCode.ITEMS_REFUSED: ErrorKind(422, "An item of an atomic request is not valid", False),
    ErrorCode.INVALID_API_KEY: ErrorKind(401, "The API key is missing or wrong", False),
    ErrorCode.INSUFFICIENT_CREDIT: ErrorKind(402, "The account's credit is too low", False),
    ErrorCode.SPEND_CAP_REACHED: ErrorKind(402, "The key's spending cap is reached", False),
    ErrorCode.FORBIDDEN: ErrorKind(403, "The key may not do this", False),
    ErrorCode.ACCOUNT_FROZEN: ErrorKind(403, "The account is frozen", False),
    ErrorCode.NOT_FOUND: ErrorKind(404, "There is nothing here", False),
    ErrorCode.METHOD_NOT_ALLOWED: ErrorKind(405, "The method is not allowed here", False),
    ErrorCode.MODEL_NOT_FOUND: ErrorKind(404, "The model is not served", False),
    ErrorCode.REQUEST_TIMEOUT: ErrorKind(408, "The request came too slowly", True),
    ErrorCode.REQUEST_IN_FLIGHT: ErrorKind(409, "The same request is still being worked on", True),
    ErrorCode.REVISION_CHANGED: ErrorKind(409, "The model's revision has changed", False),
    ErrorCode.IDEMPOTENCY_KEY_REUSED: ErrorKind(422, "The key was used for other content", False),
    ErrorCode.REQUEST_TOO_LARGE: ErrorKind(413, "The request is too large", False),
    ErrorCode.RATE_LIMITED: ErrorKind(429, "Too many requests", True),
    ErrorCode.REPLAY_LIMIT: ErrorKind(429, "The request was repeated too often today", False),
    ErrorCode.NOT_READY: ErrorKind(503, "The service is not ready", True),
    ErrorCode.OVERLOADED: ErrorKind(503, "The service is overloaded", True),
    ErrorCode.INTERNAL: ErrorKind(500, "The service failed", True),
    ErrorCode.REFERENCE_REUSED: ErrorKind(409, "The reference belongs to another booking", False),
    ErrorCode.OVER_REFUND: ErrorKind(409, "More than the charge has left", False),
    ErrorCode.CONFLICT: ErrorKind(409, "The present state does not allow this", False),
}

__all__ = ["ERROR_KINDS", "TYPE_PREFIX", "ErrorCode", "ErrorKind"]
