"""What can go wrong with a call.

VendorError
├── MissingKeyError            no key at construction
├── InvalidInputError          an item that cannot be sent; nothing was
├── APIConnectionError         no answer arrived; a paid call may or may not have been charged
│   └── APITimeoutError
├── InvalidAnswerError         an answer arrived that is not the vendor's
└── APIStatusError             the vendor refused: status_code, code, request_id, problem
    ├── BadRequestError             400
    ├── AuthenticationError         401
    ├── PaymentRequiredError        402
    ├── PermissionDeniedError       403
    ├── NotFoundError               404
    ├── ConflictError               409
    ├── RequestTooLargeError        413
    ├── UnprocessableEntityError    422
    ├── RateLimitError              429
    └── InternalServerError         500 and above
"""

from collections.abc import Mapping

from pydantic import ValidationError

from client.errors import ClientError
from shared.headers import REQUEST_ID
from shared.wire import Problem

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "InternalServerError",
    "InvalidAnswerError",
    "InvalidInputError",
    "MissingKeyError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "UnprocessableEntityError",
    "VendorError",
    "refusal",
]


class VendorError(ClientError):
    """Base of every error of the API client."""

    retries: int = 0
    """How often the call was tried again before this."""


class MissingKeyError(VendorError):
    """There is no API key to call with."""


class InvalidInputError(VendorError, ValueError):
    """An item cannot be sent; nothing was sent and nothing is charged."""

    def __init__(self, message: str, problems: Mapping[int, str] | None = None) -> None:
        super().__init__(message)
        self.problems = dict(problems or {})
        """Index → what is wrong, of every item that cannot be sent."""


class APIConnectionError(VendorError):
    """No answer: the vendor is down, unreachable, or the connection broke on the way."""


class APITimeoutError(APIConnectionError):
    """No answer within the timeout."""


class InvalidAnswerError(VendorError):
    """The answer is not what the vendor's API promises; something else may be listening there."""


class APIStatusError(VendorError):
    """The vendor answered with an error status."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str],
        problem: Problem | None,
        request_id: str | None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        """Names in lower case."""
        self.request_id = request_id
        """The request's id, to quote to the vendor."""
        self.problem = problem
        """The whole answer, with the error of each item, when it was problem+json."""

    @property
    def code(self) -> str | None:
        """The vendor's stable word for it, such as `insufficient_credit`."""
        return self.problem.code if self.problem else None


class BadRequestError(APIStatusError):
    """400: the request is not valid."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or wrong."""


class PaymentRequiredError(APIStatusError):
    """402: the account's credit or the key's cap does not cover the request."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model or route."""


class ConflictError(APIStatusError):
    """409: the same request is in flight, or the model's revision has changed."""


class RequestTooLargeError(APIStatusError):
    """413: the request is larger than the vendor takes."""


class UnprocessableEntityError(APIStatusError):
    """422: no item is valid, or the idempotency key was used for something else."""


class RateLimitError(APIStatusError):
    """429: too many requests."""


class InternalServerError(APIStatusError):
    """500 and above: the vendor failed."""


_CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


_REMEDIES: dict[int, str] = {
    401: "type `vl2v login`, or set VL2V_API_KEY to a key of this vendor",
    402: "ask the vendor for more credit, then run the same command again: it goes on from here",
    403: "ask the vendor what this key may do",
}


def refusal(status: int, body: bytes, headers: Mapping[str, str]) -> APIStatusError:
    """The error for an answer that is not a success; its text begins with the request's id."""
    problem = _read_problem(body)
    kind = InternalServerError if status >= 500 else _CLASSES.get(status, APIStatusError)
    said = problem.detail if problem else f"the vendor answered {status} without an explanation"
    named = headers.get(REQUEST_ID) or (problem.request_id if problem else None)
    start = f"Request {named}: " if named else ""
    remedy = f"; {_REMEDIES[status]}" if status in _REMEDIES else ""
    message = f"{start}{said.rstrip('.')}{remedy}"
    return kind(message, status_code=status, headers=headers, problem=problem, request_id=named)


def _read_problem(body: bytes) -> Problem | None:
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return None
