"""What a key may do: its scopes, and the models it may buy from."""

from typing import Literal

from shared.errors import ErrorCode
from vendor_api.auth.service import Principal
from vendor_api.errors import VendorError

Scope = Literal["embed", "read"]

__all__ = ["Scope", "check_model", "check_scope"]


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raises VendorError (403) naming the scope that the key lacks."""
    if scope not in principal.scopes:
        raise VendorError(
            ErrorCode.FORBIDDEN,
            f"The API key lacks the scope `{scope}`: use a key that has it, or ask for one.",
        )


def check_model(principal: Principal, model_id: str) -> None:
    """Raises VendorError (403) for a model that the key may not buy from."""
    if principal.models is not None and model_id not in principal.models:
        allowed = ", ".join(sorted(principal.models)) or "none"
        raise VendorError(
            ErrorCode.FORBIDDEN,
            f"The API key may not buy from {model_id}; it may buy from: {allowed}.",
            param="model",
        )
