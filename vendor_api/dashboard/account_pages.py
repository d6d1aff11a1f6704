"""Accounts: all of them in a table, one of them whole, and what changes without moving money."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.money import format_usd
from vendor_api.admin import actions
from vendor_api.admin.fields import AccountId
from vendor_api.admin.low_balance import change_threshold, read_threshold
from vendor_api.admin.orders import AccountChange, AccountOrder, StatusOrder, ThresholdOrder
from vendor_api.admin.refusals import change, read, survey
from vendor_api.dashboard.account_forms import (
    CREDIT_LIMIT,
    FREEZING,
    LOW_BALANCE,
    OPENING,
    UNFREEZING,
    name_account,
    place_form,
)
from vendor_api.dashboard.account_list import AccountSearch, list_accounts
from vendor_api.dashboard.account_view import (
    CHART_DAYS,
    AccountView,
    Movement,
    find_movement,
    list_account_days,
    view_account,
)
from vendor_api.dashboard.callers import AdminVisitor, KeyVisitor, MoneyVisitor, list_rights
from vendor_api.dashboard.day_chart import draw_days
from vendor_api.dashboard.form_pages import Form, carry_out, show_form, show_refusal
from vendor_api.dashboard.forms import begin, read_form
from vendor_api.dashboard.page import HEADERS, render
from vendor_api.dashboard.visitors import CurrentVisitor, Visitor
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import AccountStatus
from vendor_api.ledger.jobs import Work
from vendor_api.runway import LOOK_BACK_DAYS, SPENDING_DAYS

router = APIRouter(prefix="/dashboard/accounts", include_in_schema=False)

_DONE = {
    "opened": "The account is open.",
    "closed": "The account is closed for ever.",
    "frozen": "The account is frozen.",
    "unfrozen": "The account may buy again.",
    "limited": "The credit limit is changed.",
    "watched": "The threshold is kept.",
}

__all__ = ["router"]


@router.get("")
async def get_accounts(
    request: Request,
    shop: CurrentShop,
    visitor: CurrentVisitor,
    search: Annotated[AccountSearch, Query()],
) -> Response:
    """Accounts with their balances and how long those last, searched and sorted."""
    found = await survey(shop, lambda c: list_accounts(c, read_clock(c), search))
    return await render(
        request,
        shop,
        "accounts.html",
        visitor=visitor,
        document=found,
        as_of=found.as_of,
        found=found,
        search=search,
        spending_days=SPENDING_DAYS,
        look_back_days=LOOK_BACK_DAYS,
        may=list_rights(visitor),
    )


@router.get("/new")
async def get_opening(request: Request, shop: CurrentShop, visitor: AdminVisitor) -> Response:
    """The form that opens an account."""
    return await show_form(request, shop, visitor, OPENING)


@router.post("")
async def post_account(request: Request, shop: CurrentShop, visitor: AdminVisitor) -> Response:
    """Open an account and go to its page."""
    filled = read_form(await request.form(), AccountOrder)
    if filled.order is None:
        return await show_form(request, shop, visitor, OPENING, filled)
    name, limit = filled.order.name, filled.order.credit_limit_usd
    try:
        opened = await change(
            shop, "", lambda c, now: actions.open_account(c, now, visitor.id, name, limit)
        )
    except VendorError as error:
        return await show_refusal(request, shop, visitor, OPENING, filled, error)
    return RedirectResponse(f"/dashboard/accounts/{opened.id}?done=opened", 303, HEADERS)


@router.get("/{account_id}")
async def get_account(
    request: Request,
    shop: CurrentShop,
    visitor: CurrentVisitor,
    account_id: AccountId,
    done: str = "",
    booked: Annotated[str, Query(pattern=r"^(txn_[0-9A-Za-z]{1,40})?$")] = "",
    again: bool = False,
) -> Response:
    """One account: balance, runway, use, grants, keys, latest charges, and what can be done."""

    def query(connection: Connection) -> tuple[AccountView, Movement | None]:
        view = view_account(connection, read_clock(connection), account_id, shop.limiter.tally)
        return view, find_movement(connection, account_id, booked) if booked else None

    view, movement = await survey(shop, query)
    return await render(
        request,
        shop,
        "account.html",
        visitor=visitor,
        document=view,
        as_of=view.as_of,
        view=view,
        done=_DONE.get(done),
        movement=movement,
        day_length=DAY,
        again=again,
        may=list_rights(visitor),
    )


@router.get("/{account_id}/usage.json")
async def get_usage(
    shop: CurrentShop,
    _visitor: CurrentVisitor,
    account_id: AccountId,
    days: Annotated[int, Query(ge=1, le=366)] = CHART_DAYS,
) -> Response:
    """Items and dollars a day, for the chart."""
    await name_account(shop, account_id)
    return draw_days(
        await survey(shop, lambda c: list_account_days(c, read_clock(c), account_id, days))
    )


@router.get("/{account_id}/freeze")
async def get_freezing(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, account_id: AccountId
) -> Response:
    """The form that freezes an account."""
    return await _ask(request, shop, visitor, FREEZING, account_id)


@router.post("/{account_id}/freeze")
async def post_freezing(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, account_id: AccountId
) -> Response:
    """Let the account buy nothing more."""
    return await _set_status(request, shop, visitor, FREEZING, account_id, "frozen")


@router.get("/{account_id}/unfreeze")
async def get_unfreezing(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, account_id: AccountId
) -> Response:
    """The form that lets an account buy again."""
    return await _ask(request, shop, visitor, UNFREEZING, account_id)


@router.post("/{account_id}/unfreeze")
async def post_unfreezing(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, account_id: AccountId
) -> Response:
    """Let the account buy again."""
    return await _set_status(request, shop, visitor, UNFREEZING, account_id, "active")


@router.get("/{account_id}/credit-limit")
async def get_credit_limit(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, account_id: AccountId
) -> Response:
    """The form for what an account may owe, with what it may owe now."""
    account = await name_account(shop, account_id)
    now = begin({"credit_limit_usd": account.credit_limit_usd})
    return await show_form(request, shop, visitor, place_form(CREDIT_LIMIT, account), now)


@router.post("/{account_id}/credit-limit")
async def post_credit_limit(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, account_id: AccountId
) -> Response:
    """Let the account owe this much."""
    form = place_form(CREDIT_LIMIT, await name_account(shop, account_id))

    def plan(order: AccountChange) -> Work[object]:
        limit = order.credit_limit_usd
        return lambda c, now: actions.change_credit_limit(c, now, visitor.id, account_id, limit)

    filled = read_form(await request.form(), AccountChange)
    place = f"{form.back}?done=limited"
    return await carry_out(request, shop, visitor, form, filled, plan, place)


@router.get("/{account_id}/low-balance")
async def get_threshold(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """The form for when to warn, with the threshold of now."""
    account = await name_account(shop, account_id)
    threshold = await read(shop, lambda c: read_threshold(c, account_id))
    typed = {} if threshold is None else {"threshold_usd": format_usd(threshold)}
    form = place_form(LOW_BALANCE, account)
    return await show_form(request, shop, visitor, form, begin(typed))


@router.post("/{account_id}/low-balance")
async def post_threshold(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """Warn while less than this is available, or never."""
    form = place_form(LOW_BALANCE, await name_account(shop, account_id))

    def plan(order: ThresholdOrder) -> Work[object]:
        threshold = order.threshold_usd
        return lambda c, now: change_threshold(c, now, visitor.id, account_id, threshold)

    filled = read_form(await request.form(), ThresholdOrder)
    return await carry_out(request, shop, visitor, form, filled, plan, f"{form.back}?done=watched")


async def _ask(
    request: Request, shop: Shop, visitor: Visitor, form: Form, account_id: str
) -> Response:
    account = await name_account(shop, account_id)
    return await show_form(request, shop, visitor, place_form(form, account))


async def _set_status(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    kind: Form,
    account_id: str,
    status: AccountStatus,
) -> Response:
    form = place_form(kind, await name_account(shop, account_id))

    def plan(order: StatusOrder) -> Work[object]:
        reason = order.reason
        return lambda c, now: actions.change_status(c, now, visitor.id, account_id, status, reason)

    filled = read_form(await request.form(), StatusOrder)
    done = "frozen" if status == "frozen" else "unfrozen"
    return await carry_out(request, shop, visitor, form, filled, plan, f"{form.back}?done={done}")
