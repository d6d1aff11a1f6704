"""Header names, each written once."""

REQUEST_ID = "x-request-id"
IDEMPOTENCY_KEY = "idempotency-key"
IDEMPOTENCY_REPLAYED = "idempotency-replayed"
COST_USD = "x-cost-usd"
"""Decimal dollars, nine places, charged for this answer."""
BALANCE_USD = "x-balance-usd"
"""Decimal dollars, nine places, still available to the account after this answer."""
CHARGE_ID = "x-charge-id"
SPACE_ID = "x-space-id"
"""The private space of the account that these vectors lie in; absent: everybody's."""
SHOULD_RETRY = "x-should-retry"
"""`true` or `false`: the vendor's word on whether the same request may be sent again."""
RETRY_AFTER = "retry-after"
RETRY_AFTER_MS = "retry-after-ms"
RATELIMIT_POLICY = "ratelimit-policy"
RATELIMIT = "ratelimit"
"""Both as in draft-ietf-httpapi-ratelimit-headers-10: what a key may do, and how far it has got."""
X_RATELIMIT = "x-ratelimit-"
"""OpenAI's names: `x-ratelimit-{limit,remaining,reset}-{requests,items}`."""

COUNT = "x-count"
DIMENSION = "x-dim"
DTYPE = "x-dtype"
SHAPE = "x-shape"
MODEL = "x-model"
ERRORS = "x-errors"
"""Of answers in octets, and SHAPE and DTYPE of tensors sent: rows, columns, number format, `id@revision`,
and, as JSON, the index and code of every item that has no vector."""
ERROR_MESSAGES = "x-error-messages"
"""Of answers in octets, as JSON in ASCII: sentence → indexes of the items that have no vector because of it,
of as many sentences as fit `MAX_ERROR_MESSAGES`."""
MAX_ERROR_MESSAGES = 2000
"""Characters at most: proxies refuse heads of more than 4 KiB, and the codes of 64 items take 1.3."""
FREE = "x-free"
TRUNCATED = "x-truncated"
USAGE = "x-usage"
"""Of answers in octets, as JSON: indexes of delivered items that cost nothing, of texts that were cut
(both only if there are any), and tokens and images as `usage` has them."""
SERVER_TIMING = "server-timing"
METADATA = "metadata"
"""JSON that places each item in an answer in octets, as vLLM's `bytes` has it."""

MAX_IDEMPOTENCY_KEY = 255
"""Visible ASCII characters at most."""

__all__ = [
    "BALANCE_USD",
    "CHARGE_ID",
    "COST_USD",
    "COUNT",
    "DIMENSION",
    "DTYPE",
    "ERRORS",
    "ERROR_MESSAGES",
    "FREE",
    "IDEMPOTENCY_KEY",
    "IDEMPOTENCY_REPLAYED",
    "MAX_ERROR_MESSAGES",
    "MAX_IDEMPOTENCY_KEY",
    "METADATA",
    "MODEL",
    "RATELIMIT",
    "RATELIMIT_POLICY",
    "REQUEST_ID",
    "RETRY_AFTER",
    "RETRY_AFTER_MS",
    "SERVER_TIMING",
    "SHAPE",
    "SHOULD_RETRY",
    "SPACE_ID",
    "TRUNCATED",
    "USAGE",
    "X_RATELIMIT",
]
