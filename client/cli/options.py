"""Options that several training commands share, each with its unit and default written once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from client.train.config import TrainConfig
from client.train.methods import METHODS

DEFAULTS = TrainConfig()

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

__all__ = [
    "DEFAULTS",
    "Batch",
    "Cache",
    "Data",
    "ImageSize",
    "Json",
    "KdWeight",
    "Lambda",
    "Lr",
    "Methods",
    "Model",
    "Prompts",
    "Resume",
    "SplitSeed",
    "Steps",
    "Student",
    "TeacherWeights",
    "Temperature",
    "Threads",
    "TrialSeed",
    "Weights",
]
