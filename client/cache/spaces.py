"""Private spaces: a vendor may rotate an account's vectors, and two rotations do not compare.

A space is part of the revision's name (`revision~space`), so rows of two spaces never meet. What is
refused here is to take one for the other without a word: buying everything again in a new space, or
training on whichever was bought last.
"""

from sqlalchemy import func, select

from client.cache.database import Database
from client.cache.tables import embedding, model_document
from client.errors import ClientError
from shared.revision import split_space
from shared.wire import ModelDocument

__all__ = ["SpacesMixed", "count_other_spaces", "require_one_space", "require_same_space"]


class SpacesMixed(ClientError):
    """The cache holds a teacher's vectors in another space too: say which is meant."""


def count_other_spaces(database: Database, document: ModelDocument) -> dict[str, int]:
    """Revision → vectors of the same teacher weights that lie in other spaces than the document's."""
    base, _ = split_space(document.revision)
    known = select(model_document.c.revision).where(model_document.c.model_id == document.id)
    with database.read() as connection:
        found = {
            revision: connection.execute(
                select(func.count()).where(embedding.c.revision == revision)
            ).scalar_one()
            for revision in connection.execute(known.order_by(model_document.c.id)).scalars()
            if revision != document.revision and split_space(revision)[0] == base
        }
    return {revision: count for revision, count in found.items() if count}


def require_same_space(database: Database, document: ModelDocument, asked: str) -> None:
    """Raises SpacesMixed when buying as `asked` would begin a second space in this cache.

    asked: `id`, or `id@revision`, which names the space and is taken at its word.
    """
    others = count_other_spaces(database, document)
    if not others or "@" in asked:
        return
    old, days = next(iter(others)), document.rebuy_free_days
    again = f"; what was paid for within {days} days is free again" if days else ""
    raise SpacesMixed(
        f"the vendor now answers this account in {_name(document.revision)}, and this cache holds "
        f"{_list(others)} of {document.id}: vectors of two spaces do not compare. To buy into another "
        f"cache, set VL2V_CACHE_URL to a new file; to buy beside them, name the space: --model "
        f"{document.id}@{document.revision}; to give the old ones up first: "
        f"vl2v cache prune --revision {old} --yes-drop-paid{again}"
    )


def require_one_space(database: Database, document: ModelDocument) -> None:
    """Raises SpacesMixed when the model's id alone does not say which vectors are meant."""
    others = count_other_spaces(database, document)
    if others:
        raise SpacesMixed(
            f"this cache holds {_list(others)} of {document.id} beside the last bought, which lie in "
            f"{_name(document.revision)}: vectors of two spaces do not compare. Name the one that "
            f"is meant: --model {document.id}@{document.revision}, or --model "
            f"{document.id}@{next(iter(others))}"
        )


def _list(counts: dict[str, int]) -> str:
    return " and ".join(f"{count} vectors in {_name(name)}" for name, count in counts.items())


def _name(revision: str) -> str:
    base, space_id = split_space(revision)
    return f"everybody's space ({base})" if space_id is None else f"its private space {space_id}"
