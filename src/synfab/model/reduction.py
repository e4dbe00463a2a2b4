"""Model reduction of the history: balanced truncation of the vector autoregression.

A VAR(p) process of four features has 4 p state variables, and 4 more for each average. Balanced
truncation (Moore 1981, for stochastic processes Desai and Pal 1984) keeps the combinations of them
that are most controllable and most observable: eight numbers per cell replace ten cycles of four
features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import FloatArray
from synfab.model.history import N_FEATURES, History

# State variables are stored in 8 bits: steps of 1/24 standard deviation, up to 5.3 of them.
STATES = 8  # of a history without averages
QUANTUM = 24.0
HIGHEST_LEVEL = 127.0


class ReducedHistory(NamedTuple):
    """Reduced process z_{n+1} = A z_n + B eps_{n+1}, x*_n = C z_n with stationary covariance 1.

    The covariance includes the noise from rounding z to levels in each cycle. C is scaled so that
    x* has exactly the covariance of the full process at lag 0.
    """

    step: FloatArray  # A, (k, k)
    innovation: FloatArray  # B, (k, 4)
    output: FloatArray  # C, (4, k)

    def autocovariance(self, n_lags: int) -> FloatArray:
        """Return E[x*_n x*_{n-k}^T] for lags k = 0 … n_lags, (n_lags + 1, 4, 4)."""
        power, result = np.eye(len(self.step)), []
        for _ in range(n_lags + 1):
            result.append(self.output @ power @ self.output.T)
            power = self.step @ power
        return np.stack(result)


def reduced_size(order: int, averages: int = 0) -> int:
    """Return the number of variables of the reduced process: 8 and 4 for each average, at most."""
    return min(STATES, N_FEATURES * order) + N_FEATURES * averages


def reduce_history(history: History, states: int | None = None) -> ReducedHistory:
    """Return the reduced process with ``states`` variables; None: ``reduced_size`` of them."""
    from scipy.linalg import solve_discrete_lyapunov

    full, excited = history.companion, history.excitation
    seen = np.eye(N_FEATURES, len(full))
    reach = _root(history.stationary_covariance)
    sight = _root(solve_discrete_lyapunov(full.T, seen.T @ seen))
    left, importance, right = np.linalg.svd(sight.T @ reach)
    most = reduced_size(history.order, len(history.rates)) if states is None else states
    kept = min(most, int((importance > 1e-9 * importance[0]).sum()))
    scale = 1.0 / np.sqrt(importance[:kept])
    to_full, to_reduced = reach @ right[:kept].T * scale, (left[:, :kept] * scale).T @ sight.T
    step, innovation = to_reduced @ full @ to_full, to_reduced @ excited
    output = seen @ to_full

    # Rounding noise is a fraction of the unit covariance: P = A P A' + B B' + share P.
    share = 1.0 / (12.0 * QUANTUM**2)
    covariance = solve_discrete_lyapunov(
        step / np.sqrt(1.0 - share), innovation @ innovation.T / (1.0 - share)
    )
    unit = np.linalg.cholesky((covariance + covariance.T) / 2.0)
    step, innovation = np.linalg.solve(unit, step @ unit), np.linalg.solve(unit, innovation)
    output = output @ unit
    # Symmetric matrix that transforms one covariance into the other.
    wanted = _symmetric_root(history.autocovariance(0)[0])
    middle = _symmetric_root(wanted @ output @ output.T @ wanted)
    output = wanted @ np.linalg.solve(middle, wanted) @ output
    # The signs of state variables are arbitrary, and those of LAPACK depend on the machine.
    sign = np.sign(output[np.abs(output).argmax(axis=0), np.arange(kept)])
    return ReducedHistory(step * sign * sign[:, None], innovation * sign[:, None], output * sign)


def _root(covariance: FloatArray) -> FloatArray:
    """Return R with R R^T = covariance, which may be singular."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2.0)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _symmetric_root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2.0)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T)
