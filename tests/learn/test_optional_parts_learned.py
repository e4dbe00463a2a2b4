"""Models with optional parts are found again in data that they generated, and only then."""

import numpy as np
import pytest
from optional_models import model_with_every_part
from published_measurements import measured_features

import synfab as sf
from synfab import learn
from synfab.learn.autocovariance import Record, few_cycles_history
from synfab.learn.deconvolution import Gaussians, without_errors
from synfab.learn.long_memory import find_long_memory, with_averages
from synfab.learn.scales import choose_scales
from synfab.model.history import History
from synfab.model.wear import Failure


def table(values):
    devices, cycles, _ = values.shape
    return learn.FeatureTable.build(
        np.repeat(np.arange(devices), cycles),
        np.tile(np.arange(cycles), devices),
        values.reshape(-1, 4),
    )


def record(model, devices, cycles, seed=3):
    """Features of every cycle; the window of failed cells is closed, as an instrument sees it."""
    cells = sf.CellArray(model, devices, seed=seed, order=1)
    found = np.empty((cycles, devices, 4))
    for n in range(cycles):
        features = cells.features
        found[n] = np.stack([features[name] for name in sf.FEATURES], axis=1)
        u_set, u_reset = (
            np.where(np.isfinite(features[name]), features[name], 0.0)
            for name in ("u_set", "u_reset")
        )
        cells.apply_voltage(np.minimum(1.5 * u_set, -0.1))
        cells.apply_voltage(np.maximum(1.2 * u_reset, 1.7))
    in_hrs, in_lrs = found[..., 1] == -np.inf, found[..., 3] == np.inf
    found[..., 2] = np.where(in_hrs, found[..., 0], found[..., 2])
    found[..., 0] = np.where(in_lrs, found[..., 2], found[..., 0])
    found[..., 1::2] = np.where(np.isfinite(found[..., 1::2]), found[..., 1::2], np.nan)
    return found.transpose(1, 0, 2)


@pytest.fixture(scope="module")
def whole():
    return model_with_every_part(failure=Failure(400.0, 1.5, stuck_hrs=0.3))


@pytest.fixture(scope="module")
def learned(whole):
    return learn.fit(table(record(whole, 300, 400)))


@pytest.mark.slow
def test_every_part_comes_back(whole, learned):
    found, true = learned.model, whole
    assert found.population.log_spread
    assert found.failure.scale == pytest.approx(true.failure.scale, rel=0.15)
    assert found.failure.shape == pytest.approx(true.failure.shape, rel=0.2)
    assert found.failure.stuck_hrs == pytest.approx(0.3, abs=0.12)
    # On a logarithmic scale of a negative voltage, greater y means smaller u_set.
    sign = [
        1.0 if a.sign == b.sign else -1.0 for a, b in zip(found.scales, true.scales, strict=True)
    ]
    n = [0, 3, 10, 40, 150]
    shift = found.wear_in.shift_at(n) * sign
    # r_lrs is linear here and reciprocal in the model that generated the data. The unit is the
    # spread within the record, which slow levels make smaller than the whole.
    np.testing.assert_allclose(
        shift[:, [0, 1, 3]], true.wear_in.shift_at(n)[:, [0, 1, 3]], atol=0.35
    )
    lags = [1, 5, 10, 30, 60]
    np.testing.assert_allclose(
        found.history().autocorrelation(60)[lags],
        true.history(1).autocorrelation(60)[lags],
        atol=0.04,
    )


@pytest.mark.slow
def test_generated_features_have_the_distribution_of_the_data(whole, learned):
    made, true = (
        sf.CellArray(model, 20_000, seed=seed, order=order)
        for model, seed, order in ((learned.model, 1, None), (whole, 2, 1))
    )
    for name in sf.FEATURES:
        levels = [0.01, 0.1, 0.5, 0.9, 0.99]
        found, expected = (np.quantile(c.features[name], levels) for c in (made, true))
        spread = np.ptp(expected[1:4])
        np.testing.assert_allclose(found[1:4], expected[1:4], atol=0.12 * spread)


@pytest.mark.slow
def test_parts_that_the_data_do_not_carry_are_absent():
    result = learn.fit(table(measured_features(64, 400, seed=4)[0]), order=10)
    assert result.model.wear_in is None
    assert result.model.failure is None


@pytest.mark.slow
def test_the_comparison_sees_the_failures_of_generated_cells(whole):
    values = record(whole, 100, 150)
    data = table(np.where(np.isnan(values), [0.0, -0.8, 0.0, 0.8], values))
    dead = learn.compare(whole, data).result("deaths")
    assert 0.1 < dead.measured < 0.4
    assert dead.generated == pytest.approx(dead.measured, abs=0.15)
    alive = learn.compare(whole.replace(failure=None), data).result("deaths")
    assert alive.generated == 0.0


@pytest.mark.slow
def test_ten_million_draws_stay_in_physics(learned):
    model = learned.model.replace(failure=None)
    lowest = np.full(4, np.inf)
    highest = -lowest
    for seed in range(10):
        cells = sf.CellArray(model, 1_000_000, seed=seed)
        values = np.stack([cells.features[name] for name in sf.FEATURES])
        lowest, highest = (
            np.minimum(lowest, values.min(axis=1)),
            np.maximum(highest, values.max(axis=1)),
        )
    assert (lowest[[0, 2, 3]] > 0.0).all()
    assert highest[1] < 0.0


def test_wear_in_can_be_removed(whole):
    data = table(record(whole.replace(failure=None), 60, 150))
    kept, removed = (learn.fit(data, order=1, wear_in=how) for how in ("keep", "remove"))
    assert kept.model.wear_in is not None
    assert removed.model.wear_in is None
    with pytest.raises(sf.InvalidValueError, match="wear_in: expected one of keep, remove"):
        learn.fit(data, wear_in="no")


