"""The pages of the dashboard, in the order of the menu."""

from collections.abc import Iterator
from dataclasses import dataclass

from vendor_api.people.roster import ADMINS, EVERYBODY, Role

__all__ = ["PAGES", "Link", "Page", "list_links"]


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the menu."""

    path: str
    title: str
    roles: frozenset[Role] = EVERYBODY


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as one visitor sees it on one page."""

    path: str
    title: str
    current: bool


PAGES = (
    Page("/dashboard", "Now"),
    Page("/dashboard/money", "Money"),
    Page("/dashboard/accounts", "Accounts"),
    Page("/dashboard/usage", "Usage"),
    Page("/dashboard/charges", "Charges"),
    Page("/dashboard/keys", "Keys"),
    Page("/dashboard/prices", "Models and prices"),
    Page("/dashboard/integrity", "Integrity"),
    Page("/dashboard/abuse", "Abuse"),
    Page("/dashboard/log", "Log"),
    Page("/dashboard/people", "People", ADMINS),
)


def list_links(role: Role, path: str) -> Iterator[Link]:
    """The menu of a role; an entry is current on its page and on the pages below it."""
    for page in PAGES:
        if role in page.roles:
            below = page.path != "/dashboard" and path.startswith(page.path + "/")
            yield Link(page.path, page.title, path == page.path or below)
