"""Blacks secrets out of whatever is written down: keys, credentials, passwords, the pepper."""

import re
from collections.abc import Mapping
from typing import Any

from vendor_api.auth import keys

HIDDEN = "…"
MIN_SECRET = 8
"""A shorter text is no secret, and blacking it out would make lines unreadable."""

_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;)}\]]+")
_URL_PASSWORD = re.compile(r"(?<=//)([^\s:/@'\"]*):[^\s'\"]+@")
_SECRET_NAME = re.compile(
    r"(?i)(authorization|cookie|credential|csrf|passphrase|password|pepper|secret|token)$"
)
_hidden: set[str] = set()

__all__ = ["HIDDEN", "hide", "redact", "redact_value"]


def hide(*secrets: str | bytes | None) -> None:
    """Black these very texts out from now on, wherever they stand."""
    for secret in secrets:
        text = secret.decode(errors="replace") if isinstance(secret, bytes) else secret or ""
        if len(text) >= MIN_SECRET:
            _hidden.add(text)


def redact(text: str) -> str:
    """The text without secrets; of an API key its prefix stays."""
    text = keys.redact(text)
    text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    for secret in _hidden:
        text = text.replace(secret, HIDDEN)
    return text


def redact_value(name: str, value: Any) -> Any:
    """A log line's value without secrets, however deep; all of it when its name is a secret's."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): redact_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value("", inner) for inner in value]
    return redact(value if isinstance(value, str) else repr(value))
