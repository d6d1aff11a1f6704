"""Options that several training commands share, each with its unit and default written once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from client.train.config import CHOICES, TrainConfig
from client.train.methods import METHODS

DEFAULTS = TrainConfig()


def _either(name: str) -> str:
    return " or ".join(CHOICES[name])


Data = Annotated[Path, typer.Argument(help="Folder laid out as DATA/<domain>/<class>/<image>.")]
Model = Annotated[
    str, typer.Option("--model", "-m", help="The teacher's id, as it was bought with `vl2v fetch`.")
]
Methods = Annotated[
    list[str], typer.Option("--method", help=f"One of {', '.join(METHODS)}; may be repeated.")
]
Student = Annotated[
    str, typer.Option("--student", help="Any timm model name, such as vit_small_patch16_224.")
]
Weights = Annotated[
    str,
    typer.Option(
        help="Where the student starts: auto (ImageNet weights found on this machine), random, "
        "or a safetensors file."
    ),
]
ImageSize = Annotated[int, typer.Option(help="Pixels a side that the student sees.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps of the second stage.")]
Batch = Annotated[int, typer.Option(help="Images a step.")]
Lr = Annotated[float, typer.Option(help="Peak learning rate.")]
Lambda = Annotated[
    float, typer.Option("--lambda", help="Share of the image term in adip; the text has the rest.")
]
Temperature = Annotated[float, typer.Option(help="Softening of teacher and student in kd.")]
SplitSeed = Annotated[int, typer.Option(help="Decides the 80/20 split alone.")]
TrialSeed = Annotated[int, typer.Option(help="Decides sampling, augmentation and the like.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Processor threads; default all of the machine's.")
]
Cache = Annotated[
    str | None, typer.Option("--cache", help="Cache path or URL; default VL2V_CACHE_URL.")
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on from where the run folder stands.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON lines.")]

# How a run is made: recipe, averaging, machine.
Recipe = Annotated[
    str,
    typer.Option(help=f"{_either('recipe')}: settings to begin with; other options override them."),
]
Sampling = Annotated[
    str, typer.Option(help=f"{_either('sampling')}: --batch images a step, or a step and domain.")
]
Schedule = Annotated[
    str, typer.Option(help=f"{_either('schedule')}: the learning rate after the warm-up.")
]
Align = Annotated[
    str,
    typer.Option(
        help=f"{_either('align')}: solve the head, search it on the loss, or take gradient steps."
    ),
]
AveragingKind = Annotated[
    str, typer.Option(help=f"{_either('averaging_kind')}: which weights are kept.")
]
Evaluations = Annotated[
    int, typer.Option(help="Looks at source validation; SWAD takes 50 if none are given.")
]
Precision = Annotated[
    str, typer.Option(help=f"{_either('precision')}: what the student computes in.")
]
Accumulate = Annotated[int, typer.Option(help="Parts that a batch is computed in, to save memory.")]
Device = Annotated[str, typer.Option(help=f"{_either('device')}: where the student computes.")]
PixelCache = Annotated[
    bool,
    typer.Option(
        "--pixel-cache/--no-pixel-cache", help="Keep decoded images on disk for the next run."
    ),
]


def pick_given(context: typer.Context, settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings whose options were typed (or have none of their own), so that a recipe decides
    the others."""
    sources = {name: context.get_parameter_source(name) for name in settings}
    return {
        name: value
        for name, value in settings.items()
        if (source := sources[name]) is None or source.name != "DEFAULT"
    }


__all__ = [
    "DEFAULTS",
    "Accumulate",
    "Align",
    "AveragingKind",
    "Batch",
    "Cache",
    "Data",
    "Device",
    "Evaluations",
    "ImageSize",
    "Json",
    "Lambda",
    "Lr",
    "Methods",
    "Model",
    "PixelCache",
    "Precision",
    "Recipe",
    "Resume",
    "Sampling",
    "Schedule",
    "SplitSeed",
    "Steps",
    "Student",
    "Temperature",
    "Threads",
    "TrialSeed",
    "Weights",
    "pick_given",
]
