"""The methods that can be compared: what each has to buy, and how it goes about training."""

from dataclasses import dataclass
from typing import Literal

from client.train.errors import check_name
from client.train.plus_methods import IDEAS

__all__ = ["METHODS", "Head", "Method", "find_method"]

Start = Literal["fitted", "fresh"]
Head = Literal["linear", "gelu", "mlp", "none"]


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
    """One Linear, or Linear-GELU-Linear (gelu), or SimKD's projector without its last ReLU (mlp),
    or none: the backbone gives the teacher's dimensions by itself."""
    fills_in: bool = False
    """Whether a picture whose vector was not bought still teaches, by its class text or label alone;
    otherwise such pictures are left out of training."""
    white_box: bool = False
    """Whether it needs the teacher's own weights (the student is a copy of its image tower)."""
    weighs_images: bool = False
    """Whether `image_weight`, λ, is a setting of this method, to be tuned like its learning rate."""
    start_share: float = 0.0
    """Share of the starting weights in the finished student (WiSE-FT's interpolation)."""
    reads_captions: bool = False
    """Whether it reads the teacher's vectors of the training pictures' captions."""
    lends: bool = False
    """Whether source pictures beyond the shots teach too, by their vectors, without their labels."""


METHODS = {
    method.name: method
    for method in (
        Method("zero-shot", False, True, False, "the teacher itself, asked about every image"),
        Method(
            "linear-probe",
            False,
            False,
            True,
            "labels only: a linear classifier on the backbone as it is",
            distils=False,
        ),
        Method("erm", False, False, True, "labels only: the whole student", start="fresh"),
        Method("lp-ft", False, False, True, "labels only: linear probe, then the whole student"),
        Method("text-only", False, True, True, "align and distil towards the class texts alone"),
        Method(
            "feature-only",
            True,
            True,
            True,
            "backbone and head together towards the image vectors alone",
            start="fresh",
        ),
        Method(
            "one-stage",
            True,
            True,
            True,
            "adip's loss without stages: backbone and head together",
            start="fresh",
            weighs_images=True,
        ),
        Method("kd", True, True, True, "labels and the teacher's softened answers", fills_in=True),
        Method(
            "kd-text", True, True, True, "kd, the student answering by its cosines to the texts"
        ),
        Method(
            "simkd",
            True,
            True,
            True,
            "image vectors through an MLP projector; the texts classify",
            start="fresh",
            head="mlp",
        ),
        Method(
            "align-only",
            True,
            True,
            True,
            "adip's first stage alone: the backbone stays as it is",
            distils=False,
            fills_in=True,
            weighs_images=True,
        ),
        Method(
            "adip",
            True,
            True,
            True,
            "align, distil, predict: image and text vectors",
            fills_in=True,
            weighs_images=True,
        ),
        Method(
            "adip-head",
            True,
            True,
            True,
            "adip whose second stage moves the head too",
            weighs_images=True,
        ),
        Method(
            "adip-gelu",
            True,
            True,
            True,
            "adip with a head of two layers",
            head="gelu",
            fills_in=True,
            weighs_images=True,
        ),
        Method(
            "sd",
            True,
            True,
            True,
            "white box: a copy of the teacher's tower by adip's loss, no head",
            start="fresh",
            head="none",
            white_box=True,
            weighs_images=True,
        ),
        Method(
            "wise-ft",
            False,
            True,
            True,
            "white box: the copy learns the labels, then goes half the way back",
            start="fresh",
            head="none",
            white_box=True,
            start_share=0.5,
        ),
        Method(
            "flyp",
            False,
            True,
            True,
            "white box: the copy by CLIP's own contrastive loss, the texts fixed",
            start="fresh",
            head="none",
            white_box=True,
        ),
        Method(
            "lp-ft-clip",
            False,
            False,
            True,
            "white box: linear probe on the copy, then all of it",
            white_box=True,
        ),
        Method("li-naive", False, True, True, "labels over class texts (Li 2023, L_cls)", "fresh"),
        Method("li-mse", True, True, True, "li-naive and the distance to image vectors", "fresh"),
        Method("li-cst", True, True, True, "li-mse and contrast of image vectors", "fresh"),
        Method("li", True, True, True, "li-cst and the teacher's nearest class texts", "fresh"),
        Method(
            "li-cap",
            True,
            True,
            True,
            "li and captions of the pictures",
            "fresh",
            reads_captions=True,
        ),
    )
} | {
    idea.name: Method(
        idea.name,
        idea.reads_images,
        idea.base != "erm",
        True,
        idea.summary,
        start="fresh" if idea.base == "erm" else "fitted",
        fills_in=idea.fills_in,
        weighs_images=idea.base == "adip",
        lends=idea.switches.unlabelled,
    )
    for idea in IDEAS.values()
}


def find_method(name: str) -> Method:
    """The method of that name. Raises UnknownName with close matches."""
    return METHODS[check_name("method", name, METHODS)]
