"""Drawing styles of forty things, as the folder tree that `vl2v fetch` and `vl2v train` read."""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from shared.icons.names import Naming
from shared.icons.plan import Plan
from shared.icons.render import Icon, render_png
from shared.icons.selection import Selection, draw, find_candidates, identify, load_deny_list

SIDE = 128
"""Pixels a side of every picture."""
THUMB = 64
MARGIN = 14


@dataclass(frozen=True, slots=True)
class DemoData:
    """What was written, counted by style."""

    root: Path
    pictures: dict[str, int]
    classes: int


def select_pictures(plan: Plan, modules: Path, styles: Sequence[str] | None = None) -> Selection:
    """(style, class) → its icons, after the class rule, the deny list and the draw."""
    found = find_candidates(plan, modules, plan.classes, styles)
    return draw(found, denied=load_deny_list())


def write_dataset(
    plan: Plan,
    modules: Path,
    out: Path,
    *,
    styles: Sequence[str] | None = None,
    classes: int | None = None,
    per_class: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DemoData:
    """Render to `out/<style>/<class>/<set>--<name>.png`, with `manifest.jsonl` and `classes.json`.

    `styles` are the plan's domains unless named; a final style belongs in a folder of its own.
    `classes` and `per_class` keep only the first so many, for a quick look. Pictures already there
    are kept, so a stopped run goes on where it ended. Raises ImportError without resvg-py.
    """
    selection = _limit(select_pictures(plan, modules, styles), plan, classes, per_class)
    licences = {package.icon_set: package.licence for package in plan.packages}
    naming = Naming(plan)
    total = sum(map(len, selection.values()))
    rows: list[str] = []
    for (domain, name), icons in sorted(selection.items()):
        for icon in icons:
            path = out / domain / name / f"{identify(icon)}.png"
            _write_picture(icon, path)
            rows.append(
                json.dumps(
                    {
                        "path": path.relative_to(out).as_posix(),
                        # Variants of one drawing ("bell", "bell-2") stay on one side of a split.
                        "group": f"{icon.icon_set}--{naming.clean_name(icon.name)}",
                        "set": icon.icon_set,
                        "name": icon.name,
                        "licence": licences[icon.icon_set],
                    }
                )
            )
            progress(len(rows), total)
    kept = {name: list(words) for name, words in plan.classes.items() if _holds(selection, name)}
    _write_text(out / "manifest.jsonl", "\n".join(rows) + "\n")
    _write_text(out / "classes.json", json.dumps(kept, indent=1) + "\n")
    counts = {
        domain: sum(len(icons) for (style, _), icons in selection.items() if style == domain)
        for domain in styles or plan.domains
    }
    return DemoData(root=out, pictures=counts, classes=len(kept))


def write_contact_sheets(
    plan: Plan, modules: Path, out: Path, styles: Sequence[str] | None = None
) -> list[Path]:
    """One PNG a class, a band for each style, every picture with its name: to be looked at by a person."""
    shown = styles or plan.domains
    selection = select_pictures(plan, modules, shown)
    out.mkdir(parents=True, exist_ok=True)
    sheets = []
    for name in plan.classes:
        sheet = _draw_sheet({domain: selection.get((domain, name), []) for domain in shown})
        sheets.append(out / f"{name}.png")
        sheet.save(sheets[-1])
    return sheets


def _limit(
    selection: Selection, plan: Plan, classes: int | None, per_class: int | None
) -> Selection:
    kept = set(list(plan.classes)[:classes])
    return {key: icons[:per_class] for key, icons in selection.items() if key[1] in kept}


def _holds(selection: Selection, name: str) -> bool:
    return any(label == name for _, label in selection)


def _write_picture(icon: Icon, path: Path) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(render_png(icon, SIDE))
    partial.replace(path)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _draw_sheet(bands: dict[str, list[Icon]]) -> Image.Image:
    columns = 15
    rows = sum(max(1, math.ceil(len(icons) / columns)) for icons in bands.values())
    cell = THUMB + MARGIN
    sheet = Image.new("RGB", (columns * cell, rows * cell), "white")
    pen, row = ImageDraw.Draw(sheet), 0
    for icons in bands.values():
        for place, icon in enumerate(icons):
            x, y = place % columns * cell, (row + place // columns) * cell
            sheet.paste(_thumbnail(icon), (x, y))
            pen.text(
                (x, y + THUMB), f"{icon.icon_set[:4]}:{icon.name[:9]}", fill="black", font_size=8
            )
        row += max(1, math.ceil(len(icons) / columns))
        pen.line([(0, row * cell - 2), (columns * cell, row * cell - 2)], fill="red")
    return sheet


def _thumbnail(icon: Icon) -> Image.Image:
    with Image.open(io.BytesIO(render_png(icon, THUMB))) as image:
        return image.convert("RGB")
