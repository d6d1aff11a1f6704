"""`make ideas`: each idea judged on source styles alone, before any is chosen.

Every pair of styles trains, and each of the other two is tested. A fold that leaves style t out reads
only runs in which t neither trains nor is tested: leave-one-source-out inside its own sources. So
six trainings of an idea serve all four folds.

`tests/bench/lab/ideas.jsonl` holds one line that registers an idea before its first run, then one
line a run; finished runs are skipped. `--table` prints what was found, losers included.
"""

import argparse
import datetime
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from client.cache.store import EmbeddingStore
from client.train.config import TrainConfig
from client.train.experiment import Experiment, open_experiment
from client.train.recipe import run_training
from client.train.threads import use_threads
from tests.bench.lab.ideas_list import TRIALS, Trial

RESULTS = Path(__file__).with_name("ideas.jsonl")
COMMON = TrainConfig(
    model="icon-clip", image_size=64, batch=64, steps=200, lr=1e-3, image_weight=0.1
)
BASELINE = "adip"

Line = dict[str, Any]
Run = Callable[[Trial, tuple[str, str], int], Line]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which runs are wanted, in which order."""

    trials: tuple[Trial, ...]
    pairs: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]
    steps: int

    def runs(self) -> Iterator[tuple[Trial, tuple[str, str], int]]:
        """All trials on one pair before the next, so that they can be compared early."""
        for seed in self.seeds:
            for pair in self.pairs:
                for trial in self.trials:
                    yield trial, pair, seed


def read_lines(file: Path) -> list[Line]:
    """The lines so far."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def run_plan(plan: Plan, file: Path, run: Run) -> None:
    """Register and make the runs that are missing; `run` makes one and returns its figures."""
    commit = read_commit()
    for trial, pair, seed in plan.runs():
        if not any(line.get("registered") == trial.name for line in read_lines(file)):
            append(file, register(trial))
        key = {"idea": trial.name, "sources": list(pair), "seed": seed, "steps": plan.steps}
        if _has(read_lines(file), key):
            continue
        line = key | run(trial, pair, seed)
        # Another process may have made the same run meanwhile.
        if not _has(read_lines(file), key):
            append(file, line | {"commit": commit})
            print(json.dumps(line), flush=True)


def register(trial: Trial) -> Line:
    """What is written down before the first run."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {
        "registered": trial.name,
        "hypothesis": trial.hypothesis,
        "expected": trial.expected,
        "date": today,
    }


def run_trial(
    trial: Trial,
    experiment: Experiment,
    pair: tuple[str, str],
    seed: int,
    steps: int,
    scratch: Path,
) -> Line:
    """Train on a pair of styles, test on each other one."""
    others = tuple(d for d in experiment.manifest.domains if d not in pair)
    config = replace(
        COMMON, method=trial.method, targets=others, steps=steps, trial_seed=seed, **trial.changes
    )
    folder = scratch / trial.name / f"{'-'.join(pair)}-{steps}-{seed}"
    found = run_training(experiment.job(config, folder))
    places = {d: i for i, d in enumerate(experiment.manifest.domains)}
    return {
        "method": trial.method,
        "settings": {"lr": config.lr, "image_weight": config.image_weight, **trial.changes},
        "in_domain": round(found["in_domain_class_acc"], 5),
        "ood": {d: round(found[f"env{places[d]}_class_acc"], 5) for d in others},
        "seconds": round(found["seconds"], 1),
    }


def read_commit() -> str:
    """The commit that is checked out, with + when the client's code differs from it."""
    git = shutil.which("git") or "git"
    head = subprocess.run(
        [git, "rev-parse", "--short=10", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run(
        [git, "diff", "--quiet", "HEAD", "--", "client", "shared"], check=False
    )
    return head + ("+" if changed.returncode else "")


def append(file: Path, line: Line) -> None:
    """One whole line at the end."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def differences(lines: Sequence[Line], idea: str, steps: int) -> list[tuple[str, float]]:
    """(outer fold, OOD of the idea less adip's) of every run and test that both have.

    An idea named …@k is compared with adip@k, which has as few shots.
    """
    baseline = BASELINE + idea[len(idea.split("@", maxsplit=1)[0]) :]
    runs = {
        (line["idea"], tuple(line["sources"]), line["seed"]): line
        for line in lines
        if line.get("steps") == steps
    }
    styles = sorted(
        {s for _, pair, _ in runs for s in pair} | {t for r in runs.values() for t in r["ood"]}
    )
    found = []
    for (name, pair, seed), line in runs.items():
        rival = runs.get((baseline, pair, seed))
        if name != idea or rival is None:
            continue
        for tested, accuracy in line["ood"].items():
            [fold] = [s for s in styles if s not in (*pair, tested)]
            found.append((fold, accuracy - rival["ood"][tested]))
    return found


def make_table(lines: Sequence[Line], steps: int) -> str:
    """Markdown: each idea's mean OOD less adip's in points, over all and for each outer fold."""
    ideas = list(dict.fromkeys(line["idea"] for line in lines if line.get("steps") == steps))
    folds = sorted({fold for idea in ideas for fold, _ in differences(lines, idea, steps)})
    rows = [["idea", "runs", "in-domain", "OOD", "− adip", *(f"fold {f}" for f in folds)]]
    rows.append(["---"] * len(rows[0]))
    for idea in ideas:
        mine = [line for line in lines if line.get("idea") == idea and line["steps"] == steps]
        pairs = differences(lines, idea, steps)
        cells = [idea, str(len(mine)), _mean([line["in_domain"] for line in mine])]
        cells += [_mean([a for line in mine for a in line["ood"].values()])]
        cells += [_gain([d for _, d in pairs])]
        cells += [_gain([d for f, d in pairs if f == fold]) for fold in folds]
        rows.append(cells)
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _has(lines: Sequence[Line], key: Line) -> bool:
    return any(all(line.get(k) == v for k, v in key.items()) for line in lines)


def _mean(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.1f}" if len(values) else "-"


def _gain(values: Sequence[float]) -> str:
    """Mean in points, with the standard error of the paired differences."""
    if not len(values):
        return "-"
    mean = f"{100 * np.mean(values):+.1f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {100 * np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("demo-out/data"))
    parser.add_argument("--cache", type=Path, default=Path("demo-out/client/client.db"))
    parser.add_argument("--scratch", type=Path, default=Path("demo-out/ideas"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--ideas", default=",".join(TRIALS), help="names, comma between")
    parser.add_argument("--pairs", default="", help="like flat+line,shaded+solid; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=COMMON.steps)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--table", action="store_true", help="only print the table")
    chosen = parser.parse_args(arguments)
    if not chosen.table:
        use_threads(chosen.threads)
        with EmbeddingStore.open(str(chosen.cache)) as store:
            experiment = open_experiment(chosen.data, COMMON, store)
            named = [tuple(pair.split("+")) for pair in chosen.pairs.split(",") if pair]
            plan = Plan(
                trials=tuple(TRIALS[name] for name in chosen.ideas.split(",")),
                pairs=tuple(named or combinations(experiment.manifest.domains, 2)),
                seeds=tuple(int(seed) for seed in chosen.seeds.split(",")),
                steps=chosen.steps,
            )
            run_plan(
                plan,
                chosen.results,
                lambda trial, pair, seed: run_trial(
                    trial, experiment, pair, seed, chosen.steps, chosen.scratch
                ),
            )
    print(make_table(read_lines(chosen.results), chosen.steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
