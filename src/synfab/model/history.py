"""Cycle-to-cycle variability: a stationary vector autoregression of the four features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import lower_factor, numbers, read_only
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

N_FEATURES = 4
MAX_LAGS = 1_000_000  # of an autocovariance
MAX_AVERAGES = 4


@dataclass(frozen=True, eq=False)
class History:
    """Vector autoregression VAR(p): x*_n = sum_i A_i x*_{n-i} + B eps_n (Hennen et al. 2022).

    For memory beyond p cycles it can also depend on m exponential averages of all earlier cycles:
    x*_n = sum_i A_i x*_{n-i} + sum_j D_j a^j_{n-1} + B eps_n, where
    a^j_n = a^j_{n-1} + rate_j (x*_n - a^j_{n-1}).

    Parameters
    ----------
    innovation
        B, shape (4, 4), lower triangular.
    lags
        A_1 … A_p, shape (p, 4, 4), newest first.
    rates
        Rates of the averages, (m,), above 0 and at most 1; none in the published model.
    couplings
        D_1 … D_m, shape (m, 4, 4).

    Raises
    ------
    InvalidValueError
        A shape is wrong, or the process is not stable.
    """

    innovation: FloatArray
    lags: FloatArray
    rates: FloatArray
    couplings: FloatArray

    def __init__(
        self,
        innovation: npt.ArrayLike,
        lags: npt.ArrayLike,
        rates: npt.ArrayLike | None = None,
        couplings: npt.ArrayLike | None = None,
    ) -> None:
        of_averages = _averages(rates, couplings)
        freeze(
            self,
            innovation=numbers("innovation", innovation, (N_FEATURES, N_FEATURES)),
            lags=numbers("lags", lags, (None, N_FEATURES, N_FEATURES)),
            rates=of_averages[0],
            couplings=of_averages[1],
        )
        lower_factor("innovation", self.innovation)
        if not self.spectral_radius < 1.0:
            raise InvalidValueError(
                f"lags: unstable: spectral radius {self.spectral_radius:.6g}; expected below 1"
            )
        if not (np.linalg.eigvalsh(self.innovation @ self.innovation.T) > 0.0).all():
            raise InvalidValueError("innovation: the covariance is not positive definite")

    @property
    def order(self) -> int:
        """Order p, the number of earlier cycles that influence the next."""
        return len(self.lags)

    @property
    def slots(self) -> int:
        """Number of vectors that a cell stores, p + m: the last p cycles and the averages."""
        return len(self.lags) + len(self.rates)

    @cached_property
    def companion(self) -> FloatArray:
        """Companion matrix, (4 slots, 4 slots): one step of the p vectors, newest first, and of m.

        The p vectors are those of the last cycles, the m vectors behind them the averages.
        """
        p, n = self.order, N_FEATURES
        matrix = np.zeros((n * self.slots, n * self.slots))
        matrix[n : n * p, : n * (p - 1)] = np.eye(n * (p - 1))
        matrix[:n] = np.concatenate([*self.lags, *self.couplings], axis=1)
        for j, rate in enumerate(self.rates):
            rows = slice(n * (p + j), n * (p + j + 1))
            matrix[rows] = rate * matrix[:n]
            matrix[rows, rows] += (1.0 - rate) * np.eye(n)
        return read_only(matrix)

    @cached_property
    def excitation(self) -> FloatArray:
        """Matrix that adds eps_n to the stacked vectors in one step, (4 slots, 4)."""
        matrix = np.zeros((N_FEATURES * self.slots, N_FEATURES))
        matrix[:N_FEATURES] = self.innovation
        for j, rate in enumerate(self.rates):
            at = N_FEATURES * (self.order + j)
            matrix[at : at + N_FEATURES] = rate * self.innovation
        return read_only(matrix)

    @cached_property
    def block_matrices(self) -> tuple[FloatArray, FloatArray]:
        """Matrices F, (4 slots, 4 slots), and G, (4 slots, 4 p): next block = F block + G draws.

        A block stacks x*_{n+1} … x*_{n+p}, oldest first, and the averages after cycle n + p; the
        draws hold the first number of all p cycles, then the second, and so on.
        """
        p, size, draws = self.order, N_FEATURES * self.slots, N_FEATURES * self.order
        given = list(np.eye(size + draws)[:size].reshape(self.slots, N_FEATURES, size + draws))
        vectors, averages = given[:p], given[p:]
        for k in range(p):
            x = sum(lag @ vectors[-i] for i, lag in enumerate(self.lags, start=1))
            for coupling, average in zip(self.couplings, averages, strict=True):
                x = x + coupling @ average
            for number in range(N_FEATURES):
                x[:, size + number * p + k] += self.innovation[:, number]
            vectors.append(x)
            averages = [
                average + rate * (x - average)
                for rate, average in zip(self.rates, averages, strict=True)
            ]
        both = np.concatenate(vectors[p:] + averages)
        return read_only(both[:, :size]), read_only(both[:, size:])

    @cached_property
    def spectral_radius(self) -> float:
        """Largest absolute eigenvalue; the process is stable below 1."""
        return float(np.abs(np.linalg.eigvals(self.companion)).max())

    @cached_property
    def stationary_covariance(self) -> FloatArray:
        """Stationary covariance of the stacked vectors, as in ``companion``."""
        from scipy.linalg import solve_discrete_lyapunov

        noise = self.excitation @ self.excitation.T
        covariance = solve_discrete_lyapunov(self.companion, noise)
        return read_only((covariance + covariance.T) / 2.0)

    @cached_property
    def stationary_factor(self) -> FloatArray:
        """Lower Cholesky factor of the stationary covariance, (4 slots, 4 slots)."""
        try:
            return read_only(np.linalg.cholesky(self.stationary_covariance))
        except np.linalg.LinAlgError:
            raise InvalidValueError(
                "lags: the stationary covariance is not positive definite"
            ) from None

    def autocovariance(self, n_lags: int) -> FloatArray:
        """Return the exact E[x*_n x*_{n-k}^T] for lags k = 0 … n_lags, (n_lags + 1, 4, 4)."""
        n_lags = checks.integer("n_lags", n_lags, 0, MAX_LAGS)
        stacked = self.stationary_covariance
        result = []
        for _ in range(n_lags + 1):
            result.append(stacked[:N_FEATURES, :N_FEATURES])
            stacked = self.companion @ stacked
        return np.stack(result)

    def autocorrelation(self, n_lags: int) -> FloatArray:
        """Return the exact autocorrelation of each feature at lags 0 … n_lags, (n_lags + 1, 4)."""
        diagonal = np.diagonal(self.autocovariance(n_lags), axis1=1, axis2=2)
        return np.asarray(diagonal / diagonal[0])


def _averages(
    rates: npt.ArrayLike | None, couplings: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Return the rates (m,) and couplings (m, 4, 4) of the averages after checking them."""
    if rates is None and couplings is None:
        return read_only(np.zeros(0)), read_only(np.zeros((0, N_FEATURES, N_FEATURES)))
    if rates is None or couplings is None:
        raise InvalidValueError("rates: expected rates and couplings, or neither")
    found = numbers("rates", rates, (None,))
    if not ((found > 0.0) & (found <= 1.0)).all():
        raise InvalidValueError("rates: expected numbers above 0 and at most 1")
    if not 1 <= len(found) <= MAX_AVERAGES:
        raise InvalidValueError(f"rates: expected 1 to {MAX_AVERAGES}, found {len(found)}")
    return found, numbers("couplings", couplings, (len(found), N_FEATURES, N_FEATURES))
