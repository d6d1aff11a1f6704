"""Texts as a model reads them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TokenizedTexts"]


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """Texts ready for the model."""

    tokens: NDArray[np.int32]
    """int32[n, context], padded."""
    truncated: tuple[bool, ...]
    """Whether a text was longer than the context and was cut."""
    counts: tuple[int, ...]
    """Tokens used of the context, start and end tokens included."""
