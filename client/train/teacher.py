"""The teacher as training sees it: vectors from the cache, never the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from client.cache.documents import TeacherDocument
from client.cache.store import FILE_VIEW, EmbeddingStore, Purpose
from client.data.descriptions import Captions, Descriptions
from client.data.prompts import PromptStyle, make_prompts
from client.train.errors import MissingVectors, TrainingError
from client.train.fold import Fold, Rows
from shared.codecs import Vector
from shared.digests import digest_text
from shared.money import parse_usd, show_usd

__all__ = ["Teacher", "fetch_command"]


@dataclass(frozen=True)
class Teacher:
    """One model's bought vectors."""

    store: EmbeddingStore
    document: TeacherDocument
    style: PromptStyle = "vendor"
    descriptions: Descriptions | None = None
    """Replace the prompts with one described text a class."""
    captions: Captions | None = None

    @classmethod
    def open(
        cls,
        store: EmbeddingStore,
        model: str,
        style: PromptStyle = "vendor",
        *,
        descriptions: Descriptions | None = None,
        captions: Captions | None = None,
    ) -> "Teacher":
        """The teacher as it was last bought from. Raises ModelNotCached."""
        return cls(store, store.model(model), style, descriptions, captions)

    def class_prompts(self, fold: Fold) -> dict[str, tuple[str, ...]]:
        """Class → the texts whose mean stands for it on this fold, in the teacher's prompt style or
        as described. Raises DataError for an undescribed class."""
        if self.descriptions is not None:
            texts = self.descriptions.texts(fold.manifest.classes)
            return {name: (text,) for name, text in texts.items()}
        return make_prompts(
            fold.manifest,
            self.style,
            templates=self.document.prompt_templates,
            sources=fold.sources,
        )

    def read_texts(self, fold: Fold) -> Vector:
        """float32[k, d] unit: each class's mean of unit prompt vectors, made unit again.

        Raises MissingVectors.
        """
        prompts = self.class_prompts(fold)
        digests = {text: digest_text(text) for texts in prompts.values() for text in texts}
        found = self.store.get_many(self.document.revision, "text", sorted(set(digests.values())))
        more = f"--descriptions {self.descriptions.file}" if self.descriptions else ""
        self._require("class texts", sorted(set(digests.values())), found, fold, more=more)
        return np.stack(
            [
                _unit(np.mean([_unit(found[digests[text]]) for text in texts], axis=0))
                for texts in prompts.values()
            ]
        )

    def read_images(
        self, fold: Fold, rows: Rows, purpose: Purpose = "training", *, view: str = FILE_VIEW
    ) -> Vector:
        """float32[len(rows), d] unit: the vectors of this view of the pictures.

        Raises MissingVectors.

        With purpose `training`, vectors that were bought to evaluate the teacher do not exist.
        """
        digests = [fold.manifest.pictures[int(row)].digest for row in rows]
        found = self.store.get_many(
            self.document.revision, "image", sorted(set(digests)), purpose=purpose, view=view
        )
        self._require("images", sorted(set(digests)), found, fold, purpose)
        return np.stack([_unit(found[digest]) for digest in digests])

    def list_captions(self, fold: Fold) -> list[bytes]:
        """The digest of each training picture's caption.

        Raises DataError for a picture without one, TrainingError without captions.
        """
        if self.captions is None:
            raise TrainingError(
                "there are no captions of the training pictures: give --captions FILE"
            )
        pictures = [fold.manifest.pictures[int(row)] for row in fold.training]
        return [digest_text(text) for text in self.captions.texts(pictures)]

    def read_captions(self, fold: Fold) -> Vector:
        """float32[n, d] unit: the vectors of the training pictures' captions.

        Raises MissingVectors, DataError, TrainingError.
        """
        digests = self.list_captions(fold)
        found = self.store.get_many(self.document.revision, "text", sorted(set(digests)))
        more = f"--captions {self.captions.file}" if self.captions else ""
        self._require("captions", sorted(set(digests)), found, fold, more=more)
        return np.stack([_unit(found[digest]) for digest in digests])

    def _require(
        self,
        what: str,
        wanted: Sequence[bytes],
        found: Mapping[bytes, Vector],
        fold: Fold,
        purpose: Purpose = "training",
        more: str = "",
    ) -> None:
        missing = len(wanted) - len(found)
        if not missing:
            return
        images = what == "images"
        price = self.document.price_per_image_usd if images else self.document.price_per_text_usd
        cost = show_usd(missing * parse_usd(price))
        model = self.document.id
        if not self.document.metered:
            more = f"--teacher {self.document.teacher} {more}".rstrip()
        raise MissingVectors(
            f"{missing} of the {len(wanted)} {what} needed for {purpose} are not in the cache; "
            f"at today's price they cost {cost}. Buy them with: "
            f"{fetch_command(fold, model, purpose, self.style, more)}"
        )


def fetch_command(
    fold: Fold, model: str, purpose: Purpose, style: PromptStyle = "vendor", more: str = ""
) -> str:
    """What to type to buy a fold's vectors; `more` is further options."""
    parts = ["vl2v fetch", str(fold.manifest.data), "--model", model]
    for target in fold.targets:
        parts += ["--target", target]
    parts += ["--purpose evaluation"] if purpose == "evaluation" else fold.purchase
    if style != "vendor":
        parts += ["--prompts", style]
    if more:
        parts += [more]
    return " ".join([*parts, "--budget USD"])


def _unit(vector: Vector) -> Vector:
    """The vector at length one; float16 storage leaves it off by some 10⁻⁴."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
