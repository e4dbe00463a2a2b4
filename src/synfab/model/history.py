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


@dataclass(frozen=True, eq=False)
class History:
    """Vector autoregression VAR(p): x*_n = sum_i A_i x*_{n-i} + B eps_n (Hennen et al. 2022).

    Parameters
    ----------
    innovation
        B, shape (4, 4), lower triangular.
    lags
        A_1 … A_p, shape (p, 4, 4), newest first.

    Raises
    ------
    InvalidValueError
        A shape is wrong, or the process is not stable.
    """

    innovation: FloatArray
    lags: FloatArray

    def __init__(self, innovation: npt.ArrayLike, lags: npt.ArrayLike) -> None:
        freeze(
            self,
            innovation=numbers("innovation", innovation, (N_FEATURES, N_FEATURES)),
            lags=numbers("lags", lags, (None, N_FEATURES, N_FEATURES)),
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

    @cached_property
    def companion(self) -> FloatArray:
        """Companion matrix, (4p, 4p): one step of the stacked vectors, newest first."""
        size = N_FEATURES * self.order
        matrix = np.eye(size, k=-N_FEATURES)
        matrix[:N_FEATURES] = np.concatenate(list(self.lags), axis=1)
        return read_only(matrix)

    @cached_property
    def block_matrices(self) -> tuple[FloatArray, FloatArray]:
        """Matrices F and G, (4p, 4p), that advance p cycles: next block = F last block + G draws.

        A block stacks x*_{n+1} … x*_{n+p}, oldest first; the draws hold the first number of
        all p cycles, then the second, and so on.
        """
        p, size = self.order, N_FEATURES * self.order
        vectors = list(np.eye(2 * size)[:size].reshape(p, N_FEATURES, 2 * size))
        for k in range(p):
            x = sum(lag @ vectors[-i] for i, lag in enumerate(self.lags, start=1))
            for number in range(N_FEATURES):
                x[:, size + number * p + k] += self.innovation[:, number]
            vectors.append(x)
        both = np.concatenate(vectors[p:])
        return read_only(both[:, :size]), read_only(both[:, size:])

    @cached_property
    def spectral_radius(self) -> float:
        """Largest absolute eigenvalue; the process is stable below 1."""
        return float(np.abs(np.linalg.eigvals(self.companion)).max())

    @cached_property
    def stationary_covariance(self) -> FloatArray:
        """Stationary covariance of p stacked vectors, newest first, (4p, 4p)."""
        from scipy.linalg import solve_discrete_lyapunov

        noise = np.zeros_like(self.companion)
        noise[:N_FEATURES, :N_FEATURES] = self.innovation @ self.innovation.T
        covariance = solve_discrete_lyapunov(self.companion, noise)
        return read_only((covariance + covariance.T) / 2.0)

    @cached_property
    def stationary_factor(self) -> FloatArray:
        """Lower Cholesky factor of the stationary covariance, (4p, 4p)."""
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
