"""The vendor's API as Python: typed calls, typed errors, every paid call safe to repeat."""

from client.api.answers import (
    EmbeddedItem,
    EmbeddingResult,
)
from client.api.calls import ImageInput, Input, TextInput
from client.api.client import VendorClient
from client.api.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    InvalidAnswerError,
    MissingKeyError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    UnprocessableEntityError,
    VendorError,
)

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "EmbeddedItem",
    "EmbeddingResult",
    "ImageInput",
    "Input",
    "InternalServerError",
    "InvalidAnswerError",
    "MissingKeyError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "TextInput",
    "UnprocessableEntityError",
    "VendorClient",
    "VendorError",
]
