"""Any OpenAI-compatible endpoint that takes images as a teacher: unmetered there, journalled here."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.api import (
    APIStatusError,
    EmbeddingResult,
    ImageInput,
    Input,
    InvalidAnswerError,
    InvalidInputError,
)
from client.cache.documents import TeacherDocument
from client.data.inspection import find_problem
from client.errors import UsageError
from client.teachers.division import ITS_OWN, Divider
from client.teachers.endpoint import Endpoint
from client.teachers.outcomes import INVALID, Outcome, make_result, make_unit, split_modalities
from client.teachers.probe import PROBES, are_alike, name_revision, pack_probes, unpack_probes
from client.teachers.protocol import Recall
from client.teachers.terms import NO_TERMS, Terms
from shared.codecs import Vector
from shared.wire import ItemError, Modality, Preprocessing

PREFIX = "openai:"
MODALITIES: tuple[Modality, ...] = ("text", "image")
TEMPLATES = ("a photo of a {}.",)
"""Nobody recommends any; these are what CLIP is asked with."""
LOGIT_SCALE = 100.0
"""Where CLIP's training stops it, and where it stops: the best guess until training fits its own."""
SIDE = 224
"""Pixels a side of bought views, what most CLIPs see; the endpoint does not say what it sees."""

__all__ = ["PREFIX", "OpenAICompatibleTeacher"]


