"""The statistics of generated cells against the exact ones of the model, from cycle 0 on."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

import synfab as sf
from synfab.physics import drawing
from synfab.random import streams

ERRORS = 4.5  # bounds in standard errors: one false alarm in 150,000 tests


def vectors_at(cells: sf.CellArray) -> np.ndarray:
    return cells.engine_instance.vectors().astype(np.float64)


def full_cycle(cells: sf.CellArray) -> None:
    cells.apply_voltage(-2.0).apply_voltage(1.5)


@pytest.fixture(scope="module")
def parameters(published):
    return sf.CellArray(published, 100_000, seed=12).device_parameters.astype(np.float64)


@pytest.mark.parametrize("column", range(8))
def test_device_parameters_follow_the_mixture(published, parameters, column, measured):
    population = published.population

    def exact(x):
        parts = [
            p * norm.cdf(x, mean[column], np.sqrt(covariance[column, column]))
            for p, mean, covariance in zip(
                population.probabilities, population.means, population.covariances, strict=True
            )
        ]
        return np.sum(parts, axis=0)

    # One-sample Kolmogorov-Smirnov on 1e5 devices; a mixture without its outliers is seen below.
    p = kstest(parameters[:, column], exact).pvalue
    measured("p of a Kolmogorov-Smirnov test, 100,000 devices, smallest of 8", p, "> 1e-4")
    assert p > 1e-4


@pytest.mark.parametrize("component", range(3))
def test_each_component_is_normal_in_every_marginal(published, parameters, component, measured):
    """Devices of one component, known from the word that picked it: none may be missing."""
    population, seed = published.population, 12
    cells = np.arange(len(parameters), dtype=np.uint32)
    word = streams.words(seed, (cells, np.zeros_like(cells)), 0, streams.Stream.POPULATION)[0]
    bounds = np.array(drawing.component_bounds(published), np.uint64)
    picked = (word[:, None].astype(np.uint64) >= bounds[None, :-1]).sum(axis=1) == component
    share, n = population.probabilities[component], len(parameters)
    assert abs(picked.mean() - share) < ERRORS * np.sqrt(share * (1.0 - share) / n)
    scale = np.sqrt(np.diag(population.covariances[component]))
    scores = (parameters[picked] - population.means[component]) / scale
    p = min(kstest(scores[:, column], norm.cdf).pvalue for column in range(8))
    measured("p of a Kolmogorov-Smirnov test, smallest of 24", p, "> 1e-4")
    assert p > 1e-4


def test_the_mixture_has_its_outliers(published, parameters, measured):
    """Share and moments of devices per component, by their posterior probability."""
    population = published.population
    density = np.stack(
        [
            np.log(p)
            - np.log(np.diag(factor)).sum()
            - 0.5 * (np.linalg.solve(factor, (parameters - mean).T) ** 2).sum(axis=0)
            for p, mean, factor in zip(
                population.probabilities, population.means, population.factors, strict=True
            )
        ]
    )
    posterior = np.exp(density - density.max(axis=0))
    posterior /= posterior.sum(axis=0)
    n = len(parameters)
    for k, probability in enumerate(population.probabilities):
        weight = posterior[k]
        deviation = abs(weight.mean() - probability) / np.sqrt(probability / n)
        measured("deviation of a component's share, standard errors", deviation, "< 4.5")
        assert deviation < ERRORS
        mean = (weight[:, None] * parameters).sum(axis=0) / weight.sum()
        spread = np.sqrt(np.diag(population.covariances[k]))
        error = spread / np.sqrt(probability * n)
        assert (np.abs(mean - population.means[k]) < ERRORS * error).all()


def test_the_covariance_is_the_mixture_s(published, parameters, measured):
    exact = published.population.covariance()
    scale = np.sqrt(np.diag(exact))
    found = np.cov(parameters, rowvar=False)
    # Heavy tails: the error of each element from the sample itself.
    centred = (parameters - parameters.mean(axis=0)) / scale
    worst = 0.0
    for i in range(8):
        for j in range(i + 1):
            product = centred[:, i] * centred[:, j]
            error = product.std() / np.sqrt(len(product))
            difference = abs(found[i, j] - exact[i, j]) / scale[i] / scale[j]
            worst = max(worst, difference / error)
    measured("deviation of a covariance, standard errors, largest of 36", worst, "< 4.5")
    assert worst < ERRORS


@pytest.mark.parametrize("order", [1, 10])
def test_the_history_is_stationary_from_the_first_cycle(published, order, measured):
    cells = sf.CellArray(published, 40_000, seed=13, order=order)
    exact = published.history(order).autocovariance(0)[0]
    checked = {0, 1, 2, 5, 10, 20, 50, 100}
    for n in range(101):
        if n in checked:
            x = vectors_at(cells)
            variance, target = x.var(axis=1), np.diag(exact)
            deviation = np.abs(variance / target - 1.0).max() / np.sqrt(2 / cells.size)
            measured(
                "deviation of a variance in cycles 0 to 100, standard errors", deviation, "< 4.5"
            )
            assert deviation < ERRORS, n
            assert (np.abs(x.mean(axis=1)) < ERRORS * np.sqrt(target / cells.size)).all(), n
        full_cycle(cells)


@pytest.mark.slow
def test_the_autocorrelation_is_exact_at_every_lag(published, measured):
    """4,000 devices x 400 cycles: within .005 of what A and B give, lags 1 … 20."""
    cells = sf.CellArray(published, 4000, seed=14)
    x = np.empty((400, 4, 4000))
    for vector in x:
        vector[:] = vectors_at(cells)
        full_cycle(cells)
    exact = published.history(10).autocorrelation(20)
    for lag in range(1, 21):
        found = (x[lag:] * x[:-lag]).mean(axis=(0, 2)) / (x * x).mean(axis=(0, 2))
        deviation = np.abs(found - exact[lag]).max()
        measured(
            "deviation of an autocorrelation, lags 1 to 20, 1.6 million cycles",
            deviation,
            "< 0.005",
        )
        assert deviation < 0.005, lag
