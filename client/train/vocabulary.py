"""Open vocabulary: a finished student told of classes that it was not trained on, by their texts alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from client.cache.store import EmbeddingStore
from client.data.prompts import build_prompts, list_templates
from client.train.errors import MissingVectors, TrainingError
from client.train.finished import FinishedStudent
from shared.digests import digest_text
from shared.money import parse_usd
from shared.wire import ModelDocument

__all__ = ["Vocabulary", "open_vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """Class names that a student is to choose from, and what asking the teacher about them takes."""

    classes: tuple[str, ...]
    prompts: Mapping[str, tuple[str, ...]]
    """Class → its texts, of the classes that the student has no vector of."""
    document: ModelDocument
    """The teacher whose space the student answers in."""

    def missing(self, store: EmbeddingStore) -> tuple[str, ...]:
        """The texts that are not in the cache."""
        texts = {digest_text(text): text for words in self.prompts.values() for text in words}
        held = store.held(self.document.revision, "text", list(texts))
        return tuple(text for digest, text in texts.items() if digest not in held)

    def cost_nanousd(self, store: EmbeddingStore) -> int:
        """What the missing texts cost at the price of the last purchase."""
        return len(self.missing(store)) * parse_usd(self.document.price_per_text_usd)

    def teach(self, student: FinishedStudent, store: EmbeddingStore) -> FinishedStudent:
        """The student that answers in these classes. Raises MissingVectors when a text is not cached."""
        missing = self.missing(store)
        if missing:
            raise MissingVectors(f"{len(missing)} class texts are not in the cache: {missing[0]!r}")
        known = _known_texts(student)
        rows = [
            known[name] if name in known else self._read(self.prompts[name], store)
            for name in self.classes
        ]
        return replace(student, classes=self.classes, texts=torch.from_numpy(np.stack(rows)))

    def _read(self, texts: Sequence[str], store: EmbeddingStore) -> NDArray[np.float32]:
        """float32[d] unit: the mean of the unit prompt vectors, as training's class texts are made."""
        digests = [digest_text(text) for text in texts]
        # What was bought only to be asked about serves here too: nothing is trained.
        found = store.get_many(self.document.revision, "text", digests, purpose="evaluation")
        mean = np.mean([_unit(found[digest]) for digest in digests], axis=0)
        return _unit(mean)


def open_vocabulary(
    student: FinishedStudent,
    run: Mapping[str, Any],
    names: Sequence[str],
    store: EmbeddingStore,
) -> Vocabulary:
    """The vocabulary of these class names; names that the student knows cost nothing.

    run: the run's config.json, which says which teacher at which revision. Raises TrainingError for
    a student that answers in classes itself, ModelNotCached, DataError.
    """
    if student.texts is None:
        raise TrainingError(
            f"a student of {student.config.method} answers in the {len(student.classes)} classes it "
            "was trained on and in no others: train one that answers in the teacher's space, "
            "`vl2v train --method adip`"
        )
    document = store.model(f"{run['model']}@{run['revision']}")
    new = [name for name in names if name not in student.classes]
    prompts = build_prompts(new, templates=_templates(run, document)) if new else {}
    return Vocabulary(tuple(names), prompts, document)


def _templates(run: Mapping[str, Any], document: ModelDocument) -> tuple[str, ...]:
    """The run's own kind of prompt, so that new class texts lie where the trained ones do."""
    sources = [name for name in run["domains"] if name not in run["targets"]]
    style = run.get("prompts", "vendor")
    return list_templates(style, templates=document.prompt_templates, sources=sources)


def _known_texts(student: FinishedStudent) -> dict[str, NDArray[np.float32]]:
    if student.texts is None:
        return {}
    return dict(zip(student.classes, student.texts.numpy(), strict=True))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
