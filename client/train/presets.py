"""Named comparisons: which methods, how long and how often; the one place that lists them."""

from collections.abc import Mapping
from dataclasses import dataclass

from client.train.errors import check_name
from client.train.methods import METHODS, Method
from client.train.plus_methods import IDEAS

__all__ = ["CONTRASTS", "PRESETS", "Preset", "find_preset", "find_presets"]


@dataclass(frozen=True, slots=True)
class Preset:
    """What `vl2v bench --preset` stands for; options given beside it win."""

    name: str
    methods: tuple[str, ...]
    summary: str
    steps: int | None = None
    """Optimiser steps of Distill; None: as every run's default."""
    seeds: int = 1


FAIR = ("adip+", "erm-styles", "kd-styles-more", "text-only-styles-more")
"""Ideas beyond the papers that belong in every full comparison: the best, and what it gives rivals."""


def _is_general(name: str, method: Method) -> bool:
    if method.white_box or method.reads_captions:
        return False
    return name not in IDEAS or name in FAIR


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke",
            ("zero-shot", "text-only", "erm"),
            "does everything fit together; minutes, and no figure to quote",
            steps=20,
        ),
        Preset(
            "core",
            ("zero-shot", "linear-probe", "text-only", "erm", "kd", "adip", "adip+"),
            "the comparison that the claims rest on",
            seeds=3,
        ),
        Preset(
            "full",
            tuple(name for name, method in METHODS.items() if _is_general(name, method)),
            "every method that needs no more than the vendor's vectors of pictures and classes",
        ),
    )
}

CONTRASTS: tuple[tuple[str, str], ...] = (
    ("adip", "erm"),
    ("adip", "text-only"),
    ("adip+", "*"),
)
"""(a, b): whose difference a − b the tables show; `*` is every other method of the table."""


def find_presets() -> dict[str, Preset]:
    """Name → preset, smallest first."""
    return dict(PRESETS)


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UnknownName with close matches."""
    return PRESETS[check_name("preset", name, PRESETS)]
