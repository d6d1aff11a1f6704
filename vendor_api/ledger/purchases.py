"""What an account has bought, item by item."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from vendor_api.db.tables import purchase
from vendor_api.ledger.commands import Line

__all__ = ["find_bought"]


def find_bought(
    connection: Connection, *, account_id: str, revision: str, lines: Sequence[Line]
) -> list[bool]:
    """Line by line, whether the account has ever paid for it; of one revision of a model."""
    bought = set()
    for modality in {line.modality for line in lines}:
        query = select(purchase.c.digest).where(
            purchase.c.account_id == account_id,
            purchase.c.revision == revision,
            purchase.c.modality == modality,
            purchase.c.digest.in_([line.digest for line in lines if line.modality == modality]),
        )
        bought |= {(modality, bytes(digest)) for digest in connection.execute(query).scalars()}
    return [(line.modality, line.digest) in bought for line in lines]
