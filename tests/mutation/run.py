"""Breaks the product one line at a time and checks that its tests notice.

Each fault of faults.toml is applied to a copy of the tree; the tests it names must fail there and
pass here. `make mutate` runs all, `python tests/mutation/run.py NAME …` only some.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("vendor_api", "client", "shared", "migrations", "tests", "pyproject.toml", "README.md")


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong line, and the tests that must notice it."""

    name: str
    file: str
    find: str
    replace: str
    tests: str


def read_faults() -> list[Fault]:
    """The committed faults. Raises ValueError when one no longer fits the code exactly once."""
    with (Path(__file__).parent / "faults.toml").open("rb") as file:
        rows = tomllib.load(file)["fault"]
    faults = [Fault(**row) for row in rows]
    for fault in faults:
        found = (ROOT / fault.file).read_text(encoding="utf-8").count(fault.find)
        if found != 1:
            raise ValueError(f"{fault.name}: {fault.file} holds its line {found} times, not once")
    return faults


def run_tests(tree: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run some tests against the packages of `tree`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def survives(fault: Fault) -> bool:
    """Whether the tests stay green although the line is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        path = tree / fault.file
        text = path.read_text(encoding="utf-8").replace(fault.find, fault.replace)
        path.write_text(text, encoding="utf-8")
        done = run_tests(tree, fault.tests)
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"{fault.name}: pytest itself failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.returncode == 0


def main(names: list[str]) -> int:
    """Apply the faults; 1 when any survives or the unbroken tree is not green."""
    faults = [fault for fault in read_faults() if not names or fault.name in names]
    every_test = " ".join(sorted({test for fault in faults for test in fault.tests.split()}))
    healthy = run_tests(ROOT, every_test)
    if healthy.returncode:
        print(healthy.stdout[-3000:])
        print("the tests are red without any fault")
        return 1
    survivors = []
    for fault in faults:
        alive = survives(fault)
        survivors += [fault.name] if alive else []
        print(f"{'SURVIVED' if alive else 'caught'}  {fault.name}", flush=True)
    print(f"{len(faults) - len(survivors)} of {len(faults)} faults caught")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