def test_constant_features_have_no_wear_in(whole):
    values = record(whole.replace(failure=None), 40, 120)
    values[:, :, 1] = -1.0
    result = learn.fit(table(values), order=1)
    assert result.diagnostics["constant_features"] == ["u_set"]
    assert result.model.wear_in is not None
    assert not result.model.wear_in.shift[:, 1].any()
    assert sf.CellArray(result.model, 100, seed=1).features["u_set"].std() < 1e-5


def test_a_lognormal_resistance_gets_a_logarithmic_scale():
    rng = np.random.default_rng(1)
    spread = np.exp(rng.normal(np.log(0.3), 0.5, (100, 1)))
    r_lrs = np.exp(rng.normal(8.3, 0.2, (100, 1)) + spread * rng.standard_normal((100, 60)))
    values = np.stack([
        np.exp(rng.normal(12.0, 0.5, (100, 60))), rng.normal(-0.8, 0.05, (100, 60)), r_lrs,
        rng.normal(0.7, 0.03, (100, 60)),
    ], axis=-1)  # fmt: skip
    data = table(values)
    scales = choose_scales(data).scales
    assert [scale.kind for scale in scales] == ["log", "linear", "log", "linear"]
    drawn = sf.CellArray(learn.fit(data).model, 100_000, seed=1).features
    assert drawn["r_lrs"].min() > 0.0
    assert drawn["u_set"].max() < 0.0
    assert drawn["u_reset"].min() > 0.0
    tails = [0.001, 0.01, 0.99, 0.999]
    found, measured = np.quantile(drawn["r_lrs"], tails), np.quantile(r_lrs, tails)
    np.testing.assert_allclose(np.log(found), np.log(measured), atol=0.5)


def test_the_population_is_that_without_the_errors_of_few_cycles():
    """32 devices of 6 cycles: the spread of the means is not widened by their errors."""
    rng = np.random.default_rng(2)
    mean = rng.normal(-0.8, 0.03, (400, 1))
    values = np.stack([
        np.exp(rng.normal(12.0, 0.5, (400, 6))), mean + rng.normal(0.0, 0.1, (400, 6)),
        rng.normal(4000.0, 100.0, (400, 6)), rng.normal(0.7, 0.03, (400, 6)),
    ], axis=-1)  # fmt: skip
    result = learn.fit(table(values), components=1)
    assert result.diagnostics["order"] == 0
    drawn = sf.CellArray(result.model, 50_000, seed=1).device_parameters
    middle, low, high = (
        result.model.to_features(drawn[:, :4] + s * drawn[:, 4:])[:, 1] for s in (0.0, -1.0, 1.0)
    )
    assert values[:, :, 1].mean(axis=1).std() > 0.048  # what a naive estimate sees
    assert 0.02 < middle.std() < 0.042
    spread = np.abs(high - low) / 2.0
    assert np.log(spread).std() < 0.2  # all have the same spread; estimates scatter by 0.36
    assert np.median(spread) == pytest.approx(0.1, rel=0.1)


def test_few_cycles_with_memory_show_it():
    rng = np.random.default_rng(3)
    x = np.zeros((600, 8, 4))
    x[:, 0] = rng.standard_normal((600, 4))
    for n in range(1, 8):
        x[:, n] = 0.6 * x[:, n - 1] + 0.8 * rng.standard_normal((600, 4))
    history, order = few_cycles_history([(np.arange(8), one) for one in x])
    assert order == 1
    np.testing.assert_allclose(np.diagonal(history.lags[0]), 0.6, atol=0.08)


def test_long_memory_is_found_at_lags_beyond_the_order():
    rng = np.random.default_rng(5)
    cycles, slow = 600, np.exp(-1.0 / 60.0)
    share = np.array([0.3, 0.2, 0.4, 0.3])
    level = np.sqrt(share) * rng.standard_normal((80, 4))
    x = np.empty((80, cycles, 4))
    for n in range(cycles):
        level = slow * level + np.sqrt(share * (1.0 - slow**2)) * rng.standard_normal((80, 4))
        x[:, n] = level + np.sqrt(1.0 - share) * rng.standard_normal((80, 4))
    series = [(np.arange(cycles), one) for one in x]
    plain = learn.fit_history(series, 4).histories[4]
    record = Record(series)
    levels = find_long_memory(record, plain)
    history = with_averages(plain, record, levels)
    for lag in (1, 5, 20, 60):
        true = share * slow**lag
        np.testing.assert_allclose(history.autocorrelation(60)[lag], true, atol=0.06)
    assert plain.autocorrelation(60)[20].max() < 0.1  # what the order alone can do


def test_independent_cycles_have_no_long_memory():
    x = np.random.default_rng(6).standard_normal((50, 400, 4))
    series = [(np.arange(400), one) for one in x]
    history = History(np.eye(4), 0.01 * np.eye(4)[None])
    assert find_long_memory(Record(series), history) is None


def test_a_mixture_is_recovered_from_values_with_errors():
    rng = np.random.default_rng(7)
    true = rng.standard_normal((2000, 2)) * [1.0, 0.5]
    variances = rng.uniform(0.2, 2.0, (2000, 2))
    seen = true + np.sqrt(variances) * rng.standard_normal((2000, 2))
    start = Gaussians(np.ones(1), seen.mean(axis=0)[None], np.cov(seen.T)[None])
    found = without_errors(start, seen, variances, 1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariances[0])), [1.0, 0.5], rtol=0.15)
