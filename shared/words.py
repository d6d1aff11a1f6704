"""From texts to the tokens that a model reads, without the model.

Heavy: imports torch and open_clip.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.tokens import TokenizedTexts

__all__ = ["ClipTokenizer", "load_tokenizer"]


def load_tokenizer(name: str) -> Any:
    """open_clip's tokenizer of an architecture or a `local-dir:PATH`."""
    return open_clip.get_tokenizer(name)


class ClipTokenizer:
    """open_clip's tokenizer, which also says what was cut. Any thread may call."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.context_length = int(tokenizer.context_length)
        """Tokens a text may use, start and end included."""

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """Tokens of each text; one longer than the context is cut and flagged, as open_clip cuts it."""
        own = self._tokenizer
        if isinstance(own, open_clip.SimpleTokenizer) and not own.reduction_fn:
            return self._tokenize_once(list(texts))
        tokens = own(list(texts))
        # A text that fits reads the same with one more place; one that is cut loses its end token.
        wide = own(list(texts), context_length=self.context_length + 1)
        cut = (tokens != wide[:, : self.context_length]).any(dim=1)
        used = (tokens != wide[:, -1:]).sum(dim=1)
        counts = torch.where(cut, self.context_length, used)
        return TokenizedTexts(_int32(tokens), tuple(cut.tolist()), tuple(counts.tolist()))

    def _tokenize_once(self, texts: list[str]) -> TokenizedTexts:
        context = self.context_length
        wide = self._tokenizer(texts, context_length=context + 1)
        # The end token has the highest number of all; it is missing only where more was cut off.
        cut = wide[:, context].ne(0)
        wide[cut, context - 1] = self._tokenizer.eot_token_id
        tokens = wide[:, :context]
        # Padding is zero, and so is the token of "!", but never after the end token.
        places = torch.arange(1, context + 1)
        counts = (tokens.ne(0) * places).amax(dim=1)
        return TokenizedTexts(_int32(tokens), tuple(cut.tolist()), tuple(counts.tolist()))


def _int32(tokens: Tensor) -> NDArray[np.int32]:
    return tokens.to(torch.int32).contiguous().numpy()
