"""The ideas beyond the papers, each a method of its own: which switches it turns on over adip."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["IDEAS", "PLAIN", "Idea", "Switches", "find_switches"]


@dataclass(frozen=True, slots=True)
class Switches:
    """What an idea changes; the defaults change nothing."""

    styles: float = 0.0
    """Share of the student's views that are restyled (edges, fills, inks …)."""
    rounds: int = 1
    """Times that a view is restyled, each with that share."""
    mixing: float = 0.0
    """Share of the steps whose early feature statistics are mixed between samples (MixStyle)."""
    blend: Literal["", "mixup", "cutmix"] = ""
    """Whether half of the batches blend each picture with another one, and their aims alike."""
    drop: float = 0.0
    """Stochastic depth of the deepest block; shallower ones have less."""
    strong: bool = False
    """Crops that keep as little as 0.4 of the picture, turned by up to 20 degrees."""
    kept: float = 1.0
    """Share of the distilled weights in the result; the rest is the aligned student's (WiSE-FT)."""
    trusts: bool = False
    """λ of each picture times the teacher's probability of its label."""
    centres: bool = False
    """Image vectors less their domain's mean, plus the mean of all."""
    softmax: float = 0.0
    """Weight of the cross-entropy over class texts."""
    bank: float = 0.0
    """Weight of InfoNCE against all bought image vectors."""
    divergence: float = 0.0
    """Weight of the KL divergence from the teacher's softened answers over class texts."""
    prototypes: float = 0.0
    """Share of a class's mean image vector in its text target."""
    unlabelled: bool = False
    """Whether, of few shots, the other source pictures teach as well: each by its vector, and by the
    class texts in the proportions of the student's own answer times the teacher's."""


PLAIN = Switches()


@dataclass(frozen=True, slots=True)
class Idea:
    """One row: a known method with some switches on."""

    name: str
    base: Literal["erm", "kd", "text-only", "adip"]
    summary: str
    switches: Switches

    @property
    def reads_images(self) -> bool:
        """Whether it reads the teacher's vectors of the training images."""
        return self.base in ("kd", "adip")

    @property
    def fills_in(self) -> bool:
        """Whether a picture whose vector was not bought still teaches."""
        drawn = self.switches
        needs_all = drawn.trusts or drawn.centres or drawn.bank or drawn.divergence
        return self.reads_images and not (needs_all or drawn.prototypes)


IDEAS = {
    idea.name: idea
    for idea in (
        # Chosen in tests/bench/lab/ideas.jsonl, on source styles alone, for every fold.
        Idea("adip+", "adip", "adip on views that are mostly restyled", Switches(styles=0.8)),
        Idea("adip-styles", "adip", "adip on restyled views", Switches(styles=0.5)),
        Idea("erm-styles", "erm", "erm on the views of adip+", Switches(styles=0.8)),
        Idea("kd-styles", "kd", "kd on the same restyled views", Switches(styles=0.5)),
        Idea("kd-styles-more", "kd", "kd on the views of adip+", Switches(styles=0.8)),
        Idea(
            "text-only-styles",
            "text-only",
            "text-only on the same restyled views",
            Switches(styles=0.5),
        ),
        Idea(
            "adip-styles-mixup",
            "adip",
            "adip on restyled and blended pictures",
            Switches(styles=0.5, blend="mixup"),
        ),
        Idea(
            "text-only-styles-mixup",
            "text-only",
            "text-only on restyled and blended pictures",
            Switches(styles=0.5, blend="mixup"),
        ),
        Idea(
            "adip-styles-more",
            "adip",
            "adip on views that are mostly restyled",
            Switches(styles=0.8),
        ),
        Idea(
            "text-only-styles-more",
            "text-only",
            "text-only on views that are mostly restyled",
            Switches(styles=0.8),
        ),
        Idea(
            "adip-styles-centred",
            "adip",
            "adip on mostly restyled views and style-centred image vectors",
            Switches(styles=0.8, centres=True),
        ),
        Idea(
            "adip-styles-prototypes",
            "adip",
            "adip on mostly restyled views, texts leaning towards their pictures",
            Switches(styles=0.8, prototypes=0.5),
        ),
        Idea(
            "adip-styles-softmax",
            "adip",
            "adip on mostly restyled views with a softmax over class texts",
            Switches(styles=0.8, softmax=0.1),
        ),
        Idea(
            "adip-styles-trust",
            "adip",
            "adip on mostly restyled views, λ weighted by the teacher's trust",
            Switches(styles=0.8, trusts=True),
        ),
        Idea(
            "adip-styles-kd",
            "adip",
            "adip on mostly restyled views with the teacher's softened answers",
            Switches(styles=0.8, divergence=0.1),
        ),
        Idea(
            "adip-styles-mixing",
            "adip",
            "adip on mostly restyled views with mixed feature statistics",
            Switches(styles=0.8, mixing=0.5),
        ),
        Idea(
            "adip-styles-twice",
            "adip",
            "adip on views restyled up to twice",
            Switches(styles=0.6, rounds=2),
        ),
        Idea(
            "adip-styles-unlabelled",
            "adip",
            "adip on mostly restyled views; with few shots, unlabelled pictures as well",
            Switches(styles=0.8, unlabelled=True),
        ),
        Idea(
            "adip-unlabelled",
            "adip",
            "adip; with few shots, unlabelled pictures as well",
            Switches(unlabelled=True),
        ),
        Idea("adip-styles-all", "adip", "adip on restyled views alone", Switches(styles=1.0)),
        Idea("adip-mixing", "adip", "adip with mixed feature statistics", Switches(mixing=0.5)),
        Idea("adip-mixup", "adip", "adip on blended pictures", Switches(blend="mixup")),
        Idea(
            "adip-cutmix", "adip", "adip on pictures pasted into others", Switches(blend="cutmix")
        ),
        Idea("adip-depth", "adip", "adip with stochastic depth", Switches(drop=0.2)),
        Idea("adip-strong", "adip", "adip on stronger crops and turns", Switches(strong=True)),
        Idea("adip-wise", "adip", "adip, averaged with its aligned weights", Switches(kept=0.7)),
        Idea(
            "adip-trust", "adip", "adip, λ weighted by the teacher's trust", Switches(trusts=True)
        ),
        Idea("adip-centred", "adip", "adip on style-centred image vectors", Switches(centres=True)),
        Idea("adip-softmax", "adip", "adip with a softmax over class texts", Switches(softmax=0.1)),
        Idea(
            "adip-bank",
            "adip",
            "adip with softmax over texts and InfoNCE against all bought vectors",
            Switches(softmax=0.1, bank=0.1),
        ),
        Idea(
            "adip-kd", "adip", "adip with the teacher's softened answers", Switches(divergence=0.1)
        ),
        Idea(
            "adip-prototypes",
            "adip",
            "adip whose text targets lean towards the class's mean image vector",
            Switches(prototypes=0.5),
        ),
    )
}


def find_switches(method: str) -> Switches:
    """What the method turns on; nothing for those that are no idea."""
    return IDEAS[method].switches if method in IDEAS else PLAIN
