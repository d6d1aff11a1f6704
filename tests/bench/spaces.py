"""What a private space costs: microseconds to rotate a vector, milliseconds to make a rotation.

    python -m tests.bench.spaces

One thread of this process rotates batches as an answer's road does; the fastest of several repeats is
the cost without what else the machine was doing. A rotation is made once for each account and revision.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vendor_api.spaces import Spaces

DIMENSIONS = (512, 768, 1024)
BATCHES = (1, 16, 64, 256)
REPEATS = 30

__all__ = ["measure"]


def measure(
    dimensions: Sequence[int] = DIMENSIONS,
    batches: Sequence[int] = BATCHES,
    repeats: int = REPEATS,
) -> list[dict[str, float]]:
    """One row for each dimension and batch size."""
    spaces, rng = Spaces(b"p" * 32), np.random.default_rng(0)
    space = spaces.name("acct_bench", 1)
    rows = []
    for dimension in dimensions:
        making = _time(partial(spaces.derive, space, "rev", dimension), 1)
        rotation = spaces.derive(space, "rev", dimension)
        for batch in batches:
            vectors = list(rng.normal(size=(batch, dimension)).astype(np.float32))
            best = _time(partial(rotation.turn, vectors), repeats)
            rows.append(
                {
                    "dimension": dimension,
                    "batch": batch,
                    "us_a_vector": round(best * 1e6 / batch, 2),
                    "us_a_batch": round(best * 1e6, 1),
                    "ms_to_make": round(making * 1e3, 1),
                }
            )
    return rows


def _time(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps(rows, indent=2))
        return
    print("dimension  batch  µs/vector  µs/batch  ms to make")
    for row in rows:
        print(
            f"{row['dimension']:9}  {row['batch']:5}  {row['us_a_vector']:9}  "
            f"{row['us_a_batch']:8}  {row['ms_to_make']:10}"
        )


if __name__ == "__main__":
    main()
