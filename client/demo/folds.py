"""`make bench` and `make bench-full`: every style left out in turn, on the demo's pictures and vendor.

Goes on where `make demo` ended, buys what the other folds need, and resumes after any interruption.
Each fold's settings are chosen by the validation parts of its own sources, in short trials, equally
many for every method; with --trial-steps 0 every method has the same ones, fixed beforehand. With
several numbers of shots the comparison is made for each.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from client.demo.programs import Programs, claim_folder, find_free_port, run_to_exit
from client.demo.story import MODEL, Story, make_settings, open_account, render_pictures
from client.train.config import TrainConfig
from client.train.presets import PRESETS, find_preset
from shared.icons import load_plan

ALL = "all"
OWN_RATES = {ALL: ("--rate", "erm=3e-4")}
"""Beside the story's fixed settings: with all labels, students of some seeds do not learn by ERM at
1e-3, and source validation prefers this one; with four shots it prefers 1e-3."""

__all__ = ["Folds", "main", "record_results", "run_folds"]


@dataclass(frozen=True, slots=True)
class Folds:
    """What the comparison is made of; the defaults are `make bench-full`."""

    story: Story
    preset: str = "full"
    seeds: int | None = None
    """The preset's own when None."""
    steps: int = 200
    trial_steps: int = 50
    """0: no trials, every method with the story's fixed settings."""
    shots: tuple[str, ...] = (ALL,)
    """Labelled images of a class and source style, `all` or a number."""
    targets: tuple[str, ...] = ()
    """Styles to leave out; each when empty."""
    name: str | None = None
    """Of the folder; the preset's own when None."""
    record: Path | None = None
    """Where to copy every run's line, with the tables beside it."""

    def folder(self, shots: str) -> Path:
        """Where one comparison keeps everything."""
        return self.story.out / f"bench-{self.name or self.preset}" / f"shots-{shots}"


def run_folds(folds: Folds, screen: Console) -> str:
    """Buy what is missing, compare the methods; returns the tables. Raises StepFailed."""
    story = folds.story
    programs = Programs(make_settings(story), screen)
    with claim_folder(story.out, screen):
        render_pictures(story, programs, screen)
        open_account(story, programs, screen)
        _buy(story, programs)
    tables = [programs.run(*_words(folds, shots)) for shots in folds.shots]
    if folds.record is not None:
        record_results([folds.folder(shots) for shots in folds.shots], folds.record)
        screen.print(f"recorded in {folds.record} and {folds.record.with_suffix('.md')}")
    return "\n".join(tables)


def record_results(folders: Iterable[Path], file: Path) -> None:
    """FILE: every run's line, its args only where they differ from the defaults, without the path of
    anybody's machine; FILE with .md: the tables."""
    lines, tables = [], []
    for folder in folders:
        text = (folder / "results.jsonl").read_text(encoding="utf-8")
        lines += [json.dumps(_shorten(json.loads(line))) + "\n" for line in text.splitlines()]
        tables.append(f"## {folder.name}\n\n" + (folder / "table.md").read_text(encoding="utf-8"))
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, text in ((file, "".join(lines)), (file.with_suffix(".md"), "\n".join(tables))):
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def _shorten(line: dict[str, Any]) -> dict[str, Any]:
    usual = TrainConfig().document()
    # Weights from a file are named by its path, here and in the args.
    origin = Path(line["weights"]).name if line["weights"] else None
    args = {k: v for k, v in line["args"].items() if k != "weights" and v != usual.get(k)}
    return {**line, "weights": origin, "args": args}


def _words(folds: Folds, shots: str) -> list[str]:
    story, preset = folds.story, find_preset(folds.preset)
    words = ["vl2v", "bench", str(story.out / "data"), "--model", MODEL, "--preset", preset.name]
    words += ["--seeds", str(folds.seeds or preset.seeds), "--student", story.student]
    words += ["--image-size", str(story.image_size), "--batch", str(story.batch)]
    words += ["--steps", str(folds.steps)]
    trials = ["--select", "--select-steps", str(folds.trial_steps)]
    words += trials if folds.trial_steps else [*story.fixed, *OWN_RATES.get(shots, ())]
    for target in folds.targets:
        words += ["--targets", target]
    if shots != ALL:
        words += ["--shots", shots]
    return [*words, "--out", str(folds.folder(shots))]


def _buy(story: Story, programs: Programs) -> None:
    port = find_free_port()
    programs.set("VL2V_BASE_URL", f"http://127.0.0.1:{port}")
    fetch = ("vl2v", "fetch", str(story.out / "data"), "--model", MODEL, "--budget", story.budget)
    with programs.serve(port, story.out / "vendor.log", story.out / "vendor.pid"):
        programs.run(*fetch)
        for target in load_plan().domains:
            programs.run(*fetch, "--purpose", "evaluation", "--target", target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="the demo's folder")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="full", help="which methods")
    parser.add_argument("--seeds", type=int, help="trials of each method and style")
    parser.add_argument("--steps", type=int, default=200, help="optimiser steps of a run")
    parser.add_argument(
        "--trial-steps", type=int, default=50, help="steps of a trial; 0: fixed settings"
    )
    parser.add_argument("--shots", default=ALL, help="like 4,all: one comparison for each")
    parser.add_argument("--targets", default="", help="styles to leave out, with commas")
    parser.add_argument("--name", help="of the comparison's folder; default the preset's")
    parser.add_argument("--record", type=Path, help="also copy every run's line to this file")
    chosen = parser.parse_args(arguments)
    folds = Folds(
        Story(out=chosen.out),
        preset=chosen.preset,
        seeds=chosen.seeds,
        steps=chosen.steps,
        trial_steps=chosen.trial_steps,
        shots=tuple(chosen.shots.split(",")),
        targets=tuple(name for name in chosen.targets.split(",") if name),
        name=chosen.name,
        record=chosen.record,
    )
    screen = Console(width=120)
    return run_to_exit(lambda: run_folds(folds, screen), screen)


if __name__ == "__main__":
    sys.exit(main())
