"""Visitors by what they may do, for the annotations of routes; every POST is asked for its token."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from vendor_api.dashboard.visitors import Visitor, require
from vendor_api.people.roster import ADMINS, KEYS, MONEY

MoneyVisitor = Annotated[Visitor, Depends(require(MONEY))]
"""May top up, refund and adjust."""
KeyVisitor = Annotated[Visitor, Depends(require(KEYS))]
"""May create and end keys, and freeze."""
AdminVisitor = Annotated[Visitor, Depends(require(ADMINS))]
"""May open and close accounts and change prices and limits."""

__all__ = ["AdminVisitor", "KeyVisitor", "MoneyVisitor", "Rights", "list_rights"]


@dataclass(frozen=True, slots=True)
class Rights:
    """Which forms a page offers."""

    money: bool
    keys: bool
    admin: bool


def list_rights(visitor: Visitor) -> Rights:
    """What the visitor may do."""
    return Rights(visitor.role in MONEY, visitor.role in KEYS, visitor.role in ADMINS)
