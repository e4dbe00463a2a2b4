"""A fitted model judged by distances that this file computes itself, not with ``compare``.

The published package measures 192 devices. Half of them are fitted, the others are compared with
generated cells: quantile functions, tails, spreads within and between devices, and autocorrelations
to lag 100, each with its own random halves.
"""

import math

import numpy as np
import published_measurements
import pytest

import synfab as sf
from synfab import learn

DEVICES, CYCLES, REPEATS, SPLITS = 192, 500, 4, 60
LAGS = (1, 2, 5, 10)
BANDS = ((20, 40), (40, 70), (70, 100))


def table(values):
    count, cycles, _ = values.shape
    return learn.FeatureTable.build(
        np.repeat(np.arange(count), cycles), np.tile(np.arange(cycles), count),
        values.reshape(-1, 4),
    )  # fmt: skip


def logged(values):
    """Features with log10 of r_hrs, (devices, cycles, 4)."""
    return np.concatenate([np.log10(values[..., :1]), values[..., 1:]], axis=-1)


def generated(model, devices, seed):
    cells = sf.CellArray(model, devices, seed=seed)
    record = np.empty((CYCLES, devices, 4))
    for n in range(CYCLES):
        for f, name in enumerate(sf.FEATURES):
            record[n, :, f] = cells.features[name]
        cells.apply_voltage(-10.0).apply_voltage(10.0)
    return logged(record.transpose(1, 0, 2))


# Statistics of an array (devices, cycles) of one feature, as an array each.


def quantile_function(y):
    return np.sort(y, axis=None)[np.linspace(0, y.size - 1, 801).astype(int)]


def tails(y):
    return np.quantile(y, [0.01, 0.99])


def within(y):
    return np.atleast_1d(np.mean(np.sort(np.log(y.std(axis=1)))[len(y) // 5 : -(len(y) // 5)]))


def between(y):
    low, high = np.quantile(y.mean(axis=1), [0.16, 0.84])
    return np.atleast_1d(np.log(high - low))


def memory(y):
    z = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    at = [np.mean(z[:, lag:] * z[:, :-lag]) for lag in range(1, 101)]
    return np.array([at[lag - 1] for lag in LAGS] + [np.mean(at[a:b]) for a, b in BANDS])


def mean_distance(a, b):
    return np.abs(a - b).mean()


def largest_distance(a, b):
    return np.abs(a - b).max()


PROPERTIES = {
    "distribution": (quantile_function, mean_distance),
    "tails": (tails, largest_distance),
    "within": (within, largest_distance),
    "between": (between, largest_distance),
    "memory": (memory, largest_distance),
}


def ratio(name, measured, made, generator, *, fitted):
    """Distance from the mean of the generated data sets, in yardsticks.

    A model that was fitted to as many other devices has their sampling error in addition.
    """
    statistic, distance = PROPERTIES[name]
    apart = []
    for _ in range(SPLITS):
        order = generator.permutation(len(measured))
        half = len(order) // 2
        apart.append(distance(statistic(measured[order[:half]]), statistic(measured[order[half:]])))
    factor = math.sqrt((1.0 + float(fitted) + 1.0 / len(made)) / 4.0)
    mean = np.mean([statistic(y) for y in made], axis=0)
    return distance(mean, statistic(measured)) / (factor * np.quantile(apart, 0.95))


@pytest.fixture(scope="module")
def halves():
    values, _ = published_measurements.measured_features(DEVICES, CYCLES, seed=21)
    return values[::2], values[1::2]


@pytest.fixture(scope="module")
def model(halves):
    return learn.fit(table(halves[0]), order=10, conduction=sf.load_model()).model


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_fitted_model_is_within_twice_the_yardstick_of_devices_it_has_not_seen(
    halves, model, name
):
    measured = logged(halves[1])
    made = [generated(model, len(measured), seed) for seed in range(REPEATS)]
    generator = np.random.default_rng(5)
    found = [
        ratio(name, measured[:, :, f], [y[:, :, f] for y in made], generator, fitted=True)
        for f in range(4)
    ]
    assert max(found) <= 2.0, found


@pytest.mark.slow
def test_compare_gives_the_same_ratios(halves, model):
    """Of distribution, spreads and memory; the yardsticks are of other splits and cells."""
    measured = logged(halves[1])
    made = [generated(model, len(measured), seed) for seed in range(REPEATS)]
    compared = learn.compare(model, table(halves[1]), seed=9)
    generator = np.random.default_rng(6)
    for name, key in (("distribution", "distribution"), ("within", "within_spread"),
                      ("between", "between_spread")):  # fmt: skip
        for f, feature in enumerate(sf.FEATURES):
            ours = [y[:, :, f] for y in made]
            own = ratio(name, measured[:, :, f], ours, generator, fitted=False)
            assert compared.result(key, feature).ratio == pytest.approx(own, abs=0.6), (key, f)


@pytest.mark.slow
def test_it_sees_what_is_wrong(halves):
    """Doubled spreads, shuffled cycles and a shifted tail are above twice the yardstick."""
    measured = logged(halves[1])[:, :, 2]
    generator = np.random.default_rng(7)
    middle = measured.mean(axis=1, keepdims=True)
    tail = np.where(generator.random(measured.shape) < 0.03, measured - 1500.0, measured)
    for name, wrong in (
        ("within", middle + 2.0 * (measured - middle)),
        ("memory", generator.permuted(measured, axis=1)),
        ("tails", tail),
    ):
        assert ratio(name, measured, [wrong], generator, fitted=False) > 2.0, name
        assert ratio(name, measured, [measured], generator, fitted=False) == 0.0
