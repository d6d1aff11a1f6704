"""The secret rotation of a space: made again from the vendor's secret whenever it is needed, never stored.

The generator is fixed, so that every version of numpy draws the same matrix: a PCG64 seeded by
`SeedSequence` of a 256-bit digest gives raw 64-bit numbers (numpy keeps both streams for ever, unlike
its normal deviates), Box and Muller make them normal, and the QR decomposition in float64 with a
positive diagonal of R, which is unique, makes the square of normals orthogonal. Such a matrix is
uniform over all rotations and reflections (Haar).

It hides nothing from its own account, and not much from two: whoever holds the vectors of the same
`d` items from two spaces finds the rotation between them by solving Procrustes' problem.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector

__all__ = ["Rotation", "derive_rotation", "derive_seed", "draw_orthogonal"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """An orthogonal map of vectors."""

    matrix: NDArray[np.float32]
    """float32[d, d], rounded from float64: cosines change by some 10⁻⁷."""

    def turn(self, vectors: Sequence[Vector]) -> list[Vector]:
        """Each float32[d] vector rotated; CPU work for a thread."""
        return list(np.stack(vectors) @ self.matrix) if vectors else []


def derive_rotation(secret: bytes, dimension: int, *names: str) -> Rotation:
    """The rotation that these names have under the secret; the same for ever."""
    seed = derive_seed(secret, str(dimension), *names)
    return Rotation(draw_orthogonal(seed, dimension).astype(np.float32))


def derive_seed(secret: bytes, *names: str) -> bytes:
    """32 bytes that only the secret's holder can make; no two lists of names share them."""
    code = hmac.new(secret, digestmod=hashlib.sha256)
    for name in names:
        code.update(len(name.encode()).to_bytes(4, "big") + name.encode())
    return code.digest()


def draw_orthogonal(seed: bytes, dimension: int) -> NDArray[np.float64]:
    """float64[d, d], orthogonal and uniform, decided by the seed alone."""
    normals = _draw_normals(seed, dimension * dimension).reshape(dimension, dimension)
    q, r = np.linalg.qr(normals)
    return np.asarray(q * np.copysign(1.0, np.diagonal(r)), dtype=np.float64)


def _draw_normals(seed: bytes, count: int) -> NDArray[np.float64]:
    generator = np.random.PCG64(np.random.SeedSequence(int.from_bytes(seed, "big")))
    pairs = (count + 1) // 2
    uniform = (generator.random_raw(2 * pairs) >> np.uint64(11)) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:pairs]))
    angle = 2.0 * np.pi * uniform[pairs:]
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:count]
