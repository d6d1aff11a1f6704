"""`vl2v-vendor precision`: may this model be sold in bf16?"""

from dataclasses import asdict
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

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp"})

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("precision")(check_precision)


def check_precision(
    ctx: typer.Context,
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures like those to be sold.")],
    model: ModelOption = None,
    limit: Annotated[int, typer.Option(min=2, help="Pictures at most, evenly taken.")] = 1000,
    as_json: JsonFlag = False,
) -> None:
    """Compare a model's bf16 vectors with its fp32 ones on real pictures; exit 1 when they differ too much.

    Pictures in folders are also given to the folder names as classes, as zero-shot use would.
    Example: vl2v-vendor precision photos --model icon-clip=local-dir:teacher
    """
    from vendor_api.engine.local import Manner, load_clip, parse_models

    shell = Shell.of(ctx)
    settings = merge_settings(shell.settings, models=tuple(model) if model else None)
    specs = parse_models(settings.models)
    if len(specs) != 1:
        raise Refusal("name one model: vl2v-vendor precision FOLDER --model ID=local-dir:PATH")
    files = _find_pictures(pictures, limit)
    reference = load_clip(specs[0], Manner("fp32"))
    found = _compare(reference, load_clip(specs[0], Manner("bf16")), files)
    document = {"model": specs[0].id, **asdict(found), "passes": found.passes}
    shell.show(document, _tell(found), as_json=as_json)
    if not found.passes:
        raise typer.Exit(1)


def _find_pictures(folder: Path, limit: int) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if len(files) < 2:
        raise Refusal(
            f"{folder} holds {len(files)} pictures (jpg, png, webp): at least 2 are needed"
        )
    return files[:: -(-len(files) // limit)]


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


def _tell(found: "Agreement") -> str:
    from vendor_api.engine.precision_gate import LEAST_COSINE, MEAN_COSINE, TOP1_AGREEMENT

    verdict = (
        "bf16 may be served: set VENDOR_PRECISION=bf16 where the processor has it"
        if found.passes
        else f"serve fp32: {MEAN_COSINE} on average, {LEAST_COSINE} at least and {TOP1_AGREEMENT:.1%} "
        "are asked for"
    )
    return (
        f"{found.pictures} pictures: cosine of bf16 to fp32 {found.mean_cosine:.6f} on average, "
        f"{found.least_cosine:.6f} at least; the same top-1 for {found.top1:.2%}\n{verdict}"
    )
