"""Which pictures a step sees: a pure function of seed and step, so that resuming needs no state."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DomainSampler", "domain_weights"]


@dataclass(frozen=True)
class DomainSampler:
    """Draws a domain uniformly, then one of its pictures, with replacement: small domains count as
    much as large ones."""

    domains: NDArray[np.int64]
    """int64[n]: each training picture's domain."""
    batch: int
    seed: int

    def draw(self, step: int) -> NDArray[np.int64]:
        """int64[batch] positions in `domains`."""
        rng = np.random.default_rng([self.seed, step])
        pools = [np.flatnonzero(self.domains == d) for d in np.unique(self.domains)]
        chosen = rng.integers(len(pools), size=self.batch)
        return np.array([pools[d][rng.integers(len(pools[d]))] for d in chosen], dtype=np.int64)


def domain_weights(domains: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32[n] summing to one, each domain's pictures sharing alike: the sampler's expectation."""
    _, inverse, counts = np.unique(domains, return_inverse=True, return_counts=True)
    weights: NDArray[np.float32] = (1 / (len(counts) * counts[inverse])).astype(np.float32)
    return weights
