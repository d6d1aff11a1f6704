"""The precision gate of design decision 11, on the demo's own pictures and teacher."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TEACHER = Path(__file__).parents[3] / "vendor_api" / "demo" / "teacher"

__all__ = ["measure_precision", "render_pictures"]


def render_pictures(folder: Path) -> None:
    """The pictures that `make demo` makes, where they are not there; needs npm."""
    if not (folder / "manifest.jsonl").exists():
        words = [sys.executable, "-m", "client.cli", "demo-data", "icons", "--out", str(folder)]
        subprocess.run([*words, "--packages", str(folder.with_name("npm"))], check=True)


def measure_precision(pictures: Path, model: str = f"icon-clip=local-dir:{TEACHER}") -> Any:
    """What `vl2v-vendor precision` says of the teacher on 1,000 of the pictures."""
    words = [sys.executable, "-m", "vendor_api.cli", "precision", str(pictures), "--model", model]
    with tempfile.TemporaryDirectory() as cache:  # a bench decides nothing about what is sold
        done = subprocess.run(
            [*words, "--json"],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": cache},
        )
    return json.loads(done.stdout)
