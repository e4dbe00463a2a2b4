"""Fit of the device-to-device variability: a Gaussian mixture of device parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.model.population import N_PARAMETERS, Population

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

MAX_COMPONENTS = 6
FEW_DEVICES = 3 * N_PARAMETERS
MIN_SHRINKAGE = 0.01  # keeps the covariance of few devices positive definite
# Relative spread of a parameter that is equal in all devices.
NARROW = 1e-6
STARTS = 5
# Quantiles at which tails are compared, and their largest allowed error in standard errors.
LEVELS = np.array([0.01, 0.02, 0.05, 0.95, 0.98, 0.99])
TAILS = 2.5
BETTER = 0.75  # a further component must reduce the error to this fraction


class PopulationFit(NamedTuple):
    """The fitted mixture and how its number of components was chosen."""

    population: Population
    components: int
    bic: dict[int, float]
    note: str


def fit_population(
    parameters: Array, errors: Array, components: int | str = "auto", seed: int = 0
) -> PopulationFit:
    """Return a mixture fitted to device parameters.

    Parameters
    ----------
    parameters
        (devices, 8): mu of the four features, then sigma.
    errors
        (8,): standard errors of the parameters of one device, a lower bound of every component.
    components
        A number, or ``"auto"``: by the Bayesian information criterion, and more if the tails of a
        marginal are not represented.
    seed
        Seed of the starting points.

    Raises
    ------
    InvalidValueError
        There are too few devices for the number of components.
    """
    parameters = checks.numbers("parameters", parameters, (None, N_PARAMETERS))
    errors = checks.numbers("errors", errors, (N_PARAMETERS,))
    components, seed = check_components(components), checks.word("seed", seed)
    count, automatic = len(parameters), isinstance(components, str)
    if not isinstance(components, str) and components > count > 1:
        raise InvalidValueError(
            f"components: {components} require at least as many devices, found {count}"
        )
    centre = parameters.mean(axis=0)
    size = np.maximum(np.abs(centre), 1e-12)
    narrow = NARROW * size
    if count == 1:
        note = "one device: device-to-device variability unknown, all cells have equal parameters"
        return PopulationFit(_single(centre, np.diag(narrow**2)), 1, {}, note)
    spread = parameters.std(axis=0)
    varies = spread > 10.0 * narrow
    if count < FEW_DEVICES or not varies.any():
        if not automatic and int(components) > 1:
            raise InvalidValueError(
                f"components: {components} require at least {FEW_DEVICES} devices, found {count}"
            )
        note = f"{count} devices: one component, covariance shrunk (Ledoit and Wolf 2004)"
        return PopulationFit(_single(centre, _shrunk(parameters, varies, narrow)), 1, {}, note)
    scaled = (parameters[:, varies] - centre[varies]) / spread[varies]
    # The measured spread includes the estimation error; a tenth of it prevents components from
    # collapsing onto a few devices without widening the others.
    floor = 0.1 * float(np.mean((errors[varies] / spread[varies]) ** 2))
    floor = min(max(floor, 1e-6), 0.1)
    tried = range(1, min(MAX_COMPONENTS, count // FEW_DEVICES + 1) + 1)
    wanted = list(tried) if automatic else [int(components)]
    fits = {k: _mixture(scaled, k, floor, seed) for k in wanted}
    bic = {k: float(fit.bic(scaled)) for k, fit in fits.items()}
    chosen = min(bic, key=lambda k: bic[k])
    # The components must also represent the tails, which contribute little to the likelihood.
    best, miss = chosen, _tail_error(fits[chosen], scaled)
    while miss > TAILS and best + 1 in fits:
        next_miss = _tail_error(fits[best + 1], scaled)
        if next_miss > BETTER * miss:
            break
        best, miss = best + 1, next_miss
    note = "" if best == chosen else f"{chosen} by BIC; {best} to represent the tails"
    mixture = fits[best]
    means = np.tile(centre, (best, 1))
    means[:, varies] += mixture.means_ * spread[varies]
    factors = np.zeros((best, N_PARAMETERS, N_PARAMETERS))
    for k in range(best):
        covariance = np.diag(narrow**2)
        block = np.ix_(varies, varies)
        covariance[block] = mixture.covariances_[k] * np.outer(spread[varies], spread[varies])
        factors[k] = np.linalg.cholesky(covariance)
    return PopulationFit(Population(mixture.weights_, means, factors), best, bic, note)


def check_components(components: int | str) -> int | str:
    """Return a valid number of components, or "auto"."""
    found = checks.integer_or("components", components, "auto", 1)
    return "auto" if found is None else found


def _tail_error(mixture: GaussianMixture, scaled: Array) -> float:
    """Return the largest error of the tails of the marginals, in standard errors."""
    from scipy.stats import norm

    spread = np.sqrt(np.diagonal(mixture.covariances_, axis1=1, axis2=2))  # (K, columns)
    at = np.quantile(scaled, LEVELS, axis=0)[:, None]  # (levels, 1, columns)
    found = (mixture.weights_[:, None] * norm.cdf((at - mixture.means_) / spread)).sum(axis=1)
    error = np.sqrt(LEVELS * (1.0 - LEVELS) / len(scaled))
    return float(np.abs((found - LEVELS[:, None]) / error[:, None]).max())


def _mixture(scaled: Array, components: int, floor: float, seed: int) -> GaussianMixture:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(
            components, reg_covar=floor, n_init=STARTS, random_state=seed, max_iter=500
        ).fit(scaled)


def _single(mean: Array, covariance: Array) -> Population:
    return Population([1.0], mean[None], np.linalg.cholesky(covariance)[None])


def _shrunk(parameters: Array, varies: Array, narrow: Array) -> Array:
    from sklearn.covariance import ledoit_wolf

    covariance = np.diag(narrow**2)
    if varies.any():
        scale = parameters[:, varies].std(axis=0)
        x = (parameters[:, varies] - parameters[:, varies].mean(axis=0)) / scale
        inner, shrinkage = ledoit_wolf(x)
        # The parameters of two devices always have correlations of ±1, which mean nothing.
        least = 1.0 if len(x) == 2 else MIN_SHRINKAGE
        if shrinkage < least:
            inner = (1.0 - least) * (x.T @ x) / len(x) + least * np.eye(x.shape[1])
        covariance[np.ix_(varies, varies)] = inner * np.outer(scale, scale)
    return covariance
