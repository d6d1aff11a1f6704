"""Options that several training commands share, each with its unit and default written once."""

from pathlib import Path
from typing import Annotated

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
Descriptions = Annotated[
    Path | None, typer.Option(help="JSON file of class → sentence that goes into its text.")
]
Captions = Annotated[
    Path | None, typer.Option(help="JSON lines of picture path and caption, for li-cap.")
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

__all__ = [
    "DEFAULTS",
    "Batch",
    "Cache",
    "CaptionTemperature",
    "Captions",
    "Data",
    "Descriptions",
    "ImageSize",
    "Json",
    "Lambda",
    "LiFilter",
    "LiNeighbours",
    "LiTemperature",
    "Lr",
    "Methods",
    "Model",
    "Resume",
    "SplitSeed",
    "Steps",
    "Student",
    "Temperature",
    "Threads",
    "TrialSeed",
    "Weights",
]
