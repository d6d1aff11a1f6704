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

MAX_IDEMPOTENCY_KEY = 255
"""Visible ASCII characters at most."""

__all__ = [
    "BALANCE_USD",
    "CHARGE_ID",
    "COST_USD",
    "IDEMPOTENCY_KEY",
    "IDEMPOTENCY_REPLAYED",
    "MAX_IDEMPOTENCY_KEY",
    "RATELIMIT",
    "RATELIMIT_POLICY",
    "REQUEST_ID",
    "RETRY_AFTER",
    "RETRY_AFTER_MS",
    "SHOULD_RETRY",
    "SPACE_ID",
    "X_RATELIMIT",
]
