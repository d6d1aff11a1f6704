"""What the vendor answered, by digest."""

import numpy as np

from client.api import EmbeddingResult, InvalidAnswerError, UnprocessableEntityError
from client.budget import Batch, ItemOutcome
from shared.codecs import Vector
from shared.errors import ErrorCode

__all__ = ["match_problems", "match_vectors"]


def match_vectors(batch: Batch, answer: EmbeddingResult) -> dict[bytes, Vector]:
    """Digest → vector of the delivered items. Raises InvalidAnswerError for unusable ones."""
    if answer.model != batch.model:
        raise InvalidAnswerError(
            f"{batch.model} was asked for, {answer.model} answered: tell the vendor"
        )
    vectors: dict[bytes, Vector] = {}
    for item in answer.data:
        if item.embedding is not None:
            vectors[batch.digests[item.index]] = item.embedding
        elif item.error is None:
            raise InvalidAnswerError("the vendor sent neither a vector nor an error for an item")
    if vectors and not np.isfinite(np.concatenate(list(vectors.values()))).all():
        raise InvalidAnswerError("the vendor sent a vector with NaN in it: tell the vendor")
    return vectors


def match_problems(batch: Batch, error: UnprocessableEntityError) -> tuple[ItemOutcome, ...]:
    """Why each item was refused, where none was valid."""
    said = {item.index: item for item in (error.problem.errors if error.problem else [])}
    fallback = ErrorCode.INVALID_IMAGE if batch.modality == "image" else ErrorCode.INVALID_TEXT
    return tuple(
        ItemOutcome(digest, said[index].code, said[index].message)
        if index in said
        else ItemOutcome(digest, fallback, str(error))
        for index, digest in enumerate(batch.digests)
    )
