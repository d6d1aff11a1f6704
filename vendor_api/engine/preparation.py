"""An open_clip model's preprocessing and tokens where the model itself is in another process."""

from collections.abc import Sequence

from PIL import Image

from shared.openclip import resolve
from shared.pixels import PixelTransform, hash_probe
from shared.tokens import TokenizedTexts
from shared.words import ClipTokenizer, load_tokenizer
from vendor_api.engine.base import ModelInfo, Pixels
from vendor_api.refusal import Refusal

__all__ = ["ClipPreparation"]


class ClipPreparation:
    """`Preparation` without weights."""

    def __init__(self, spec: str, info: ModelInfo, fill: int) -> None:
        """Raises Refusal when this process would make other pixels than the model's."""
        self._transform = PixelTransform(info.preprocessing, fill)
        self._words = ClipTokenizer(load_tokenizer(resolve(spec)[0]))
        if hash_probe(self._transform) != info.pixel_probe:
            raise Refusal(
                f"the pixels of {info.id} come out differently here: serve it with threads"
            )

    def preprocess(self, image: Image.Image) -> Pixels:
        """See `Preparation`."""
        return self._transform(image)

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """See `Preparation`."""
        return self._words(texts)
