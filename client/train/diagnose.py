"""What the bought vectors say before any training: no query, no student, numpy alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cache.store import EmbeddingStore
from client.data.manifest import Manifest
from client.data.prompts import build_prompts
from client.data.splits import Split
from client.train.classifiers import classify, mean_by_class, mean_class_accuracy, nearest_means
from client.train.fold import Fold, Rows, make_fold
from client.train.holdings import Holdings
from shared.codecs import Vector
from shared.digests import digest_text
from shared.money import parse_usd
from shared.wire import ModelDocument

DOMAIN_TEMPLATE = "a {domain} of a {}"
"""E2's prompt; the domain is a folder's name with spaces for underscores."""
NEIGHBOURS = 10
"""Pictures of a class that E5 and E6 average."""

__all__ = ["Diagnosis", "Estimate", "Missing", "Reading", "ZeroShot", "diagnose"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One classifier on one domain, as mean per-class accuracy."""

    target: str
    name: str
    """E1 to E6, as in VL2V-ADiP's table of the robustness of CLIP embeddings."""
    classifier: str
    accuracy: float | None
    """None where vectors are missing."""
    oracle: bool
    """Whether it is made of the target's own labelled pictures: no student may use it."""


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """The teacher on one domain's pictures that have a vector."""

    domain: str
    pictures: int
    held: int
    accuracy: float | None
    """Mean per class over the `held` pictures; None without any, or without class texts."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Vectors that are not in the cache, and what they cost at the price last seen."""

    what: str
    vectors: int
    cost_nanousd: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Whether distilling will pay: an estimate by a stated rule, no promise."""

    verdict: str
    """`likely`, `unsure` or `unknown`."""
    text_lead: float | None
    """E1 − E3, mean over the targets: by how much class texts beat mean source pictures."""
    training_cost_nanousd: int
    """Of all that adip learns from, at the price last seen, bought already or not."""
    break_even_predictions: int | None
    """Predictions after which that is less than asking the vendor about each picture; None when
    pictures cost nothing."""
    rule: str


RULE = (
    "likely: class texts classify the unseen domains better than mean source pictures do (E1 > E3), so "
    "there is something in them that labels alone do not teach. unsure: they do not. unknown: vectors "
    "for E1 or E3 are missing. Break-even compares the vendor's price of one image with the price of "
    "all training vectors once; it counts neither labels nor computing, and says nothing of accuracy."
)


@dataclass(frozen=True)
class Diagnosis:
    """All of it."""

    model: str
    revision: str
    zero_shot: tuple[ZeroShot, ...]
    """Every domain."""
    readings: tuple[Reading, ...]
    """The targets."""
    text_cosine: float | None
    """Mean cosine of two different classes' texts: near one, the teacher hardly tells them apart."""
    modality_gap: float | None
    """Distance of the mean image vector from the mean text vector (Liang et al. 2022)."""
    missing: tuple[Missing, ...]
    estimate: Estimate

    def document(self) -> dict[str, Any]:
        """As `vl2v diagnose --json` prints it."""
        return asdict(self)


def diagnose(
    manifest: Manifest,
    split: Split,
    store: EmbeddingStore,
    document: ModelDocument,
    targets: Sequence[str] = (),
) -> Diagnosis:
    """Read what is in the cache for the targets (default each domain in turn); nothing is bought.

    Each target's own sources are the other domains, less the other named targets. Raises UnknownName
    for a target that is no domain, TrainingError for a single domain.
    """
    chosen = tuple(targets)
    folds = [make_fold(manifest, split, chosen)] if chosen else []
    folds = folds or [make_fold(manifest, split, (domain,)) for domain in manifest.domains]
    known = Holdings(manifest, store, document)
    readings = tuple(r for f in folds for target in f.targets for r in _read(known, f, target))
    texts, images = known.texts, known.vectors[known.held]
    return Diagnosis(
        model=document.id,
        revision=document.revision,
        zero_shot=tuple(_ask(known, folds[0], domain) for domain in manifest.domains),
        readings=readings,
        text_cosine=None if texts is None or len(texts) < 2 else _mean_cosine(texts),
        modality_gap=None if texts is None or not len(images) else _gap(images, texts),
        missing=tuple(_find_missing(known, folds)),
        estimate=_estimate(known, folds, readings),
    )


def _ask(known: Holdings, fold: Fold, domain: str) -> ZeroShot:
    rows = np.union1d(fold.part(domain, "in"), fold.part(domain, "out"))
    held = rows[known.held[rows]]
    answers = classify(known.vectors[held], known.texts) if len(held) else None
    return ZeroShot(domain, len(rows), len(held), mean_class_accuracy(answers, fold.labels[held]))


