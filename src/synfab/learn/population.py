"""Fit of the device-to-device variability: a Gaussian mixture of (mu, ln sigma)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.deconvolution import Gaussians, without_errors
from synfab.model.population import N_PARAMETERS, Population

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

MAX_COMPONENTS = 6
FEW_DEVICES = 3 * N_PARAMETERS
MIN_SHRINKAGE = 0.01  # keeps the covariance of few devices positive definite
# Relative spread of a parameter that is equal in all devices.
NARROW = 1e-6
SMALLEST = 1e-9  # size of a parameter whose mean is 0
# Smallest share of the variance of few devices that is attributed to their differences.
MIN_TRUE = 0.02
STARTS = 5
# Quantiles at which tails are compared, and their largest allowed error in standard errors.
LEVELS = np.array([0.01, 0.02, 0.05, 0.95, 0.98, 0.99])
TAILS = 2.5
# Fits with more components end after so many that did not lower the criterion.
WORSE = 2
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
    """Return a mixture fitted to device parameters that are known with errors.

    The mixture is that of the true parameters: what measuring few cycles adds to their spread is
    removed (Bovy, Hogg and Roweis 2011).

    Parameters
    ----------
    parameters
        (devices, 8): mu of the four features, then ln sigma.
    errors
        Standard errors of the parameters, (8,) or (devices, 8).
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
    count = len(parameters)
    given = checks.real_array("errors", errors)
    errors = checks.numbers(
        "errors", errors, (N_PARAMETERS,) if given.ndim < 2 else (count, N_PARAMETERS)
    )
    errors = np.broadcast_to(errors, parameters.shape)
    components, seed = check_components(components), checks.word("seed", seed)
    automatic = isinstance(components, str)
    if not isinstance(components, str) and components > count > 1:
        raise InvalidValueError(
            f"components: {components} require at least as many devices, found {count}"
        )
    centre = parameters.mean(axis=0)
    narrow = NARROW * np.maximum(np.abs(centre), SMALLEST)
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
        covariance = _shrunk(parameters, errors, varies, narrow)
        return PopulationFit(_single(centre, covariance), 1, {}, note)
    scaled = (parameters[:, varies] - centre[varies]) / spread[varies]
    variances = (errors[:, varies] / spread[varies]) ** 2
    # A tenth of the errors prevents components from collapsing onto a few devices.
    floor = min(max(0.1 * float(np.mean(variances)), 1e-6), 0.1)
    tried = range(1, min(MAX_COMPONENTS, count // FEW_DEVICES) + 1)
    wanted = list(tried) if automatic else [int(components)]
    fits, bic = {}, dict[int, float]()
    for k in wanted:
        fits[k] = _mixture(scaled, k, floor, seed)
        bic[k] = float(fits[k].bic(scaled))
        if k - min(bic, key=lambda j: bic[j]) >= WORSE:
            break
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
    found = Gaussians(mixture.weights_, mixture.means_, mixture.covariances_)
    weights, means, covariances = without_errors(found, scaled, variances, floor)
    whole = np.tile(centre, (best, 1))
    whole[:, varies] += means * spread[varies]
    factors = np.zeros((best, N_PARAMETERS, N_PARAMETERS))
    for k in range(best):
        covariance = np.diag(narrow**2)
        block = np.ix_(varies, varies)
        covariance[block] = covariances[k] * np.outer(spread[varies], spread[varies])
        factors[k] = np.linalg.cholesky(covariance)
    return PopulationFit(Population(weights, whole, factors, True), best, bic, note)


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
    return Population([1.0], mean[None], np.linalg.cholesky(covariance)[None], True)


def _shrunk(parameters: Array, errors: Array, varies: Array, narrow: Array) -> Array:
    """Return the covariance of few devices, without the variance of their errors."""
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
        # The share of each variance that is not error; correlations of the true parameters are
        # larger than those of the estimates, but few devices do not show by how much.
        own = ((errors[:, varies] / scale) ** 2).mean(axis=0)
        true = np.sqrt(np.maximum(1.0 - own, MIN_TRUE))
        covariance[np.ix_(varies, varies)] = inner * np.outer(scale * true, scale * true)
    return covariance
