"""What the forms about one account ask for."""

from dataclasses import replace

from vendor_api.admin.books import read_account
from vendor_api.admin.documents import AccountDocument
from vendor_api.admin.refusals import read
from vendor_api.dashboard.form_pages import Entry, Form
from vendor_api.dependencies import Shop

_DOLLARS = "US dollars with a point and at most nine decimals, like 2.50."
_REASON = Entry("reason", "Reason", "Kept in the audit log, for whoever asks later.")
_REASON_DEMANDED = replace(_REASON, required=True)

OPENING = Form(
    title="Open an account",
    action="/dashboard/accounts",
    submit="Open the account",
    back="/dashboard/accounts",
    entries=(
        Entry("name", "Name", "Unique, of your choice: a customer's name.", required=True),
        Entry(
            "credit_limit_usd",
            "Credit limit",
            f"What it may owe. Empty: nothing. {_DOLLARS}",
            digits=True,
        ),
    ),
)
CREDIT = Form(
    title="Top up",
    action="credits",
    submit="Look at it first",
    back="",
    entries=(
        Entry("amount_usd", "Amount", _DOLLARS, required=True, digits=True),
        Entry(
            "kind",
            "Kind",
            "Money that was paid in is a credit; money given away is a promo.",
            "choice",
            (("credit", "credit: paid in"), ("promo", "promo: given away")),
        ),
        Entry(
            "external_ref",
            "Reference",
            "The invoice's or payment's own number: each is booked once.",
            required=True,
        ),
        Entry(
            "expires_at",
            "Expires",
            "Empty: never. A date like 2027-01-31, its first instant in UTC, or 2027-01-31T12:00:00Z.",
        ),
        _REASON,
    ),
)
ADJUSTMENT = Form(
    title="Correct the balance",
    action="adjustments",
    submit="Look at it first",
    back="",
    entries=(
        Entry(
            "amount_usd",
            "Amount",
            f"{_DOLLARS} With a minus to take money away: -2.50.",
            required=True,
        ),
        Entry(
            "external_ref",
            "Reference",
            "The correction's own number: each is booked once.",
            required=True,
        ),
        _REASON_DEMANDED,
    ),
    intro=("To give back what a charge cost, refund the charge instead.",),
)
FREEZING = Form(
    title="Freeze",
    action="freeze",
    submit="Freeze the account",
    back="",
    entries=(_REASON_DEMANDED,),
    intro=("It buys nothing more until it is unfrozen. What it holds can still be captured.",),
    danger=True,
)
UNFREEZING = Form(
    title="Unfreeze",
    action="unfreeze",
    submit="Let the account buy again",
    back="",
    entries=(_REASON_DEMANDED,),
)
CLOSING = Form(
    title="Close for ever",
    action="close",
    submit="Look at it first",
    back="",
    entries=(
        _REASON_DEMANDED,
        Entry(
            "refund_external_ref",
            "Reference of the refund",
            "The number of the payment that gives back what was paid in and not spent. "
            "Empty: that is forfeited.",
        ),
    ),
    intro=("Its keys end, its balance is booked to zero, and nothing opens it again.",),
    danger=True,
)
CREDIT_LIMIT = Form(
    title="Change the credit limit",
    action="credit-limit",
    submit="Change the limit",
    back="",
    entries=(
        Entry(
            "credit_limit_usd",
            "Credit limit",
            f"What the account may owe. {_DOLLARS}",
            required=True,
            digits=True,
        ),
    ),
)
LOW_BALANCE = Form(
    title="Warn of a low balance",
    action="low-balance",
    submit="Keep the threshold",
    back="",
    entries=(
        Entry(
            "threshold_usd",
            "Threshold",
            f"Warn while less than this is available. Empty: never warn. {_DOLLARS}",
            digits=True,
        ),
    ),
)

__all__ = [
    "ADJUSTMENT",
    "CLOSING",
    "CREDIT",
    "CREDIT_LIMIT",
    "FREEZING",
    "LOW_BALANCE",
    "OPENING",
    "UNFREEZING",
    "name_account",
    "place_form",
]


async def name_account(shop: Shop, account_id: str) -> AccountDocument:
    """The account that a form is about. Raises VendorError for an unknown one."""
    return await read(shop, lambda c: read_account(c, account_id))


def place_form(form: Form, account: AccountDocument) -> Form:
    """The form for this account."""
    page = f"/dashboard/accounts/{account.id}"
    return replace(
        form, title=f"{form.title}: {account.name}", action=f"{page}/{form.action}", back=page
    )
