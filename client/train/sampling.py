"""Which pictures a step sees: a pure function of seed and step, so that resuming needs no state."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["DomainSampler", "domain_weights"]


@dataclass(frozen=True)
class DomainSampler:
    """Draws pictures with replacement so that small domains count as much as large ones.

    `uniform`: each of `batch` pictures comes from a domain drawn uniformly. `per-domain`: exactly
    `batch` pictures come from each domain, one domain after the other.
    """

    domains: NDArray[np.int64]
    """int64[n]: each training picture's domain, or group of a domain."""
    batch: int
    seed: int
    kind: Literal["uniform", "per-domain"] = "uniform"

    @property
    def size(self) -> int:
        """Pictures a step."""
        return self.batch if self.kind == "uniform" else self.batch * len(self._pools)

    def draw(self, step: int) -> NDArray[np.int64]:
        """int64[size] positions in `domains`."""
        rng = np.random.default_rng([self.seed, step])
        if self.kind == "per-domain":
            return np.concatenate(
                [pool[rng.integers(len(pool), size=self.batch)] for pool in self._pools]
            )
        chosen = rng.integers(len(self._pools), size=self.batch)
        return np.array(
            [self._pools[d][rng.integers(len(self._pools[d]))] for d in chosen], dtype=np.int64
        )

    @cached_property
    def _pools(self) -> list[NDArray[np.int64]]:
        """Each domain's positions."""
        return [np.flatnonzero(self.domains == d) for d in np.unique(self.domains)]


def domain_weights(domains: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32[n] summing to one, each domain's pictures sharing alike: the sampler's expectation."""
    _, inverse, counts = np.unique(domains, return_inverse=True, return_counts=True)
    weights: NDArray[np.float32] = (1 / (len(counts) * counts[inverse])).astype(np.float32)
    return weights
