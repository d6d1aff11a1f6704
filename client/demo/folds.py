"""`make bench-full`: every style left out in turn, on the demo's pictures and its vendor.

Goes on where `make demo` ended and buys what the other folds need. Each fold's λ is chosen by the
validation parts of its own sources, in short trials; the learning rate is fixed before any run.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from client.demo.programs import Programs, find_free_port, run_to_exit
from client.demo.story import MODEL, Story, make_settings, open_account, render_pictures
from shared.icons import load_plan

LEARNING_RATE = "3e-4"
LAMBDAS = "0.1,0.3,0.5"


@dataclass(frozen=True, slots=True)
class Folds:
    """What the comparison is made of; the defaults are `make bench-full`."""

    story: Story
    seeds: int = 1
    steps: int = 200
    trial_steps: int = 50


def run_folds(folds: Folds, screen: Console) -> str:
    """Buy what is missing, compare the methods; returns the table. Raises StepFailed."""
    story = folds.story
    story.out.mkdir(parents=True, exist_ok=True)
    programs = Programs(make_settings(story), screen)
    render_pictures(story, programs, screen)
    open_account(story, programs, screen)
    _buy(story, programs)
    words = ["vl2v", "bench", str(story.out / "data"), "--model", MODEL]
    words += ["--seeds", str(folds.seeds), "--student", story.student]
    words += ["--image-size", str(story.image_size), "--batch", str(story.batch)]
    words += ["--steps", str(folds.steps), "--select", "--select-lrs", LEARNING_RATE]
    words += ["--select-lambdas", LAMBDAS, "--select-steps", str(folds.trial_steps)]
    return programs.run(*words, "--out", str(story.out / "bench"))


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="the demo's folder")
    parser.add_argument("--seeds", type=int, default=1, help="trials of each method and style")
    chosen = parser.parse_args(arguments)
    folds, screen = Folds(Story(out=chosen.out), seeds=chosen.seeds), Console(width=120)
    return run_to_exit(lambda: run_folds(folds, screen), screen)


if __name__ == "__main__":
    sys.exit(main())
