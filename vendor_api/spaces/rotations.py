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
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector

__all__ = ["Rotation", "derive_rotation", "derive_seed", "draw_orthogonal"]


_COLUMNS = 32
_ONE_THREAD = 2**18
"""Multiplications up to which OpenBLAS works in the thread that asks. Beyond, it starts threads of its
own that wait for a core each; beside a model that keeps every core busy, that took a thousand times as
long."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """An orthogonal map of vectors."""

    dimension: int
    blocks: NDArray[np.float32]
    """float32[n, d, 32]: the matrix by blocks of columns, rounded from float64; the last is filled up
    with nought. Cosines change by some 10⁻⁷."""

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> Self:
        """The rotation that a float64[d, d] matrix is."""
        dimension = len(matrix)
        count = -(-dimension // _COLUMNS)
        filled = np.zeros((dimension, count * _COLUMNS), dtype=np.float32)
        filled[:, :dimension] = matrix
        blocks = filled.reshape(dimension, count, _COLUMNS).transpose(1, 0, 2)
        return cls(dimension, np.ascontiguousarray(blocks))

    @property
    def matrix(self) -> NDArray[np.float32]:
        """float32[d, d]."""
        columns = self.blocks.transpose(1, 0, 2).reshape(self.dimension, -1)
        return np.ascontiguousarray(columns[:, : self.dimension])

    def turn(self, vectors: Sequence[Vector]) -> list[Vector]:
        """Each float32[d] vector rotated; CPU work for a thread."""
        if not vectors:
            return []
        rows, at_once = np.stack(vectors), max(1, _ONE_THREAD // (_COLUMNS * self.dimension))
        parts = [self._turn(rows[i : i + at_once]) for i in range(0, len(rows), at_once)]
        return [vector for part in parts for vector in part]

    def _turn(self, rows: Vector) -> Vector:
        turned = np.matmul(rows[None], self.blocks).transpose(1, 0, 2).reshape(len(rows), -1)
        return np.ascontiguousarray(turned[:, : self.dimension])


def derive_rotation(secret: bytes, dimension: int, *names: str) -> Rotation:
    """The rotation that these names have under the secret; the same for ever."""
    seed = derive_seed(secret, str(dimension), *names)
    return Rotation.of(draw_orthogonal(seed, dimension))


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
