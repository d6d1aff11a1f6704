"""What the last check of the books found: the auditor's, that runs with the server, else one made now."""

from collections.abc import Sequence

from fastapi import FastAPI

from vendor_api.admin.documents import IntegrityDocument, ViolationDocument
from vendor_api.admin.refusals import translate_refusal
from vendor_api.db import format_instant
from vendor_api.dependencies import Shop
from vendor_api.ledger.audit import Violation
from vendor_api.ledger.auditor import Auditor
from vendor_api.ledger.commands import LedgerError

__all__ = ["check_books"]


async def check_books(app: FastAPI, shop: Shop) -> IntegrityDocument:
    """The last report of `app.state.auditor` when it has one, else a check of every row.

    Raises VendorError.
    """
    auditor = _find_auditor(app)
    if auditor is not None and auditor.last is not None:
        return _document(auditor.last.violations, auditor.last.at)
    try:
        found = await shop.ledger.verify()
    except LedgerError as error:
        raise translate_refusal(error) from error
    return _document(found.violations, found.at)


def _find_auditor(app: FastAPI) -> Auditor | None:
    return getattr(app.state, "auditor", None)


def _document(violations: Sequence[Violation], at: int) -> IntegrityDocument:
    return IntegrityDocument(
        ok=not violations,
        violations=[
            ViolationDocument(
                rule=each.rule,
                subject=each.subject,
                detail=each.detail,
                account_id=each.account_id,
            )
            for each in violations
        ],
        checked_at=format_instant(at),
    )
