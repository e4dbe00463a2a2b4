"""Learning device-to-device variability: a Gaussian mixture of the devices' (mu, sigma)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.model.population import N_PARAMETERS, Population

Array = npt.NDArray[Any]

MAX_COMPONENTS = 6
FEW_DEVICES = 3 * N_PARAMETERS
LEAST_SHRINKAGE = 0.01  # of their covariance, which has to stay positive definite
# A parameter that no device varies in is given this spread, relative to its size.
NARROW = 1e-6
STARTS = 5
# Where tails are looked at, and how many standard errors they may be off.
LEVELS = np.array([0.01, 0.02, 0.05, 0.95, 0.98, 0.99])
TAILS = 2.5
BETTER = 0.75  # a further component must bring that down to this share


class PopulationFit(NamedTuple):
    """The mixture and how it was chosen."""

    population: Population
    components: int
    bic: dict[int, float]
    note: str


def fit_population(
    parameters: Array, errors: Array, components: int | str = "auto", seed: int = 0
) -> PopulationFit:
    """Fit a mixture to device parameters.

    Parameters
    ----------
    parameters
        (devices, 8): mu of the four features, then sigma.
    errors
        (8,): standard error of one device's parameters, the floor of any component's spread.
    components
        A number, or ``"auto"``: by the Bayesian information criterion, and more where the tails
        of a marginal would be missed.
    seed
        Of the starting points.

    Raises
    ------
    InvalidValueError
        More components are asked for than there are devices for.
    """
    parameters = checks.numbers("parameters", parameters, (None, N_PARAMETERS))
    errors = checks.numbers("errors", errors, (N_PARAMETERS,))
    components, seed = check_components(components), checks.word("seed", seed)
    count, automatic = len(parameters), isinstance(components, str)
    if not isinstance(components, str) and components > count > 1:
        raise InvalidValueError(
            f"components: {components} need as many devices or more, found {count}"
        )
    centre = parameters.mean(axis=0)
    size = np.maximum(np.abs(centre), 1e-12)
    narrow = NARROW * size
    if count == 1:
        note = "one device: no device-to-device variability can be learned, all cells share it"
        return PopulationFit(_single(centre, np.diag(narrow**2)), 1, {}, note)
    spread = parameters.std(axis=0)
    varies = spread > 10.0 * narrow
    if count < FEW_DEVICES or not varies.any():
        if not automatic and int(components) > 1:
            raise InvalidValueError(
                f"components: {components} need {FEW_DEVICES} devices or more, found {count}"
            )
        note = f"{count} devices: one component, covariance shrunk (Ledoit and Wolf 2004)"
        return PopulationFit(_single(centre, _shrunk(parameters, varies, narrow)), 1, {}, note)
    scaled = (parameters[:, varies] - centre[varies]) / spread[varies]
    # What is measured holds the estimation error already; a tenth of it keeps components from
    # shrinking onto a few devices without widening the others.
    floor = 0.1 * float(np.mean((errors[varies] / spread[varies]) ** 2))
    floor = min(max(floor, 1e-6), 0.1)
    tried = range(1, min(MAX_COMPONENTS, count // FEW_DEVICES + 1) + 1)
    wanted = list(tried) if automatic else [int(components)]
    fits = {k: _mixture(scaled, k, floor, seed) for k in wanted}
    bic = {k: float(fit.bic(scaled)) for k, fit in fits.items()}
    chosen = min(bic, key=lambda k: bic[k])
    # Gaussian components must also carry the tails, which hardly count in a likelihood.
    best, miss = chosen, _tail_miss(fits[chosen], scaled)
    while miss > TAILS and best + 1 in fits:
        next_miss = _tail_miss(fits[best + 1], scaled)
        if next_miss > BETTER * miss:
            break
        best, miss = best + 1, next_miss
    note = "" if best == chosen else f"BIC says {chosen}; the tails need {best}"
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
    """Return a number of components, or the word that leaves the choice to the data."""
    found = checks.integer_or("components", components, "auto", 1)
    return "auto" if found is None else found


def _tail_miss(mixture: Any, scaled: Array) -> float:
    """Largest error of the marginals at the tails, in standard errors of the sample."""
    from scipy.stats import norm

    spread = np.sqrt(np.diagonal(mixture.covariances_, axis1=1, axis2=2))  # (K, columns)
    at = np.quantile(scaled, LEVELS, axis=0)[:, None]  # (levels, 1, columns)
    found = (mixture.weights_[:, None] * norm.cdf((at - mixture.means_) / spread)).sum(axis=1)
    error = np.sqrt(LEVELS * (1.0 - LEVELS) / len(scaled))
    return float(np.abs((found - LEVELS[:, None]) / error[:, None]).max())


def _mixture(scaled: Array, components: int, floor: float, seed: int) -> Any:
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
        # Two devices correlate to 1 in everything, and are certain of it: that is no correlation.
        least = 1.0 if len(x) == 2 else LEAST_SHRINKAGE
        if shrinkage < least:
            inner = (1.0 - least) * (x.T @ x) / len(x) + least * np.eye(x.shape[1])
        covariance[np.ix_(varies, varies)] = inner * np.outer(scale, scale)
    return covariance
