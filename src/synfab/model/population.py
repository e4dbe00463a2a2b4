"""Device-to-device variability: a Gaussian mixture of the parameters (mu, sigma) of devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import lower_factor, numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

N_PARAMETERS = 8


@dataclass(frozen=True, eq=False)
class Population:
    """Gaussian mixture of 8 device parameters; component k has probability w_k / sum(w).

    Parameters
    ----------
    weights
        (K,), not negative, not all zero, not normalised.
    means
        (K, 8): mu of the four features, then sigma of each.
    factors
        (K, 8, 8): lower Cholesky factors of the covariances.
    log_spread
        Whether the last four parameters are ln sigma, which keeps sigma positive; the published
        model has sigma itself.
    """

    weights: FloatArray
    means: FloatArray
    factors: FloatArray
    log_spread: bool

    def __init__(
        self,
        weights: npt.ArrayLike,
        means: npt.ArrayLike,
        factors: npt.ArrayLike,
        log_spread: bool = False,
    ) -> None:
        w = numbers("weights", weights, (None,))
        count = len(w)
        freeze(
            self,
            weights=w,
            means=numbers("means", means, (count, N_PARAMETERS)),
            factors=numbers("factors", factors, (count, N_PARAMETERS, N_PARAMETERS)),
            log_spread=checks.flag("log_spread", log_spread),
        )
        if (w < 0.0).any() or not w.sum() > 0.0:
            raise InvalidValueError("weights: expected numbers >= 0, not all zero")
        lower_factor("factors", self.factors)

    @property
    def probabilities(self) -> FloatArray:
        """Probabilities of the components, w_k / sum(w), (K,)."""
        return np.asarray(self.weights / self.weights.sum())

    @property
    def cumulative(self) -> FloatArray:
        """Cumulative probabilities of the components, (K,)."""
        return np.asarray(np.cumsum(self.weights) / self.weights.sum())

    @property
    def covariances(self) -> FloatArray:
        """Covariances of the components, L_k L_k^T, (K, 8, 8)."""
        return np.asarray(self.factors @ self.factors.transpose(0, 2, 1))

    def mean(self) -> FloatArray:
        """Return the mean of the mixture, (8,)."""
        return np.asarray(self.probabilities @ self.means)

    def covariance(self) -> FloatArray:
        """Return the covariance of the mixture, (8, 8)."""
        spread = self.means - self.mean()
        within = np.tensordot(self.probabilities, self.covariances, axes=1)
        return np.asarray(within + np.einsum("k,ki,kj->ij", self.probabilities, spread, spread))

    def component(self, parameters: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return the most probable component of each device, (M,), for (mu, sigma), (M, 8)."""
        given = numbers("parameters", parameters, (None, N_PARAMETERS))
        if self.log_spread:
            given = np.concatenate([given[:, :4], np.log(given[:, 4:])], axis=1)
        density = []
        for probability, mean, factor in zip(
            self.probabilities, self.means, self.factors, strict=True
        ):
            z = np.linalg.inv(factor) @ (given - mean).T
            density.append(
                np.log(max(probability, 1e-300))
                - np.log(np.diag(factor)).sum()
                - 0.5 * np.sum(z * z, axis=0)
            )
        return np.asarray(np.argmax(density, axis=0))
