"""Counts and prices the lines of a request, which are distinct: a few looks at each of thousands."""

from collections.abc import Collection, Mapping, Sequence

from shared.wire import Modality
from vendor_api.ledger.commands import Line

MODALITIES: tuple[Modality, ...] = ("image", "text")

Paid = Mapping[Modality, Collection[bytes]]
"""Digests by modality: those that a capture charges for."""

Sorted = Mapping[Modality, Sequence[bytes]]
"""Digests by modality, in the order of their lines; nothing for a modality without lines."""

__all__ = [
    "MODALITIES",
    "Paid",
    "Sorted",
    "count_modalities",
    "price_lines",
    "sort_digests",
    "sum_costs",
]


def count_modalities(lines: Sequence[Line]) -> dict[Modality, int]:
    """How many of the lines are of each modality."""
    modalities = [line.modality for line in lines]
    return {modality: modalities.count(modality) for modality in MODALITIES}


def sort_digests(lines: Sequence[Line]) -> dict[Modality, list[bytes]]:
    """The lines' digests, as `Sorted` says."""
    modalities = {line.modality for line in lines}
    if len(modalities) == 1:
        return {modalities.pop(): [line.digest for line in lines]}
    return {
        modality: [line.digest for line in lines if line.modality == modality]
        for modality in sorted(modalities)
    }


def price_lines(lines: Sequence[Line], delivered: Sequence[bool], paid: Paid) -> tuple[int, ...]:
    """What each line costs: its price where it was delivered and is to pay for, else nothing."""
    if sum(map(len, paid.values())) == len(lines):
        return tuple([line.price.unit_nanousd for line in lines])
    paid = {modality: frozenset(digests) for modality, digests in paid.items()}
    costs = [
        line.price.unit_nanousd if done and line.digest in paid.get(line.modality, ()) else 0
        for line, done in zip(lines, delivered, strict=True)
    ]
    return tuple(costs)


def sum_costs(lines: Sequence[Line], costs: Sequence[int], modality: Modality) -> int:
    """What the lines of one modality cost together."""
    if len({line.modality for line in lines}) == 1:
        return sum(costs) if lines[0].modality == modality else 0
    priced = zip(lines, costs, strict=True)
    return sum([cost for line, cost in priced if line.modality == modality])
