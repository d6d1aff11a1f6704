"""The white-box student: a trainable copy of the teacher's own image tower (VL2V-SD and its rivals)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.methods import Head, find_method
from client.train.student import Student, StudentSpec
from shared.revision import split_space
from shared.wire import ModelDocument

__all__ = ["Tower", "copy_tower", "mix_weights", "require_weights"]


class Tower(nn.Module):
    """A CLIP's image tower; takes normalised float[n, 3, s, s] of any size, gives float[n, d]."""

    def __init__(self, visual: nn.Module, side: int) -> None:
        super().__init__()
        self.visual = visual
        self.side = side
        with torch.no_grad():
            found = self.eval()(torch.zeros(1, 3, side, side))
        if not isinstance(found, Tensor) or found.ndim != 2:
            raise TrainingError("the teacher's image tower gives more than one vector a picture")
        self.width = found.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """float[n, d], not of unit length."""
        if images.shape[-1] != self.side:
            size = (self.side, self.side)
            images = F.interpolate(images, size, mode="bicubic", antialias=True)
        out: Tensor = self.visual(images)
        return out


def require_weights(config: TrainConfig) -> None:
    """Raises TrainingError when a white-box method has no teacher's weights to copy."""
    if find_method(config.method).white_box and not config.teacher_weights:
        raise TrainingError(
            f"{config.method} trains a copy of the teacher's own image tower: give its weights with "
            "--teacher-weights local-dir:PATH, or an open_clip model's ARCHITECTURE/TAG"
        )


def require_own_space(config: TrainConfig, document: ModelDocument) -> None:
    """Raises TrainingError when the weights and the bought vectors lie in two spaces."""
    space_id = split_space(document.revision)[1]
    if find_method(config.method).white_box and space_id is not None:
        raise TrainingError(
            f"{config.method} trains the teacher's own weights, and these vectors were bought in the "
            f"private space {space_id}, which no weights answer in: buy from an account without one, "
            "or choose a method that needs no weights"
        )


def copy_tower(config: TrainConfig, head: Head, head_width: int, *, seed: int = 0) -> Student:
    """A student that starts as the teacher's image tower, with the teacher's normalisation.

    Pictures of `config.image_size` are resized to the tower's own size. A head, where there is one,
    is initialised under `seed`. Raises TrainingError without usable weights, and when the tower's
    vectors are not as long as the bought ones.
    """
    from shared.openclip import ModelNotFound, load_openclip

    require_weights(config)
    try:
        clip = load_openclip(config.teacher_weights)
    except ModelNotFound as error:
        raise TrainingError(f"--teacher-weights: {error}") from error
    shape = clip.preprocessing
    tower = Tower(_visual(clip.model), shape.image_size).requires_grad_(True)
    if head == "none" and tower.width != head_width:
        raise TrainingError(
            f"--teacher-weights {config.teacher_weights} gives vectors of {tower.width} "
            f"numbers, but those bought from {config.model} have {head_width}: name the weights "
            "of that same model"
        )
    torch.manual_seed(seed)
    spec = StudentSpec(config.teacher_weights, config.image_size, head_width, head)
    student = Student(spec, tower, tower.width, list(shape.mean), list(shape.std))
    return student.to(memory_format=torch.channels_last)


@torch.no_grad()
def mix_weights(student: Student, other: Student, share: float) -> None:
    """student ← (1 − share)·student + share·other, in place: WiSE-FT's interpolation."""
    theirs = other.state_dict()
    for name, value in student.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


def _visual(clip: Any) -> nn.Module:
    visual: nn.Module = clip.visual
    return visual