class OpenAICompatibleTeacher:
    """An endpoint that publishes neither revision nor preprocessing: it is known by its answers."""

    metered = False

    def __init__(self, endpoint: Endpoint, terms: Terms = NO_TERMS) -> None:
        self._endpoint = endpoint
        self._terms = terms
        self._document: TeacherDocument | None = None
        self._dividers: dict[Modality, Divider] = {}

    @property
    def spec(self) -> str:
        """What to type after --teacher to have it."""
        return f"{PREFIX}{self._endpoint.url}"

    def describe(self, model: str, recall: Recall) -> TeacherDocument:
        """The model's document; its revision stands for what it answers to two texts and a picture.

        Answers alike to those of before are the same revision, wherever the endpoint runs now.
        Raises UsageError for a model that it does not serve, and when it answers otherwise than
        before: vectors of two models would not lie in one space.
        """
        name, _, revision = model.partition("@")
        name = self._choose_model(name)
        probes = self._probe(name)
        before = recall(name)
        twin = next((d for d in before if are_alike(unpack_probes(d.probes), probes)), None)
        fresh = self._make_document(name, probes)
        if twin is not None:
            fresh = fresh.model_copy(update={"revision": twin.revision, "probes": twin.probes})
        self._require(fresh, revision, before)
        self._document = self._terms.apply(fresh, twin)
        self._dividers = {modality: self._make_divider(name, modality) for modality in MODALITIES}
        return self._document

    def embed(
        self,
        items: Sequence[Input],
        *,
        model: str,
        idempotency_key: str,  # noqa: ARG002 (nothing is charged: it may simply be asked again)
        framed: bool = False,  # noqa: ARG002 (it publishes no `octets`)
    ) -> EmbeddingResult:
        """One vector or error per item; a picture that does not decode here is not sent there.

        Raises InvalidInputError for another model than was described, InvalidAnswerError when the
        endpoint became another one meanwhile, VendorError when it fails for every item.
        """
        document = self._document
        if document is None or document.name != model:
            raise InvalidInputError(f"{self._endpoint.url} is not {model} now: it was not asked")
        outcomes: dict[int, Outcome] = {}
        for modality, places in split_modalities(items):
            # One truncated picture hangs infinity for good.
            outcomes |= {i: error for i in places if (error := _inspect(items[i]))}
            good = [i for i in places if i not in outcomes]
            if good:
                found = self._dividers[modality].embed([items[i] for i in good])
                outcomes |= zip(good, found, strict=True)
                self._check_unchanged(document, modality)
        return make_result(document, items, [outcomes[i] for i in range(len(items))])

    def embed_pixels(
        self,
        pixels: NDArray[np.uint8],  # noqa: ARG002
        *,
        model: str,  # noqa: ARG002
        idempotency_key: str,  # noqa: ARG002
    ) -> EmbeddingResult:
        """Raises InvalidInputError: it publishes no `pixel_probe`."""
        raise InvalidInputError(f"{self._endpoint.url} takes picture files: type --upload original")

    def find_charge(self, idempotency_key: str) -> None:
        """None: nobody charges."""

    def read_balance(self) -> None:
        """None: there is no account."""

    def close(self) -> None:
        """Let go of every connection."""
        self._endpoint.close()

    def _choose_model(self, name: str) -> str:
        """The name, if it is served: infinity answers to any name when it serves a single model."""
        served = self._endpoint.list_models()
        if served is None and name:
            return name
        if served and not name and len(served) == 1:
            return served[0]
        if served and name in served:
            return name
        names = ", ".join(served or ()) or "what it serves"
        raise UsageError(
            f"{self._endpoint.url} serves no model {name!r}: choose one with --model: {names}"
            if name
            else f"name the model with --model: {names}"
        )

    def _probe(self, name: str) -> list[Vector]:
        """Its answers to every probe, unit length. Raises UsageError when it embeds no images."""
        answers: list[Vector] = []
        for modality in MODALITIES:
            try:
                answers += self._ask_probes(name, modality)
            except APIStatusError as error:
                if error.status_code not in ITS_OWN:
                    raise
                raise UsageError(
                    f"{name} at {self._endpoint.url} embeds no {modality}s ({error}): choose a "
                    "model for both, such as a CLIP"
                ) from error
        if len({len(answer) for answer in answers}) != 1:
            raise UsageError(f"{name} answers texts and images with vectors of different lengths")
        return answers

    def _ask_probes(self, name: str, modality: Modality) -> list[Vector]:
        units = map(make_unit, self._endpoint.embed(name, PROBES[modality]))
        vectors = [unit for unit in units if not isinstance(unit, ItemError)]
        if len(vectors) != len(PROBES[modality]):
            raise InvalidAnswerError(f"{self._endpoint.url} answers with vectors of no direction")
        return vectors

    def _make_divider(self, name: str, modality: Modality) -> Divider:
        def ask(items: Sequence[Input]) -> list[Outcome]:
            return [make_unit(vector) for vector in self._endpoint.embed(name, items)]

        def works() -> bool:
            try:
                return bool(self._ask_probes(name, modality))
            except APIStatusError:
                return False

        return Divider(ask, works)

    def _check_unchanged(self, document: TeacherDocument, modality: Modality) -> None:
        texts = len(PROBES["text"])
        known = unpack_probes(document.probes)
        known = known[:texts] if modality == "text" else known[texts:]
        if not are_alike(self._ask_probes(document.id, modality), known):
            raise InvalidAnswerError(
                f"{self._endpoint.url} became another model while it was asked: nothing of this "
                "request was kept; run the same command again"
            )

    def _require(
        self, fresh: TeacherDocument, revision: str, before: Sequence[TeacherDocument]
    ) -> None:
        """Raises UsageError for other answers than the last ones, unless the user named just these."""
        url = self._endpoint.url
        if revision and revision != fresh.revision:
            raise UsageError(
                f"{url} now answers as {fresh.name}, not as {revision}: start that one again, or "
                f"type --model {fresh.name}"
            )
        if revision or not before or before[0].revision == fresh.revision:
            return
        raise UsageError(
            f"{url} does not answer as {before[0].name} of {before[0].teacher} did: another model, "
            "other weights or another preprocessing, whose vectors must not be mixed with those; "
            f"start the old one again, or type --model {fresh.name} to use the one that answers now"
        )

    def _make_document(self, name: str, probes: Sequence[Vector]) -> TeacherDocument:
        return TeacherDocument(
            id=name,
            created=0,
            owned_by=self._endpoint.url,
            revision=name_revision(name, self._endpoint.url, probes),
            dimension=len(probes[0]),
            context_length=0,
            precision="unknown",
            logit_scale=LOGIT_SCALE,
            preprocessing=Preprocessing(
                image_size=SIDE,
                resize_mode="unknown",
                interpolation="unknown",
                mean=(0.0, 0.0, 0.0),
                std=(1.0, 1.0, 1.0),
            ),
            prompt_templates=list(TEMPLATES),
            price_per_image_usd="0.000000000",
            price_per_text_usd="0.000000000",
            teacher=self.spec,
            scale_known=False,
            probes=pack_probes(probes),
        )


def _inspect(item: Input) -> ItemError | None:
    if not isinstance(item, ImageInput) or (problem := find_problem(item.data)) is None:
        return None
    return ItemError(code=INVALID["image"], message=problem)
