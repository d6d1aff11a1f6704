"""Which of the training pictures `vl2v fetch` asks about: a few shots, a share of them, or all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.cache import Purpose
from client.data import Manifest
from client.data.choosing import Selection, choose_pictures
from client.data.shots import draw_shots
from client.errors import UsageError

if TYPE_CHECKING:
    from client.train.config import TrainConfig

__all__ = ["Narrowing"]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What training will be told, so that just its pictures are bought."""

    shots: int | None = None
    queries: float = 1.0
    """Share of the pictures; 0 buys the class texts alone."""
    selection: Selection = "random"
    scored_by: str = ""
    views: int = 0
    seed: int = 0
    """The trial seed of training."""
    student: str = ""
    """For k-center, with the image size: empty takes training's default."""
    image_size: int = 0

    def check(self, purpose: Purpose) -> None:
        """Raises UsageError for what cannot be bought."""
        if not 0 <= self.queries <= 1:
            raise UsageError("--queries is a share between 0 and 1; 0 buys the class texts alone")
        if self.shots is not None and self.shots < 1:
            raise UsageError("--shots must be at least 1")
        if self.views < 0:
            raise UsageError("--views cannot be negative; 0 buys the files as they are")
        if self.selection == "uncertainty" and 0 < self.queries < 1 and not self.scored_by:
            raise UsageError(
                "--selection uncertainty needs a student to score by: --scored-by RUN, made with "
                "`vl2v train … --method text-only --out RUN` (`--queries 0` buys its texts)"
            )
        if purpose == "evaluation" and (self.shots or self.queries < 1 or self.views):
            raise UsageError(
                "--purpose evaluation asks about each of its files once: leave out --shots, "
                "--queries and --views"
            )

    @property
    def narrows(self) -> bool:
        """Whether pictures are chosen by comparing them with each other, all of them in memory."""
        return self.shots is not None or self.queries < 1

    def picker(
        self, manifest: Manifest, targets: tuple[str, ...]
    ) -> Callable[[list[int]], list[int]]:
        """Rows of the purpose → rows to buy, the same that training reads."""

        def pick(rows: list[int]) -> list[int]:
            if self.shots is not None:
                rows = draw_shots(manifest, rows, self.shots, seed=self.seed)
            if self.queries in (0, 1):
                return rows if self.queries else []
            if self.selection in ("random", "stratified"):
                share, seed = self.queries, self.seed
                return choose_pictures(manifest, rows, share, self.selection, seed=seed)
            return self._ask_student(manifest, targets, rows)

        return pick

    def _ask_student(
        self, manifest: Manifest, targets: tuple[str, ...], rows: list[int]
    ) -> list[int]:
        """The choice of the rules that look through a student's eyes; loads torch."""
        import numpy as np

        from client.cli.training import require_torch
        from client.train.pixels import decode_manifest
        from client.train.querying import narrow_rows

        require_torch(None)
        config = self._config(targets)
        chosen = narrow_rows(
            manifest,
            np.array(rows, dtype=np.int64),
            config,
            lambda: decode_manifest(manifest, config.image_size),
        )
        return [int(row) for row in chosen]

    def _config(self, targets: tuple[str, ...]) -> "TrainConfig":
        from client.train.config import TrainConfig

        usual = TrainConfig()
        return TrainConfig(
            targets=targets,
            student=self.student or usual.student,
            image_size=self.image_size or usual.image_size,
            trial_seed=self.seed,
            queries=self.queries,
            selection=self.selection,
            scored_by=self.scored_by,
        )
