"""Kernel that classifies devices by the components of their population."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.intrinsics import wide_vectors
from synfab.engines.numba.layout import LANES
from synfab.model.population import N_PARAMETERS, Population


class Densities(NamedTuple):
    """Logarithms of the densities of the components: constant - norm of inverse (x - mean)."""

    means: Any  # (K, 8)
    inverses: Any  # (K, 8, 8), lower triangular
    constants: Any  # (K,)


def densities_of(population: Population) -> Densities:
    """Return the densities that ``Population.component`` compares."""
    factors = population.factors
    diagonal = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    weights = np.log(np.maximum(population.probabilities, 1e-300))
    return Densities(
        np.ascontiguousarray(population.means), np.linalg.inv(factors), weights - diagonal
    )


def scratch() -> Array:
    """Return the working array of the kernel: x, best density, density, deviation."""
    return np.zeros((N_PARAMETERS + 3, LANES))


@cached_njit(nogil=True, error_model="numpy")
def components(low, high, devices, log_spread, densities, work, out):  # type: ignore[no-untyped-def]
    """Write ``Population.component`` of the cells in tiles ``low`` … ``high`` to ``out``."""
    wide_vectors()
    means, inverses, constants = densities
    for tile in range(low, high):
        for f in range(4):
            pair, row = f // 2, 2 * (f % 2)
            for j in range(LANES):
                work[f, j] = devices[pair, tile, row, j]
                spread = np.float64(devices[pair, tile, row + 1, j])
                work[4 + f, j] = np.log(spread) if log_spread else spread
        for k in range(len(constants)):
            for j in range(LANES):
                work[9, j] = constants[k]
            for i in range(8):
                for j in range(LANES):
                    work[10, j] = 0.0
                for m in range(i + 1):
                    factor, mean = inverses[k, i, m], means[k, m]
                    for j in range(LANES):
                        work[10, j] += factor * (work[m, j] - mean)
                for j in range(LANES):
                    work[9, j] -= 0.5 * work[10, j] * work[10, j]
            for j in range(LANES):
                c = tile * LANES + j
                if c < len(out) and (k == 0 or work[9, j] > work[8, j]):
                    out[c] = k
                    work[8, j] = work[9, j]
