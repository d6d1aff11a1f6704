"""The trials of `make ideas`: what was expected of each idea before it was run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TRIALS", "Trial"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One row: a method with its settings, and what is expected of it against `adip`."""

    name: str
    method: str
    hypothesis: str
    expected: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """TrainConfig fields beside the common ones."""


TRIALS = {
    trial.name: trial
    for trial in (
        Trial("adip", "adip", "the paper's method: what every idea is judged against", "0"),
        Trial("text-only", "text-only", "rival: class texts without image vectors", "-1 to 0"),
        Trial("erm", "erm", "rival: linear probe, then all weights", "-10 or worse", {"lr": 3e-4}),
        Trial("kd", "kd", "rival: labels and the teacher's softened answers", "-8 to 0"),
        Trial(
            "adip-styles",
            "adip-styles",
            "a student that sees edges, fills and inks of each picture cannot lean on its style, "
            "and the clean file's vector stays right for all of them",
            "+3 or more",
        ),
        Trial(
            "adip-styles-centred",
            "adip-styles-centred",
            "text-only-styles passed adip-styles on the first two pairs: image vectors bring their "
            "style along, unless it is taken out",
            "+5.5",
        ),
        Trial(
            "adip-styles-prototypes",
            "adip-styles-prototypes",
            "a class's mean image vector over styles has no style of its own",
            "+5.5",
        ),
        Trial(
            "adip-styles-softmax",
            "adip-styles-softmax",
            "restyled views fit slowly; a softmax has a steeper slope near the aim",
            "+5.5",
        ),
        Trial(
            "adip-styles-trust",
            "adip-styles-trust",
            "without misread pictures the image term should not cost anything",
            "+5.5",
        ),
        Trial(
            "adip-styles-kd",
            "adip-styles-kd",
            "softened answers on restyled views",
            "+5.5",
        ),
        Trial(
            "adip-styles-more-lr2e-3",
            "adip-styles-more",
            "0.8 and the higher rate each gained over 0.5 and 1e-3 on the first pair",
            "+7",
            {"lr": 2e-3},
        ),
        Trial(
            "text-only-styles-more",
            "text-only-styles-more",
            "the same views without image vectors",
            "+6",
        ),
        Trial(
            "adip-styles-mixing",
            "adip-styles-mixing",
            "mixed statistics on top of mostly restyled views",
            "+7",
        ),
        Trial(
            "adip-styles-twice",
            "adip-styles-twice",
            "styles on top of each other are more styles: an edge drawing, tinted",
            "+7",
        ),
        Trial(
            "adip-styles-all",
            "adip-styles-all",
            "no view as it is, but for the clean one of Align",
            "+5",
        ),
        Trial("text-only-lr2e-3", "text-only", "rival at the higher rate", "0", {"lr": 2e-3}),
        Trial(
            "adip-styles-lr2e-3",
            "adip-styles",
            "restyled views fit slowly in 200 steps",
            "+5.5",
            {"lr": 2e-3},
        ),
        Trial(
            "adip-styles-mixup",
            "adip-styles-mixup",
            "restyled views and mixup each gained on two pairs; they regularise different things",
            "+5 or more",
        ),
        Trial(
            "text-only-styles-mixup",
            "text-only-styles-mixup",
            "the same without image vectors: how much of the gain is bought",
            "+4",
        ),
        Trial(
            "adip-styles-more",
            "adip-styles-more",
            "if half of the views restyled is good, most may be better",
            "+4",
        ),
        Trial(
            "text-only-styles",
            "text-only-styles",
            "restyled views help without image vectors as well",
            "+2 or more",
        ),
        Trial(
            "erm-styles",
            "erm-styles",
            "restyled views help erm too, but its head is not held in place",
            "-8 to -4",
            {"lr": 3e-4},
        ),
        Trial(
            "kd-styles",
            "kd-styles",
            "restyled views help kd too",
            "-4 to 0",
        ),
        Trial(
            "adip-mixing",
            "adip-mixing",
            "mixed channel statistics imitate unseen styles inside the network",
            "+1",
        ),
        Trial(
            "adip-mixup",
            "adip-mixup",
            "pictures between two classes have aims between theirs: 30 pictures a class are few",
            "+1",
        ),
        Trial(
            "adip-cutmix",
            "adip-cutmix",
            "a pasted piece of another style and class makes every part of a drawing count",
            "+1",
        ),
        Trial("adip-depth", "adip-depth", "stochastic depth regularises", "+0.5"),
        Trial(
            "adip-batchnorm",
            "adip",
            "ImageNet's statistics at 224 px do not fit icons at 64 px: let BatchNorm follow",
            "+1",
            {"batchnorm": "updated"},
        ),
        Trial(
            "adip-lr2e-3",
            "adip",
            "the learning rate was at the edge of its grid",
            "+0.5",
            {"lr": 2e-3},
        ),
        Trial("adip-lambda0.3", "adip", "more weight on images", "-0.5", {"image_weight": 0.3}),
        Trial(
            "adip-strong",
            "adip-strong",
            "1,200 pictures are few: stronger crops and turns regularise",
            "+1",
        ),
        Trial(
            "adip-wise",
            "adip-wise",
            "averaging with the aligned weights keeps what ImageNet taught about other styles",
            "+1",
        ),
        Trial(
            "adip-trust",
            "adip-trust",
            "image vectors of pictures that the teacher misreads pull the student the wrong way",
            "+0.5",
        ),
        Trial(
            "adip-centred",
            "adip-centred",
            "what a style's image vectors share is style; without it they say what is drawn",
            "+0.5",
        ),
        Trial(
            "adip-softmax",
            "adip-softmax",
            "a softmax over class texts pushes away from the wrong ones, which cosines do not",
            "+1",
        ),
        Trial(
            "adip-bank",
            "adip-bank",
            "contrast against all bought vectors keeps the teacher's neighbourhoods",
            "+1",
        ),
        Trial(
            "adip-kd",
            "adip-kd",
            "softened answers over class texts say which classes look alike",
            "+1",
        ),
        Trial(
            "adip-prototypes",
            "adip-prototypes",
            "a class's mean image vector, over styles, corrects a class text that the teacher "
            "places badly",
            "+1",
        ),
        # With few shots; judged against adip with as few.
        Trial("adip@4", "adip", "the paper's method on four shots", "0", {"shots": 4}),
        Trial("text-only@4", "text-only", "rival on four shots", "-1 to 0", {"shots": 4}),
        Trial(
            "adip-styles-more@4",
            "adip-styles-more",
            "with few pictures, restyled views should be worth as much as with many",
            "+4",
            {"shots": 4},
        ),
        Trial(
            "adip-unlabelled@4",
            "adip-unlabelled",
            "student and teacher err differently, so their product names unlabelled pictures better "
            "than either; twice to three times as many pictures for one query each",
            "+3",
            {"shots": 4},
        ),
        Trial(
            "adip-styles-unlabelled@4",
            "adip-styles-unlabelled",
            "more pictures and more styles are different gains",
            "+6",
            {"shots": 4},
        ),
        Trial(
            "adip-styles-kd@4",
            "adip-styles-kd",
            "with few labels, what the teacher says of each picture is worth more",
            "+6.5",
            {"shots": 4},
        ),
        Trial(
            "adip-styles-lambda0.3@4",
            "adip-styles-more",
            "the same, by more weight on its vectors",
            "+6.5",
            {"shots": 4, "image_weight": 0.3},
        ),
    )
}
