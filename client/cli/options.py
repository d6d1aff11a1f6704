"""Options that several training commands share, each with its unit and default written once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from client.data.choosing import Selection
from client.train.config import CHOICES, TrainConfig
from client.train.methods import METHODS
from client.train.plus_methods import IDEAS

DEFAULTS = TrainConfig()


def _either(name: str) -> str:
    return " or ".join(CHOICES[name])


Data = Annotated[
    Path,
    typer.Argument(
        help="Folder DATA/<domain>/<class>/<image>, or a CSV with columns path, class, domain."
    ),
]
Model = Annotated[
    str, typer.Option("--model", "-m", help="The teacher's id, as it was bought with `vl2v fetch`.")
]
Methods = Annotated[
    list[str],
    typer.Option(
        "--method",
        help=f"One of {', '.join(name for name in METHODS if name not in IDEAS)}, adip+, or an idea "
        "behind it such as adip-styles; may be repeated.",
    ),
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
Temperature = Annotated[float, typer.Option(help="τ of kd: softens teacher and student.")]
KdWeight = Annotated[
    float, typer.Option(help="α of kd: weight of the divergence beside the labels' cross-entropy.")
]
Prompts = Annotated[
    Literal["vendor", "plain", "domain"],
    typer.Option(
        help="What class texts are made of: vendor (synonyms × templates), plain ('a photo of a {}') "
        "or domain (mean over the source domains of 'a {domain} of a {}')."
    ),
]
TeacherWeights = Annotated[
    str,
    typer.Option(
        help="White-box methods: the teacher itself, local-dir:PATH or an open_clip ARCHITECTURE/TAG."
    ),
]
AlignViews = Annotated[int, typer.Option(help="Augmented views an image that Align sees.")]
Shots = Annotated[
    int | None,
    typer.Option("--shots", help="Labelled pictures of each class and source domain; default all."),
]
Queries = Annotated[
    float, typer.Option(help="Share of the training pictures that the teacher is asked about.")
]
Select = Annotated[
    Selection, typer.Option("--selection", help="How that share is chosen; nested in each case.")
]
ScoredBy = Annotated[
    str, typer.Option(help="For uncertainty: run folder of a text-only student that scores.")
]
BoughtViews = Annotated[
    int, typer.Option("--views", help="Bought views of each picture; 0: the file itself.")
]
FreshViews = Annotated[
    str,
    typer.Option(
        help="Local teacher asked about every view, unmetered: local-dir:PATH or ARCH/TAG."
    ),
]
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
Descriptions = Annotated[
    Path | None, typer.Option(help="JSON file of class → sentence that goes into its text.")
]
Captions = Annotated[
    Path | None, typer.Option(help="JSON lines, or CSV, of path and caption, for li-cap.")
]
LiTemperature = Annotated[float, typer.Option(help="Divides the cosines of the li losses.")]
LiNeighbours = Annotated[
    int, typer.Option(help="Of li: the teacher's nearest class texts to be compared on.")
]
LiFilter = Annotated[
    bool,
    typer.Option(
        "--li-filter/--no-li-filter",
        help="Of li: follow the teacher's nearest texts only where it is right.",
    ),
]
CaptionTemperature = Annotated[
    float, typer.Option(help="Divides the cosines of li-cap's captions.")
]

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


def locate_weights(spec: str) -> str:
    """The spec with its folder in full, so that a run's student is found from anywhere."""
    kind, colon, path = spec.partition(":")
    return f"{kind}:{Path(path).expanduser().absolute()}" if colon else spec


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
    "AlignViews",
    "AveragingKind",
    "Batch",
    "BoughtViews",
    "Cache",
    "CaptionTemperature",
    "Captions",
    "Data",
    "Descriptions",
    "Device",
    "Evaluations",
    "FreshViews",
    "ImageSize",
    "Json",
    "KdWeight",
    "Lambda",
    "LiFilter",
    "LiNeighbours",
    "LiTemperature",
    "Lr",
    "Methods",
    "Model",
    "PixelCache",
    "Precision",
    "Prompts",
    "Queries",
    "Recipe",
    "Resume",
    "Sampling",
    "Schedule",
    "ScoredBy",
    "Select",
    "Shots",
    "SplitSeed",
    "Steps",
    "Student",
    "TeacherWeights",
    "Temperature",
    "Threads",
    "TrialSeed",
    "Weights",
    "locate_weights",
    "pick_given",
]
