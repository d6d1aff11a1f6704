"""A data folder made ready for training: scanned, split, decoded once, with its cache beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.cache.store import EmbeddingStore
from client.data.descriptions import load_captions, load_descriptions
from client.data.folders import scan_folders
from client.data.manifest import Manifest
from client.data.splits import Split, split_pictures
from client.train.config import TrainConfig
from client.train.fold import Fold, make_fold
from client.train.methods import find_method
from client.train.pixels import Pixels, decode_manifest
from client.train.teacher import Teacher

__all__ = ["Experiment", "open_experiment"]


@dataclass
class Experiment:
    """What all runs on one data folder share."""

    manifest: Manifest
    split: Split
    store: EmbeddingStore
    _pixels: dict[int, Pixels] = field(default_factory=dict)

    def fold(self, targets: tuple[str, ...]) -> Fold:
        """The fold that leaves `targets` out. Raises UnknownName, TrainingError."""
        return make_fold(self.manifest, self.split, targets)

    def pixels(self, side: int) -> Pixels:
        """Every picture at `side` pixels, decoded at the first call."""
        if side not in self._pixels:
            self._pixels[side] = decode_manifest(self.manifest, side)
        return self._pixels[side]

    def teacher(self, config: TrainConfig) -> Teacher | None:
        """The teacher's bought vectors, for a method that reads some. Raises ModelNotCached."""
        if not config.model or not find_method(config.method).reads_texts:
            return None
        return Teacher.open(
            self.store,
            config.model,
            descriptions=(
                load_descriptions(Path(config.descriptions)) if config.descriptions else None
            ),
            captions=load_captions(Path(config.captions)) if config.captions else None,
        )

    def require_vectors(self, config: TrainConfig, folds: Sequence[Fold]) -> None:
        """Read all that the method will read on the folds, so that nothing is missing midway.

        Raises MissingVectors, ModelNotCached.
        """
        method, teacher = find_method(config.method), self.teacher(config)
        if teacher is None:
            return
        for fold in folds:
            teacher.read_texts(fold)
            if method.reads_captions:
                teacher.read_captions(fold)
            if method.reads_images:
                teacher.read_images(fold, fold.training)
            elif not method.trains:
                teacher.read_images(fold, fold.asked, "evaluation")

    def without(self, targets: tuple[str, ...]) -> "Experiment":
        """The same data as if the target domains did not exist; the class index stays."""
        fold = self.fold(targets)
        kept = [i for i, p in enumerate(self.manifest.pictures) if p.domain in fold.sources]
        place = {old: new for new, old in enumerate(kept)}
        manifest = replace(
            self.manifest,
            pictures=tuple(self.manifest.pictures[i] for i in kept),
            domains=fold.sources,
        )
        split = Split(
            training=tuple(place[i] for i in self.split.training if i in place),
            validation=tuple(place[i] for i in self.split.validation if i in place),
        )
        return Experiment(
            manifest, split, self.store, {side: p[kept] for side, p in self._pixels.items()}
        )


def open_experiment(root: Path, config: TrainConfig, store: EmbeddingStore) -> Experiment:
    """Scan and split a data folder. Raises DataError."""
    manifest = scan_folders(root, memo=store.digests)
    split = split_pictures(manifest, seed=config.split_seed, holdout=config.holdout)
    return Experiment(manifest, split, store)