def _read(known: Holdings, fold: Fold, target: str) -> Iterator[Reading]:
    """E1 to E6 on the pictures of `target` that have a vector."""
    rows = np.union1d(fold.part(target, "in"), fold.part(target, "out"))
    complete = bool(known.held[rows].all())
    asked, labels = known.vectors[rows], fold.labels[rows]
    sources: Rows = fold.training[known.learned[fold.training]]
    ours, theirs = known.vectors[sources], fold.labels[sources]
    classes = len(fold.manifest.classes)

    def reading(
        name: str, classifier: str, answers: NDArray[np.int64] | None, *, oracle: bool = False
    ) -> Reading:
        known_answers = answers is not None and complete and len(rows) > 0
        accuracy = mean_class_accuracy(answers, labels) if known_answers else None
        return Reading(target, name, classifier, accuracy, oracle)

    yield reading("E1", "class texts", classify(asked, known.texts))
    yield reading("E2", "texts of the source domains", classify(asked, _domain_texts(known, fold)))
    means = mean_by_class(ours, theirs, classes)
    yield reading("E3", "mean source picture of a class", classify(asked, means))
    own = mean_by_class(asked, labels, classes) if complete else None
    yield reading("E4", "mean target picture of a class", classify(asked, own), oracle=True)
    near = nearest_means(asked, ours, theirs, classes, NEIGHBOURS)
    yield reading("E5", f"mean of the {NEIGHBOURS} nearest source pictures of a class", near)
    near = nearest_means(asked, asked, labels, classes, NEIGHBOURS, skip_self=True)
    yield reading(
        "E6", f"mean of the {NEIGHBOURS} nearest target pictures of a class", near, oracle=True
    )


def _domain_texts(known: Holdings, fold: Fold) -> Vector | None:
    templates = [
        DOMAIN_TEMPLATE.replace("{domain}", domain.replace("_", " ")) for domain in fold.sources
    ]
    return known.embed(build_prompts(fold.manifest.classes, templates=templates))


def _find_missing(known: Holdings, folds: Sequence[Fold]) -> Iterator[Missing]:
    training = {int(row) for fold in folds for row in fold.training}
    tested = {int(row) for fold in folds for row in fold.tested}
    digests = {text: digest_text(text) for texts in known.prompts.values() for text in texts}
    here = known.store.held(known.document.revision, "text", sorted(digests.values()))
    prices = _prices(known.document)
    yield _miss("class texts", len(set(digests.values()) - here), prices[1])
    lacking = _count(known.manifest, training, known.learned)
    yield _miss("training pictures of the sources", lacking, prices[0])
    lacking = _count(known.manifest, tested, known.held)
    yield _miss("pictures of the targets, for E1 to E6 alone", lacking, prices[0])


def _estimate(known: Holdings, folds: Sequence[Fold], readings: Sequence[Reading]) -> Estimate:
    leads = [
        texts.accuracy - means.accuracy
        for texts in readings
        for means in readings
        if (texts.name, means.name) == ("E1", "E3") and texts.target == means.target
        if texts.accuracy is not None and means.accuracy is not None
    ]
    lead = float(np.mean(leads)) if leads else None
    verdict = "unknown" if lead is None else "likely" if lead > 0 else "unsure"
    image_price, text_price = _prices(known.document)
    training = {int(row) for fold in folds for row in fold.training}
    images = _count(known.manifest, training, np.zeros(len(known.held), dtype=np.bool_))
    texts = len({digest_text(text) for words in known.prompts.values() for text in words})
    cost = images * image_price + texts * text_price
    even = math.ceil(cost / image_price) if image_price else None
    return Estimate(verdict, lead, cost, even, RULE)


def _count(manifest: Manifest, rows: set[int], have: NDArray[np.bool_]) -> int:
    """Distinct files among `rows` that are not had."""
    return len({manifest.pictures[row].digest for row in rows if not have[row]})


def _prices(document: ModelDocument) -> tuple[int, int]:
    """Nano-dollars of an image and of a text."""
    return parse_usd(document.price_per_image_usd), parse_usd(document.price_per_text_usd)


def _miss(what: str, vectors: int, price: int) -> Missing:
    return Missing(what, vectors, vectors * price)


def _mean_cosine(texts: Vector) -> float:
    count = len(texts)
    return float(((texts @ texts.T).sum() - np.trace(texts @ texts.T)) / (count * (count - 1)))


def _gap(images: Vector, texts: Vector) -> float:
    return float(np.linalg.norm(images.mean(axis=0) - texts.mean(axis=0)))
