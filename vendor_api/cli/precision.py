"""`vl2v-vendor precision`: may this model be sold in bf16 on this processor?"""

import random
from collections import defaultdict
from dataclasses import asdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vendor_api.cli.serve import ModelOption, merge_settings
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from vendor_api.engine.clip import ClipModel
    from vendor_api.engine.precision_gate import Agreement
    from vendor_api.engine.verdicts import Processor

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp"})

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("precision")(check_precision)


def check_precision(
    ctx: typer.Context,
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures like those to be sold.")],
    model: ModelOption = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Pictures at most, the same number of each folder.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Which pictures of a folder are drawn.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare a model's bf16 vectors with its fp32 ones on real pictures; exit 1 when they differ too much.

    Pictures in folders are also given to the folder names as classes, as zero-shot use would.
    A verdict on 1,000 pictures is kept: with VENDOR_PRECISION=auto it decides what this machine sells.
    Example: vl2v-vendor precision photos --model icon-clip=local-dir:teacher
    """
    from vendor_api.engine.local import Manner, load_clip, parse_models
    from vendor_api.engine.verdicts import keep_verdict, read_processor, verdict_folder

    shell = Shell.of(ctx)
    settings = merge_settings(shell.settings, models=tuple(model) if model else None)
    specs = parse_models(settings.models)
    if len(specs) != 1:
        raise Refusal("name one model: vl2v-vendor precision FOLDER --model ID=local-dir:PATH")
    device, threads = settings.device, settings.threads
    files = _draw_pictures(pictures, limit, seed)
    reference = load_clip(specs[0], Manner("fp32", device=device, threads=threads))
    other = load_clip(specs[0], Manner("bf16", device=device, threads=threads))
    found = _compare(reference, other, files)
    processor = read_processor(device)
    kept = keep_verdict(reference.info.revision, processor, found, verdict_folder())
    document = {
        "model": specs[0].id,
        **asdict(found),
        "passes": found.passes,
        "has_bf16": processor.has_bf16,
        "kept": None if kept is None else str(kept),
    }
    shell.show(document, _tell(found, processor, kept), as_json=as_json)
    if not found.passes:
        raise typer.Exit(1)


def _draw_pictures(folder: Path, limit: int, seed: int) -> list[Path]:
    """Pictures of every folder in turn, those of each in an order drawn by the seed."""
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS:
            folders[path.parent].append(path)
    for name, files in folders.items():
        random.Random(f"{seed}:{name.relative_to(folder)}").shuffle(files)  # noqa: S311
    turns = chain.from_iterable(zip_longest(*folders.values()))
    drawn = [path for path in turns if path is not None][:limit]
    if len(drawn) < 2:
        raise Refusal(
            f"{folder} holds {len(drawn)} pictures (jpg, png, webp): at least 2 are needed"
        )
    return drawn


def _compare(reference: "ClipModel", other: "ClipModel", files: list[Path]) -> "Agreement":
    from rich.console import Console
    from rich.progress import Progress

    from vendor_api.engine.precision_gate import compare_models

    pixels = list(_draw(reference, files))
    names = sorted({path.parent.name for path in files})
    template = reference.info.prompt_templates[0]
    words = [template.format(name.replace("_", " ")) for name in names]
    texts = reference.tokenize(words).tokens if len(names) > 1 else None
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("both precisions", total=len(pixels))
        for step in compare_models(reference, other, pixels, texts):
            if not isinstance(step, int):
                return step
            bar.update(task, completed=step)
    raise AssertionError("compare_models ends with the result")


def _draw(model: "ClipModel", files: list[Path]) -> "Iterator[NDArray[np.uint8]]":
    from PIL import Image

    for path in files:
        with Image.open(path) as image:
            yield model.preprocess(image)


def _tell(found: "Agreement", processor: "Processor", kept: Path | None) -> str:
    from vendor_api.engine.precision_gate import (
        ENOUGH,
        LEAST_COSINE,
        MEAN_COSINE,
        TOP1_AGREEMENT,
    )

    if not found.passes:
        verdict = (
            f"serve fp32: {MEAN_COSINE} on average, {LEAST_COSINE} at least and {TOP1_AGREEMENT:.1%} "
            "are asked for"
        )
    elif not processor.has_bf16:
        verdict = f"bf16 would do, but {processor.name} has none and computes it slowly: serve fp32"
    else:
        verdict = "bf16 may be served: set VENDOR_PRECISION=bf16, or auto"
    keeping = (
        f"not kept for VENDOR_PRECISION=auto: {ENOUGH:,} pictures are asked for"
        if kept is None
        else f"kept for VENDOR_PRECISION=auto in {kept}"
    )
    return (
        f"{found.pictures} pictures: cosine of bf16 to fp32 {found.mean_cosine:.6f} on average, "
        f"{found.least_cosine:.6f} at least; the same top-1 for {found.top1:.2%}\n{verdict}\n{keeping}"
    )
