"""`make unseen`: half of the demo's classes are never trained on, and told apart by their texts alone.

Goes on where `make demo` ended and buys what the class descriptions need. Settings are fixed before any
run: nothing is chosen on unseen classes.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from client.demo.programs import Programs, claim_folder, find_free_port, run_to_exit
from client.demo.story import MODEL, Story, make_settings, open_account, render_pictures

DESCRIPTIONS = Path(__file__).parent / "descriptions.json"
"""A word or two a class, as the teacher's own captions append them."""
METHODS = "li-naive,li,li+descriptions"

__all__ = ["Halves", "run_unseen"]


@dataclass(frozen=True, slots=True)
class Halves:
    """What the study is made of; the defaults are `make unseen`."""

    story: Story
    splits: int = 3
    shots: str = "0,5"
    steps: int = 400
    seeds: int = 1


def run_unseen(halves: Halves, screen: Console) -> str:
    """Buy what is missing, run the study; returns its tables. Raises StepFailed."""
    story = halves.story
    programs = Programs(make_settings(story), screen)
    with claim_folder(story.out, screen):
        render_pictures(story, programs, screen)
        open_account(story, programs, screen)
        _buy(story, programs)
    words = ["vl2v", "unseen", str(story.out / "data"), "--model", MODEL, "--methods", METHODS]
    words += ["--descriptions", str(DESCRIPTIONS), "--splits", str(halves.splits)]
    words += ["--class-shots", halves.shots, "--seeds", str(halves.seeds)]
    words += ["--student", story.student, "--image-size", str(story.image_size)]
    words += ["--batch", str(story.batch), "--steps", str(halves.steps)]
    return programs.run(*words, "--out", str(story.out / "unseen"))


def _buy(story: Story, programs: Programs) -> None:
    """All training pictures and texts, and what measuring imitation on the other pictures reads."""
    port = find_free_port()
    programs.set("VL2V_BASE_URL", f"http://127.0.0.1:{port}")
    fetch = ("vl2v", "fetch", str(story.out / "data"), "--model", MODEL, "--budget", story.budget)
    with programs.serve(port, story.out / "vendor.log", story.out / "vendor.pid"):
        programs.run(*fetch, "--descriptions", str(DESCRIPTIONS))
        programs.run(*fetch, "--purpose", "evaluation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="the demo's folder")
    parser.add_argument("--seeds", type=int, default=1, help="trials of each method and split")
    chosen = parser.parse_args(arguments)
    halves, screen = Halves(Story(out=chosen.out), seeds=chosen.seeds), Console(width=120)
    return run_to_exit(lambda: run_unseen(halves, screen), screen)


if __name__ == "__main__":
    sys.exit(main())
