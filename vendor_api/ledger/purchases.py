"""What an account has bought, item by item."""

from collections.abc import Sequence

from sqlalchemy import Connection

from vendor_api.ledger.commands import Line
from vendor_api.ledger.lines import sort_digests
from vendor_api.ledger.lots import Shelf
from vendor_api.ledger.shelves import Shelves

__all__ = ["find_bought"]


def find_bought(
    connection: Connection,
    shelves: Shelves,
    account_id: str,
    revision: str,
    lines: Sequence[Line],
) -> list[bool]:
    """Line by line, whether the account has ever paid for it; over a connection that only reads."""
    bought = set()
    for modality, digests in sort_digests(lines).items():
        shelf = Shelf(account_id, revision, modality)
        found = shelves.find(connection, shelf, digests, committed=True)
        bought |= {(modality, digest) for digest in found.bought_at}
    return [(line.modality, line.digest) in bought for line in lines]
