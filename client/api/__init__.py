"""The vendor's API as Python: typed calls, typed errors, every paid call safe to repeat."""

from client.api.answers import (
    EmbeddedItem,
    EmbeddingResult,
)
from client.api.async_client import AsyncVendorClient
from client.api.calls import ImageInput, Input, TextInput, content_key
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
    InvalidInputError,
    MissingKeyError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    UnprocessableEntityError,
    VendorError,
)
from client.api.inputs import Picture
from client.api.retry import Retry

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncVendorClient",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "EmbeddedItem",
    "EmbeddingResult",
    "ImageInput",
    "Input",
    "InternalServerError",
    "InvalidAnswerError",
    "InvalidInputError",
    "MissingKeyError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "Picture",
    "RateLimitError",
    "RequestTooLargeError",
    "Retry",
    "TextInput",
    "UnprocessableEntityError",
    "VendorClient",
    "VendorError",
    "content_key",
]
