"""From a request's items to the distinct lines it can be charged for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.wire import Modality
from vendor_api.ledger.commands import Line, Price

__all__ = ["Asked", "Quote", "quote_items"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One item as the price list sees it."""

    modality: Modality
    digest: bytes


@dataclass(frozen=True)
class Quote:
    """The lines of a request and where each of its items stands among them."""

    lines: tuple[Line, ...]
    line_of: tuple[int | None, ...]
    """Item → its line; None for an item that was refused before it could cost anything."""

    @property
    def total_nanousd(self) -> int:
        """The full price of every line, which is what is held."""
        return sum(line.price.unit_nanousd for line in self.lines)

    @cached_property
    def first_of(self) -> tuple[bool, ...]:
        """Item → whether it is the first of its line, the one that bears the line's cost."""
        seen: set[int] = set()
        first = []
        for line in self.line_of:
            first.append(line is not None and line not in seen)
            if line is not None:
                seen.add(line)
        return tuple(first)


def quote_items(items: Sequence[Asked | None], prices: Mapping[Modality, Price]) -> Quote:
    """Price each distinct item once, in order of first appearance."""
    index: dict[Asked, int] = {}
    line_of = [None if item is None else index.setdefault(item, len(index)) for item in items]
    lines = tuple(Line(item.modality, item.digest, prices[item.modality]) for item in index)
    return Quote(lines, tuple(line_of))
