"""An open_clip model on this machine as a teacher: nothing is sent and nobody charges."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.api import EmbeddingResult, ImageInput, Input, InvalidInputError, TextInput
from client.cache.documents import TeacherDocument
from client.data.inspection import FORMATS, find_problem
from client.errors import ClientError, UsageError
from client.teachers.outcomes import INVALID, Outcome, make_result, split_modalities
from client.teachers.protocol import Recall
from client.teachers.terms import NO_TERMS, Terms
from shared.wire import ItemError

if TYPE_CHECKING:
    from shared.openclip import OpenClip

PART = 32
"""Images encoded at once: more takes memory and no less time on a processor."""
PREFIX = "local:"
LOCAL_DIR = "local-dir:"

__all__ = ["PREFIX", "LocalTeacher"]


class LocalTeacher:
    """`architecture/tag` or `local-dir:PATH`, loaded when it is first described."""

    metered = False

    def __init__(self, weights: str, terms: Terms = NO_TERMS) -> None:
        kind, colon, path = weights.partition(":")
        # In full, so that the same folder has one name wherever the command is typed.
        self._weights = f"{kind}:{Path(path).expanduser().absolute()}" if colon else weights
        self._terms = terms
        self._lock = threading.Lock()
        self._loaded: tuple[OpenClip, TeacherDocument] | None = None

    @property
    def spec(self) -> str:
        """What to type after --teacher to have it."""
        return f"{PREFIX}{self._weights}"

    def describe(self, model: str, recall: Recall) -> TeacherDocument:
        """The model's document, named `local:` and its folder or open_clip name unless `model` says.

        Raises UsageError without torch, for weights that cannot be loaded, for another revision, and
        for a name under which these same weights were bought elsewhere.
        """
        name, _, revision = model.partition("@")
        clip = _load(self._weights)
        document = self._make_document(clip, name or self._name_weights())
        if revision and revision != document.revision:
            raise UsageError(
                f"{self._weights} is {document.name}, not {revision}: leave out @{revision}, or "
                "name the folder of the weights that it was"
            )
        before = next((d for d in recall(document.id) if d.revision == document.revision), None)
        if before is not None and before.metered:
            raise UsageError(
                f"{document.name} was bought from the vendor: give this teacher a name of its own, "
                f"like --model my-{document.id.replace('/', '-')}"
            )
        document = self._terms.apply(document, before)
        self._loaded = clip, document
        return document

    def embed(
        self,
        items: Sequence[Input],
        *,
        model: str,
        idempotency_key: str,  # noqa: ARG002 (nothing is charged)
        framed: bool = False,  # noqa: ARG002 (it publishes no `octets`)
    ) -> EmbeddingResult:
        """One vector or error per item. Raises InvalidInputError for a model that is not loaded."""
        if self._loaded is None or self._loaded[1].name != model:
            raise InvalidInputError(f"{self._weights} is not {model}: it was not asked")
        clip, document = self._loaded
        outcomes: dict[int, Outcome] = {}
        cut = [False] * len(items)
        for modality, places in split_modalities(items):
            if modality == "text":
                outcomes |= self._embed_texts(clip, items, places, cut)
            else:
                outcomes |= self._embed_images(clip, items, places)
        return make_result(document, items, [outcomes[i] for i in range(len(items))], cut)

    def embed_pixels(
        self,
        pixels: NDArray[np.uint8],  # noqa: ARG002
        *,
        model: str,  # noqa: ARG002
        idempotency_key: str,  # noqa: ARG002
    ) -> EmbeddingResult:
        """Raises InvalidInputError: it publishes no `pixel_probe`."""
        raise InvalidInputError(f"{self._weights} takes picture files: type --upload original")

    def find_charge(self, idempotency_key: str) -> None:
        """None: nobody charges."""

    def read_balance(self) -> None:
        """None: there is no account."""

    def close(self) -> None:
        """Let go of the model's memory."""
        self._loaded = None

    def _embed_texts(
        self, clip: "OpenClip", items: Sequence[Input], places: list[int], cut: list[bool]
    ) -> dict[int, Outcome]:
        texts = [item.text for i in places if isinstance(item := items[i], TextInput)]
        tokenized = clip.tokenize(texts)
        for place, truncated in zip(places, tokenized.truncated, strict=True):
            cut[place] = truncated
        with self._lock:
            return dict(zip(places, clip.encode_texts(tokenized.tokens), strict=True))

    def _embed_images(
        self, clip: "OpenClip", items: Sequence[Input], places: list[int]
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for start in range(0, len(places), PART):
            seen: dict[int, Any] = {}
            for place in places[start : start + PART]:
                item = items[place]
                if isinstance(item, ImageInput):
                    shown = _show(clip, item.data)
                    (outcomes if isinstance(shown, ItemError) else seen)[place] = shown
            if seen:
                with self._lock:
                    vectors = clip.encode_images(np.stack(list(seen.values())))
                outcomes |= zip(seen, vectors, strict=True)
        return outcomes

    def _name_weights(self) -> str:
        if self._weights.startswith(LOCAL_DIR):
            return PREFIX + Path(self._weights.removeprefix(LOCAL_DIR)).name
        return PREFIX + self._weights

    def _make_document(self, clip: "OpenClip", name: str) -> TeacherDocument:
        return TeacherDocument(
            id=name,
            created=0,
            owned_by="local",
            revision=clip.revision,
            dimension=clip.dimension,
            context_length=clip.context_length,
            precision=clip.precision,
            logit_scale=clip.logit_scale,
            preprocessing=clip.preprocessing,
            prompt_templates=list(clip.prompt_templates),
            price_per_image_usd="0.000000000",
            price_per_text_usd="0.000000000",
            teacher=self.spec,
        )


def _load(weights: str) -> "OpenClip":
    try:
        from shared.openclip import ModelNotFound, load_openclip
    except ImportError as error:
        raise ClientError(
            "a teacher on this machine needs torch: type `pip install 'vl2v[train]'`"
        ) from error
    try:
        clip = load_openclip(weights)
    except ModelNotFound as error:
        raise UsageError(f"--teacher {PREFIX}{weights}: {error}") from error
    clip.pack_weights()
    return clip


def _show(clip: "OpenClip", data: bytes) -> Any:
    """uint8[s, s, 3] of an image file, or the ItemError that says why not."""
    problem = find_problem(data)
    if problem is None:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return clip.preprocess(image)
    return ItemError(code=INVALID["image"], message=problem)
