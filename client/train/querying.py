"""Which training pictures' image vectors a run may read, and reading exactly those."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client.cache.store import FILE_VIEW
from client.data.choosing import choose_pictures
from client.data.manifest import Manifest
from client.data.views import name_views
from client.train.answers import load_answers
from client.train.augment import to_unit_range
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.fold import Fold, Rows
from client.train.methods import find_method
from client.train.pixels import Pixels
from client.train.runs import RunFolder
from client.train.student import StudentSpec, build_student
from client.train.teacher import Teacher
from shared.codecs import Vector

BATCH = 64

__all__ = ["narrow_fold", "narrow_rows", "purchase_words", "read_targets", "stored_views"]

Decoded = Callable[[], Pixels]
"""Every picture of the manifest, decoded when it is asked for."""


def narrow_fold(fold: Fold, config: TrainConfig, pixels: Decoded) -> Fold:
    """The fold with the pictures that the config lets the teacher be asked about.

    Looks at training pictures of the source domains only. Methods that read no image vectors are
    not narrowed. Raises TrainingError for a scorer that does not fit.
    """
    method = find_method(config.method)
    fold = replace(fold, purchase=purchase_words(config))
    if not (method.reads_images and method.trains):
        return fold
    if config.fresh_views:
        return replace(fold, chosen=())  # the cache is asked for no picture at all
    lends = method.lends and config.shots is not None
    fold = replace(fold, bought_views=config.bought_views, lends=lends)
    if config.queries == 1:
        return fold
    chosen = narrow_rows(fold.manifest, fold.offered, config, pixels)
    return replace(fold, chosen=tuple(chosen.tolist()), only_chosen=not method.fills_in)


def narrow_rows(manifest: Manifest, rows: Rows, config: TrainConfig, pixels: Decoded) -> Rows:
    """The share of the rows that `config.selection` chooses, ascending."""
    chosen = choose_pictures(
        manifest,
        rows.tolist(),
        config.queries,
        config.selection,
        seed=config.trial_seed,
        features=_features(manifest, rows, config, pixels)
        if config.selection == "k-center"
        else None,
        margins=_margins(manifest, config)[rows] if config.selection == "uncertainty" else None,
    )
    return np.array(chosen, dtype=np.int64)


def stored_views(fold: Fold) -> tuple[str, ...]:
    """The cache's names of the views that the fold's pictures were bought in."""
    return name_views(fold.bought_views) or (FILE_VIEW,)


def read_targets(teacher: Teacher, fold: Fold) -> Vector:
    """float32[v·n, d] unit: view after view, the teacher's vectors of the fold's training pictures.

    v is 1 for the files themselves. Rows of pictures that were not asked about are zero and their
    vectors are not looked for. Raises MissingVectors.
    """
    asked = np.isin(fold.training, fold.queried)
    blocks = []
    for view in stored_views(fold):
        found = teacher.read_images(fold, fold.training[asked], view=view)
        block = np.zeros((len(asked), found.shape[1]), dtype=np.float32)
        block[asked] = found
        blocks.append(block)
    return np.concatenate(blocks)


def purchase_words(config: TrainConfig) -> tuple[str, ...]:
    """What `vl2v fetch` must be told to buy what the config reads and no more."""
    given: dict[str, object] = {}
    narrowed = config.shots is not None and not find_method(config.method).lends
    if narrowed:
        given["--shots"] = config.shots
    if config.queries < 1:
        given |= {"--queries": f"{config.queries:g}", "--selection": config.selection}
        if config.selection == "uncertainty":
            given["--scored-by"] = config.scored_by
        if config.selection == "k-center":
            given |= {"--student": config.student, "--image-size": config.image_size}
    if config.bought_views:
        given["--views"] = config.bought_views
    if config.trial_seed and (narrowed or config.queries < 1):
        given["--trial-seed"] = config.trial_seed
    return tuple(str(word) for pair in given.items() for word in pair)


def _features(manifest: Manifest, rows: Rows, config: TrainConfig, pixels: Decoded) -> Vector:
    """float32[n, dS] of the untrained student; pictures of one domain are read together."""
    spec = StudentSpec(config.student, config.image_size, 1)
    student, _ = build_student(spec, weights="auto", seed=0)
    student.eval()
    everything = pixels()
    domains = np.array([manifest.pictures[int(row)].domain for row in rows])
    found: NDArray[np.float32] | None = None
    threads = torch.get_num_threads()
    # The order of sums must not depend on the machine's load: buying and training choose alike.
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for domain in np.unique(domains):
                places = np.flatnonzero(domains == domain)
                for start in range(0, len(places), BATCH):
                    part = places[start : start + BATCH]
                    block = student.features(to_unit_range(everything[rows[part]])).numpy()
                    if found is None:
                        found = np.empty((len(rows), block.shape[1]), dtype=np.float32)
                    found[part] = block
    finally:
        torch.set_num_threads(threads)
    if found is None:
        raise TrainingError("there is no training picture to choose from")
    return found


def _margins(manifest: Manifest, config: TrainConfig) -> NDArray[np.float32]:
    """float32[pictures]: the likeliest class's lead in probability, by the scoring student."""
    folder = RunFolder(Path(config.scored_by))
    document = folder.require_done()
    if find_method(document["method"]).reads_images:
        raise TrainingError(
            f"{folder.path} was trained by {document['method']}, which has bought image vectors "
            "itself: score with `vl2v train --method text-only`"
        )
    if not set(config.targets) <= set(document["targets"]):
        raise TrainingError(
            f"{folder.path} has seen a target domain: train the scorer with the same --target"
        )
    probabilities = load_answers(folder).probabilities
    if document["classes"] != list(manifest.classes) or len(probabilities) != len(
        manifest.pictures
    ):
        raise TrainingError(
            f"{folder.path} answered {len(probabilities)} pictures of {document['data']}, and "
            f"{manifest.data} holds {len(manifest.pictures)}: train the scorer on this data"
        )
    top = np.sort(probabilities, axis=1)[:, ::-1]
    margins: NDArray[np.float32] = top[:, 0] - top[:, 1]
    return margins
