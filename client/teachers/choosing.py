"""Which teacher a word such as `openai:http://127.0.0.1:7997` means."""

import time
from collections.abc import Callable

from client.api import Retry, VendorClient
from client.api.http import Transport
from client.api.retry import ignore
from client.cache.documents import VENDOR
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import local, openai_compatible
from client.teachers.endpoint import Endpoint
from client.teachers.local import LocalTeacher
from client.teachers.openai_compatible import OpenAICompatibleTeacher
from client.teachers.protocol import Teacher
from client.teachers.terms import NO_TERMS, Terms, refuse_terms
from client.teachers.vendor import VendorTeacher

FORMS = (
    f"{VENDOR}, {openai_compatible.PREFIX}URL such as openai:http://127.0.0.1:7997, or "
    f"{local.PREFIX}WEIGHTS with local-dir:PATH or ARCHITECTURE/TAG"
)

__all__ = ["FORMS", "check_spec", "open_teacher"]


def check_spec(spec: str) -> str:
    """The spec itself. Raises UsageError for one that means no teacher."""
    kind, colon, rest = spec.partition(":")
    known = f"{kind}{colon}" in (openai_compatible.PREFIX, local.PREFIX)
    if spec != VENDOR and not (known and rest):
        raise UsageError(f"there is no teacher {spec!r}: write {FORMS}")
    return spec


def open_teacher(
    spec: str,
    settings: ClientSettings,
    terms: Terms = NO_TERMS,
    *,
    transport: Transport | None = None,
    sleep: Callable[[float], object] = time.sleep,
    on_retry: Callable[[Retry], None] = ignore,
) -> Teacher:
    """The teacher; nothing is asked or loaded yet.

    `sleep` waits between tries, and answers true when the wait is to be cut short; `on_retry` hears
    of each try of a vendor's that failed for the moment. Raises UsageError
    for a spec that means none and for terms that it does not take, VendorError for an address that
    may not be used, MissingKeyError for a vendor without a key.
    """
    kind, _, rest = check_spec(spec).partition(":")
    if spec == VENDOR:
        refuse_terms(terms)
        return VendorTeacher(VendorClient(transport=transport, sleep=sleep, on_retry=on_retry))
    if f"{kind}:" == local.PREFIX:
        return LocalTeacher(rest, terms)
    key = settings.teacher_api_key
    endpoint = Endpoint(
        rest,
        key=key.get_secret_value().strip() if key else None,
        insecure=settings.insecure,
        transport=transport,
        sleep=sleep,
    )
    return OpenAICompatibleTeacher(endpoint, terms)
