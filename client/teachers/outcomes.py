"""Vectors and errors of an unmetered teacher, in the form that every teacher answers in."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from client.api import EmbeddedItem, EmbeddingResult, ImageInput, Input, TextInput
from client.api.calls import find_repeats
from client.cache.documents import TeacherDocument
from client.teachers.terms import price_of
from shared.codecs import Vector
from shared.errors import ErrorCode
from shared.wire import ItemError, Modality, Usage

Outcome = Vector | ItemError
"""float32[d] of unit length, or why there is none."""

INVALID: Mapping[Modality, ErrorCode] = {
    "image": ErrorCode.INVALID_IMAGE,
    "text": ErrorCode.INVALID_TEXT,
}

__all__ = ["INVALID", "Outcome", "make_result", "make_unit", "modality_of", "split_modalities"]


def make_result(
    document: TeacherDocument,
    items: Sequence[Input],
    outcomes: Sequence[Outcome],
    truncated: Sequence[bool] | None = None,
) -> EmbeddingResult:
    """The answer to `items`; each distinct one that has a vector costs the document's price."""
    rows = []
    cut = truncated or [False] * len(items)
    for index, (item, outcome, repeated) in enumerate(
        zip(items, outcomes, find_repeats(items), strict=True)
    ):
        failed = isinstance(outcome, ItemError)
        cost = 0 if failed or repeated else price_of(document, modality_of(item))
        vector, error = (None, outcome) if isinstance(outcome, ItemError) else (outcome, None)
        rows.append(EmbeddedItem(index, vector, cost, cut[index], error, repeated))
    return EmbeddingResult(
        data=tuple(rows),
        model=document.name,
        usage=Usage(prompt_tokens=0, total_tokens=0, images=_count_images(items)),
        cost_nanousd=sum(row.cost_nanousd for row in rows),
        balance_nanousd=None,
        charge_id="",
        request_id=None,
        replayed=False,
        retries=0,
    )


def split_modalities(items: Sequence[Input]) -> Iterator[tuple[Modality, list[int]]]:
    """Each modality with the places of its items."""
    modalities: tuple[Modality, ...] = ("text", "image")
    for modality in modalities:
        places = [i for i, item in enumerate(items) if modality_of(item) == modality]
        if places:
            yield modality, places


def modality_of(item: Input) -> Modality:
    """`text` or `image`."""
    return "text" if isinstance(item, TextInput) else "image"


def make_unit(vector: Vector) -> Outcome:
    """The vector at length one; an error for one that has no direction."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or not length:
        return ItemError(code="invalid_vector", message="the vector is zero or not finite")
    return np.asarray(vector / length, dtype=np.float32)


def _count_images(items: Sequence[Input]) -> int:
    return sum(isinstance(item, ImageInput) for item in items)
