"""What the cache holds of one data folder and one teacher, for whichever purpose it was bought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from client.cache.store import EmbeddingStore
from client.data.manifest import Manifest
from client.data.prompts import build_prompts, load_synonyms
from shared.codecs import Vector
from shared.digests import digest_text
from shared.wire import ModelDocument

__all__ = ["Holdings"]


@dataclass(frozen=True)
class Holdings:
    """For judging the teacher; training reads `Teacher`, which never sees evaluation vectors."""

    manifest: Manifest
    store: EmbeddingStore
    document: ModelDocument

    @cached_property
    def _found(self) -> dict[bytes, Vector]:
        digests = sorted({picture.digest for picture in self.manifest.pictures})
        return self.store.get_many(self.document.revision, "image", digests, purpose="evaluation")

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """bool[n]: pictures with a vector, for whichever purpose."""
        return np.array([p.digest in self._found for p in self.manifest.pictures], dtype=np.bool_)

    @cached_property
    def learned(self) -> NDArray[np.bool_]:
        """bool[n]: pictures whose vector was bought for training."""
        digests = sorted({picture.digest for picture in self.manifest.pictures})
        found = self.store.held(self.document.revision, "image", digests, purpose="training")
        return np.array([p.digest in found for p in self.manifest.pictures], dtype=np.bool_)

    @cached_property
    def vectors(self) -> Vector:
        """float32[n, d] unit; rows without a vector are nought."""
        out = np.zeros((len(self.manifest.pictures), self.document.dimension), dtype=np.float32)
        for row, picture in enumerate(self.manifest.pictures):
            if picture.digest in self._found:
                out[row] = _unit(self._found[picture.digest])
        return out

    @cached_property
    def prompts(self) -> dict[str, tuple[str, ...]]:
        """Class → the texts that training asks about."""
        synonyms = load_synonyms(self.manifest.root)
        templates = self.document.prompt_templates
        return build_prompts(self.manifest.classes, templates=templates, synonyms=synonyms)

    @cached_property
    def texts(self) -> Vector | None:
        """float32[k, d] unit of `prompts`; None unless all are here."""
        return self.embed(self.prompts)

    def embed(self, prompts: Mapping[str, Sequence[str]]) -> Vector | None:
        """float32[k, d]: each class's mean of unit prompt vectors, unit again; None unless all are
        here."""
        digests = {text: digest_text(text) for texts in prompts.values() for text in texts}
        found = self.store.get_many(self.document.revision, "text", sorted(digests.values()))
        if len(found) < len(set(digests.values())):
            return None
        return np.stack(
            [
                _unit(np.mean([_unit(found[digests[text]]) for text in texts], axis=0))
                for texts in prompts.values()
            ]
        )


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
