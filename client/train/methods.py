"""The methods that can be compared: what each has to buy, and how it goes about training."""

from dataclasses import dataclass
from typing import Literal

from client.train.errors import check_name
from client.train.plus_methods import IDEAS

__all__ = ["METHODS", "Method", "find_method"]

Start = Literal["fitted", "fresh"]
Head = Literal["linear", "gelu", "mlp"]


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the comparison."""

    name: str
    reads_images: bool
    """Whether training reads the teacher's vectors of the training images."""
    reads_texts: bool
    """Whether it reads the teacher's vectors of the class texts."""
    trains: bool
    summary: str
    start: Start = "fitted"
    """The head before the backbone moves: solved on fixed features (Align, or a linear probe), or
    as it was initialised."""
    distils: bool = True
    """Whether the backbone moves at all; without it the fitted head is the result."""
    head: Head = "linear"
    """One Linear, or Linear-GELU-Linear (gelu), or SimKD's projector without its last ReLU (mlp)."""
    white_box: bool = False
    """Whether it needs the teacher's own weights (the student is a copy of its image tower)."""


METHODS = {
    method.name: method
    for method in (
        Method("zero-shot", False, True, False, "the teacher itself, asked about every image"),
        Method("erm", False, False, True, "labels only: linear probe, then the whole student"),
        Method("text-only", False, True, True, "align and distil towards the class texts alone"),
        Method("kd", True, True, True, "labels and the teacher's softened answers"),
        Method("adip", True, True, True, "align, distil, predict: image and text vectors"),
    )
} | {
    idea.name: Method(idea.name, idea.reads_images, idea.base != "erm", True, idea.summary)
    for idea in IDEAS.values()
}


def find_method(name: str) -> Method:
    """The method of that name. Raises UnknownName with close matches."""
    return METHODS[check_name("method", name, METHODS)]
