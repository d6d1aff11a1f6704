"""A data folder made ready for training: scanned, split, decoded once, with its cache beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.cache.store import EmbeddingStore
from client.data.descriptions import load_captions, load_descriptions
from client.data.folders import scan_folders
from client.data.manifest import Manifest
from client.data.splits import Split, split_pictures
from client.train.config import TrainConfig
from client.train.distributed import SOLO, World
from client.train.fold import Fold, make_fold
from client.train.job import Job
from client.train.methods import find_method
from client.train.pixel_cache import open_pixels
from client.train.pixels import Pixels, Report, decode_manifest
from client.train.querying import narrow_fold, read_targets
from client.train.runs import RunFolder
from client.train.teacher import Teacher
from client.train.whitebox import require_own_space, require_weights

__all__ = ["Experiment", "open_experiment"]


@dataclass
class Experiment:
    """What all runs on one data folder share."""

    manifest: Manifest
    split: Split
    store: EmbeddingStore
    pixel_cache: Path | None = None
    """Folder of decoded pictures that outlive the process; None decodes into memory."""
    _pixels: dict[int, Pixels] = field(default_factory=dict)
    _folds: dict[tuple[tuple[str, ...], TrainConfig], Fold] = field(default_factory=dict)

    def fold(self, targets: tuple[str, ...], config: TrainConfig | None = None) -> Fold:
        """The fold that leaves `targets` out, with the shots and queries of `config`.

        Without a config it is whole. Raises UnknownName, TrainingError.
        """
        if config is None:
            return make_fold(self.manifest, self.split, targets)
        key = (targets, config)
        if key not in self._folds:
            shots, seed = config.shots, config.trial_seed
            whole = make_fold(self.manifest, self.split, targets, shots=shots, seed=seed)
            self._folds[key] = narrow_fold(whole, config, lambda: self.pixels(config.image_size))
        return self._folds[key]

    def pixels(self, side: int, report: Report = lambda stage, done, total: None) -> Pixels:
        """Every picture at `side` pixels, decoded at the first call. Raises TrainingError."""
        if side not in self._pixels:
            self._pixels[side] = (
                open_pixels(self.manifest, side, self.pixel_cache, report)
                if self.pixel_cache
                else decode_manifest(self.manifest, side, report)
            )
        return self._pixels[side]

    def teacher(self, config: TrainConfig) -> Teacher | None:
        """The teacher's bought vectors, for a method that reads some. Raises ModelNotCached."""
        if not config.model or not find_method(config.method).reads_texts:
            return None
        return Teacher.open(
            self.store,
            config.model,
            config.prompts,
            descriptions=(
                load_descriptions(Path(config.descriptions)) if config.descriptions else None
            ),
            captions=load_captions(Path(config.captions)) if config.captions else None,
        )

    def job(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        report: Report = lambda stage, done, total: None,
        stop: Callable[[], bool] = lambda: False,
        world: World = SOLO,
    ) -> Job:
        """The run of `config` in a folder, with the fold, pictures and vectors that it asks for.

        Raises UnknownName, TrainingError, ModelNotCached.
        """
        return Job(
            config=config,
            fold=self.fold(config.targets, config),
            pixels=self.pixels(config.image_size, report),
            teacher=self.teacher(config),
            folder=RunFolder(folder),
            report=report,
            stop=stop,
            world=world,
        )

    def require_vectors(self, config: TrainConfig, folds: Sequence[Fold]) -> None:
        """Read all that the method will read on the folds, so that nothing is missing midway.

        Raises MissingVectors, ModelNotCached, and TrainingError for a white-box method without the
        teacher's weights.
        """
        require_weights(config)
        method, teacher = find_method(config.method), self.teacher(config)
        if teacher is None:
            return
        require_own_space(config, teacher.document)
        for fold in folds:
            teacher.read_texts(fold)
            if method.reads_captions:
                teacher.read_captions(fold)
            if not method.trains:
                teacher.read_images(fold, fold.asked, "evaluation")
            elif method.reads_images and not config.fresh_views:
                read_targets(teacher, fold)

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
        known = {side: pixels[kept] for side, pixels in self._pixels.items()}
        return Experiment(manifest, split, self.store, self.pixel_cache, known)


def open_experiment(
    root: Path, config: TrainConfig, store: EmbeddingStore, pixel_cache: Path | None = None
) -> Experiment:
    """Scan and split a data folder. Raises DataError."""
    manifest = scan_folders(root, memo=store.digests)
    split = split_pictures(manifest, seed=config.split_seed, holdout=config.holdout)
    return Experiment(manifest, split, store, pixel_cache)
