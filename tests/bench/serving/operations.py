"""Which share of a batch's time each operation of the image tower takes, on one core.

    python -m tests.bench.serving.operations FOLDER fp32|bf16 [BATCH]

`aten::addcmul` is the scaling and shifting of pixels.
"""

import sys
from pathlib import Path

import numpy as np
from torch.profiler import ProfilerActivity, profile

from shared.openclip import limit_threads, load_openclip
from tests.bench.serving.weights import make_openclip

ROUNDS = 10
SHOWN = 12
SCALING = "aten::addcmul"


def main(arguments: list[str]) -> None:
    """Print the operations that take most, largest first, and the scaling of pixels."""
    folder, precision = Path(arguments[0]), arguments[1]
    batch = int(arguments[2]) if len(arguments) > 2 else 4
    if not (folder / "open_clip_config.json").exists():
        make_openclip(folder)
    limit_threads(1)
    clip = load_openclip(f"local-dir:{folder}", precision)  # type: ignore[arg-type]
    clip.pack_weights()
    side = clip.preprocessing.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    clip.encode_images(pixels)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(ROUNDS):
            clip.encode_images(pixels)
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    whole = sum(row.self_cpu_time_total for row in rows)
    for row in (*rows[:SHOWN], *(row for row in rows[SHOWN:] if row.key == SCALING)):
        took = row.self_cpu_time_total
        print(f"{took / whole:7.2%}  {took / ROUNDS / batch / 1000:8.3f} ms an image  {row.key}")


if __name__ == "__main__":
    main(sys.argv[1:])
