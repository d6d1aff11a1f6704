"""The last test: students of the four styles, once, on a fifth that no choice ever looked at.

Goes on where `make demo` ended. Each method's settings are chosen on the four styles' own validation
parts and written down, or with --trial-steps 0 fixed beforehand; then it is trained on all four, and
only when every run is finished are the pictures of the fifth style (`vl2v demo-data icons --final`)
shown to the students: once, the result is kept and never measured again. The teacher saw the fifth
style's icon sets while it was trained, so its own row is no unseen one; no student saw a picture of
theirs, nor the teacher's vector of one.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from client.demo.programs import Programs, claim_folder, find_free_port, run_to_exit
from client.demo.story import MODEL, Story, make_settings, open_account, render_pictures
from client.train.methods import find_method
from client.train.presets import find_preset
from shared.icons import load_plan

NOTE = "the teacher was trained on these sets: no unseen style for it"

__all__ = ["Final", "main", "run_final"]


@dataclass(frozen=True, slots=True)
class Final:
    """What the last test is made of."""

    story: Story
    preset: str = "core"
    seeds: int = 3
    steps: int = 200
    trial_steps: int = 50
    """0: no trials, every method with the story's fixed settings."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The preset's."""
        return find_preset(self.preset).methods

    @property
    def folder(self) -> Path:
        """Where choices, runs and the result lie."""
        return self.story.out / "final"

    @property
    def pictures(self) -> Path:
        """The fifth style's own data folder."""
        return self.story.out / "-".join(load_plan().final_sets)

    def run_folder(self, method: str, seed: int) -> Path:
        """One student."""
        return self.folder / method / f"seed{seed}"


def run_final(final: Final, screen: Console) -> dict[str, Any]:
    """Choose, train, and test once; returns what final.json holds. Raises StepFailed."""
    story, result = final.story, final.folder / "final.json"
    if result.is_file():
        screen.print(f"tested already, and only once: {result}")
        kept: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return kept
    final.folder.mkdir(parents=True, exist_ok=True)
    programs = Programs(make_settings(story), screen)
    with claim_folder(story.out, screen):
        render_pictures(story, programs, screen)
        _render_final(final, programs)
        open_account(story, programs, screen)
        _buy(final, programs)
    for method in final.methods:
        if find_method(method).trains:
            _train(final, programs, method)
    from client.demo.verdict import judge

    document = judge(final, MODEL, NOTE)
    for row in document["rows"]:
        screen.print(
            f"{row['method']}: {100 * row['mean']:.1f} ({100 * row['low']:.1f} to "
            f"{100 * row['high']:.1f}) {row['note']}",
            highlight=False,
        )
    for row in document["differences"]:
        screen.print(
            f"{row['a']} − {row['b']}: {100 * row['mean']:+.1f} ({100 * row['low']:+.1f} to "
            f"{100 * row['high']:+.1f})",
            highlight=False,
        )
    return document


def _render_final(final: Final, programs: Programs) -> None:
    story = final.story
    words = ["vl2v", "demo-data", "icons", "--final", "--out", str(final.pictures)]
    words += ["--packages", str(story.packages or story.out / "npm")]
    words += [] if story.classes is None else ["--classes", str(story.classes)]
    words += [] if story.per_class is None else ["--per-class", str(story.per_class)]
    programs.run(*words)


def _buy(final: Final, programs: Programs) -> None:
    """The four styles to train on; the fifth to judge the teacher alone."""
    story, port = final.story, find_free_port()
    programs.set("VL2V_BASE_URL", f"http://127.0.0.1:{port}")
    rest = ("--model", MODEL, "--budget", story.budget)
    with programs.serve(port, story.out / "vendor.log", story.out / "vendor.pid"):
        programs.run("vl2v", "fetch", str(story.out / "data"), *rest)
        words = ["vl2v", "fetch", str(final.pictures), *rest, "--purpose", "evaluation"]
        for style in load_plan().final_sets:
            words += ["--target", style]
        programs.run(*words)


def _train(final: Final, programs: Programs, method: str) -> None:
    story = final.story
    shared = ["--model", MODEL, "--method", method, "--student", story.student]
    shared += ["--image-size", str(story.image_size), "--batch", str(story.batch)]
    data, chosen = str(story.out / "data"), final.folder / method / "choice"
    lists = _list_settings(method) if final.trial_steps else []
    if lists and not (chosen / "choice.json").is_file():
        steps = ("--steps", str(final.trial_steps), "--out", str(chosen))
        programs.run("vl2v", "tune", data, *shared, *lists, *steps, show=False)
    for seed in range(final.seeds):
        words = ["vl2v", "train", data, *shared, "--steps", str(final.steps)]
        words += ["--trial-seed", str(seed), "--out", str(final.run_folder(method, seed))]
        words += ["--choice", str(chosen / "choice.json")] if lists else []
        words += [] if final.trial_steps else story.fixed
        programs.run(*words)


def _list_settings(method: str) -> list[str]:
    """`vl2v tune`'s options for the points that a bench would try; empty where nothing is chosen."""
    from client.train.selection import Grid, is_tunable

    points = Grid().configurations(method) if is_tunable(method) else []
    words = []
    for name, option in (
        ("lr", "--lrs"),
        ("image_weight", "--lambdas"),
        ("temperature", "--temperatures"),
    ):
        values = dict.fromkeys(point[name] for point in points if name in point)
        words += [option, ",".join(f"{value:g}" for value in values)] if values else []
    return words if len(points) > 1 else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the last test; 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="the demo's folder")
    parser.add_argument("--preset", default="core", help="which methods")
    parser.add_argument("--seeds", type=int, default=3, help="trials of each method")
    parser.add_argument("--steps", type=int, default=200, help="optimiser steps of a run")
    parser.add_argument(
        "--trial-steps", type=int, default=50, help="steps of a trial; 0: fixed settings"
    )
    chosen = parser.parse_args(arguments)
    final = Final(
        Story(out=chosen.out), chosen.preset, chosen.seeds, chosen.steps, chosen.trial_steps
    )
    screen = Console(width=120)
    return run_to_exit(lambda: run_final(final, screen), screen)


if __name__ == "__main__":
    sys.exit(main())
