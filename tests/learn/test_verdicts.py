"""Verdicts: wrong models differ, a correct one agrees at the documented rate."""

import dataclasses

import loop_generator
import numpy as np
import pytest

import synfab as sf
from synfab import learn
from synfab.learn.comparison import devices, properties, sample, yardstick
from synfab.learn.comparison.data import Data
from synfab.learn.comparison.lags import BANDS, correlations
from synfab.model.history import History
from synfab.model.population import Population
from synfab.report.verdict import left_out, rare_sentences

DEVICES, CYCLES = 48, 200


def cycled(model, count=DEVICES, cycles=CYCLES, seed=101):
    """Features (device, cycle, 4) of cells of a model."""
    cells, rows = sf.CellArray(model, count, seed=seed), []
    for _ in range(cycles):
        rows.append(np.stack([cells.features[name] for name in sf.FEATURES], axis=1))
        cells.apply_voltage(-2.5).apply_voltage(2.0)
    return np.stack(rows, axis=1).astype(np.float64)


def table(values, **options):
    count, cycles, _ = values.shape
    return learn.FeatureTable.build(
        np.repeat(np.arange(count), cycles), np.tile(np.arange(cycles), count),
        values.reshape(-1, 4), **options,
    )  # fmt: skip


def changed(model, *, histories=None, marginals=None, population=None, provenance=None):
    return sf.CellModel(
        "changed",
        model.marginals if marginals is None else marginals,
        model.histories if histories is None else histories,
        model.population if population is None else population,
        model.conduction,
        provenance,
    )


def levels(found):
    return {
        (r.key, r.feature): v.level for r, v in zip(found.results, found.verdicts(), strict=True)
    }


@pytest.fixture(scope="module")
def measured(published):
    return table(cycled(published))


# ---- wrong models differ ------------------------------------------------------------------------


def test_a_doubled_spread_differs(published, measured):
    """Sigma of R_LRS is doubled in every device: the spread differs, its memory does not."""
    known = published.population
    means, factors = known.means.copy(), known.factors.copy()
    means[:, 6] *= 2.0
    factors[:, 6] *= 2.0
    wrong = changed(published, population=Population(known.weights, means, factors))
    level = levels(learn.compare(wrong, measured))
    assert level["within_spread", "r_lrs"] == "far"
    assert level["within_spread", "r_hrs"] in ("good", "near")
    assert level["memory", "r_lrs"] in ("good", "near")


def test_a_model_without_memory_differs(published, measured):
    spread = np.diag(np.sqrt(np.diag(published.history().autocovariance(0)[0])))
    forgetful = changed(published, histories={1: History(spread, np.zeros((1, 4, 4)))})
    level = levels(learn.compare(forgetful, measured))
    assert level["memory", "r_lrs"] == "far"
    assert level["memory", "u_reset"] == "far"
    assert level["distribution", "r_lrs"] in ("good", "near", "open")


def test_shifted_tails_differ_though_the_distribution_hardly_moves(published):
    """Two of a hundred cycles of every device have 6 sigma less R_LRS: .12 sigma in all."""
    values = cycled(published, 64, 400)
    rare = np.random.default_rng(1).random(values.shape[:2]) < 0.02
    spread = values[:, :, 2].std(axis=1, keepdims=True)
    values[:, :, 2] -= np.where(rare, 6.0 * spread, 0.0)
    found = learn.compare(published, table(values))
    level = levels(found)
    assert level["quantile_1", "r_lrs"] == "far"
    assert level["jumps", "r_lrs"] == "far"
    # "Agrees" never stands beside a quantile that is off by more than two yardsticks.
    assert level["distribution", "r_lrs"] != "good"
    assert any("jumps of r_lrs" in text for text in rare_sentences(found))


def test_resistances_below_zero_differ(published, measured):
    known = published.population
    means = known.means.copy()
    means[:, 6] *= 12.0
    wrong = changed(published, population=Population(known.weights, means, known.factors))
    found = learn.compare(wrong, measured)
    assert levels(found)["impossible", ""] == "far"
    assert found.result("impossible").generated > 0.001
    assert found.result("impossible").measured == 0.0


def test_wear_in_and_death_are_seen(published):
    """The first cycles begin 3 sigma higher; three of eight devices end with a short."""
    values = cycled(published)
    spread = values[:, :, 3].std(axis=1, keepdims=True)
    values[:, :, 3] += 3.0 * spread * np.exp(-np.arange(CYCLES) / 10.0)
    values[:18, 150:, 0] = 1.02 * values[:18, 150:, 2]
    found = learn.compare(published, table(values))
    level = levels(found)
    assert level["first_cycles", "u_reset"] == "far"
    assert level["first_cycles", "r_lrs"] in ("good", "near")
    assert level["deaths", ""] == "far"
    assert level["closed_window", ""] == "far"
    assert found.result("deaths").measured == 0.375
    assert level["failed_reset", ""] == "far"
    assert found.rare_measured["failed RESET"]["returns"] == 0.0


def test_slow_wander_is_seen_at_long_lags(published):
    values = cycled(published, 48, 600)
    wave = np.sin(2.0 * np.pi * (np.arange(600) / 300.0 + np.arange(48)[:, None] / 48.0))
    values[:, :, 2] += 0.8 * values[:, :, 2].std(axis=1, keepdims=True) * wave
    level = levels(learn.compare(published, table(values)))
    assert level["long_memory", "r_lrs"] == "far"
    assert level["long_memory", "r_hrs"] in ("good", "near")


def test_a_wrong_sign_of_a_correlation_differs(published):
    values = cycled(published)
    z = np.random.default_rng(1).standard_normal(values.shape[:2])
    middle = values.mean(axis=1, keepdims=True)
    values[:, :, 3] = middle[:, :, 3] + 0.03 * z
    values[:, :, 2] = middle[:, :, 2] * (1.0 - 0.03 * z)
    found = learn.compare(published, table(values))
    assert levels(found)["same_cycle", "u_reset"] == "far"


def test_one_wild_cell_does_not_hide_a_wrong_correlation(published):
    """The levels of all features are coupled to R_LRS; one device is far from the others."""
    values = cycled(published, 96, 40)
    middle = values.mean(axis=1, keepdims=True)
    factor = middle[:, :, 2] / middle[:, :, 2].mean()
    wrong = values.copy()
    wrong[:, :, 0] *= factor**6
    wrong[:, :, 1] *= factor**3
    wrong[:, :, 3] *= factor**3
    wild = wrong.copy()
    wild[0, :, 2] *= 30.0
    wild[0, :, 0] *= 1000.0
    results = [
        learn.compare(published, table(v)).result("device_correlations") for v in (wrong, wild)
    ]
    for result in results:
        assert result.ratio > 2.0
        assert result.yardstick < 0.5
    assert results[1].yardstick == pytest.approx(results[0].yardstick, rel=0.2)


# ---- a correct model agrees ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_correct_model_agrees_at_the_documented_rate(published):
    """In 24 samples of 24 devices: about 94 of 100 properties agree, 1 at most differs."""
    counts = dict.fromkeys(("good", "near", "far", "open"), 0)
    for seed in range(24):
        found = learn.compare(published, table(cycled(published, 24, 120, 1000 + seed)), seed=seed)
        for verdict in found.verdicts():
            counts[verdict.level] += 1
    judged = counts["good"] + counts["near"] + counts["far"]
    assert 0.91 <= counts["good"] / judged <= 0.98
    assert counts["far"] / judged <= 0.01


@pytest.mark.slow
def test_a_deviation_of_the_stated_size_is_called_different(published):
    """The mean of U_SET is shifted by what the comparison says it detects: in 8 of 10 samples."""
    found = 0
    for seed in range(20):
        values = cycled(published, 24, 60, 2000 + seed)
        before = learn.compare(published, table(values), seed=seed)
        result = before.result("distribution", "u_set")
        scale = np.std(values[:, :, 1])
        side = np.sign(values[:, :, 1].mean() - before.generated.pooled()[:, 1].mean())
        values[:, :, 1] += side * (result.detects + 0.05) * scale
        found += (
            levels(learn.compare(published, table(values), seed=seed))["distribution", "u_set"]
            == "far"
        )
    assert found >= 16


# ---- what is scored, and what is not ------------------------------------------------------------


def test_values_that_the_user_typed_are_not_scored(published):
    frame = table(cycled(published, 12, 60)).to_pandas().drop(columns=["u_set", "u_reset"])
    typed = learn.read_features(frame, u_set=-1.0, u_reset=(1.0, 0.05))
    found = learn.compare(published, typed)
    assert {r.feature for r in found.results if r.feature} == {"r_hrs", "r_lrs"}
    assert set(found.not_scored) == {"u_set", "u_reset"}
    assert any("U_RESET was not scored" in text for text in left_out(found))
    correlation = found.result("device_correlations")
    other = learn.read_features(frame, u_set=-1.0, u_reset=(5.0, 3.0))
    # What was typed does not change the results of what was measured.
    again = learn.compare(published, other).result("device_correlations")
    assert (again.distance, again.yardstick) == (correlation.distance, correlation.yardstick)


def test_a_feature_without_variation_is_not_scored(published):
    values = cycled(published, 12, 60)
    values[:, :, 1] = -0.7
    found = learn.compare(published, table(values))
    assert found.not_scored == {"u_set": "does not vary"}
    assert "u_set" not in {r.feature for r in found.results}


def test_given_curves_are_not_scored():
    made = loop_generator.made_loops(cycles=40)
    sweeps = learn.sweeps_from_arrays(made.voltage, made.current)
    features = learn.extract_features(sweeps)
    model = learn.fit(features, sweeps).model
    given = changed(model, provenance={"conduction": "given"})
    assert {r.key for r in learn.compare(model, features, sweeps).results} >= {
        "loops_set", "loops_reset",
    }  # fmt: skip
    found = learn.compare(given, features, sweeps)
    assert "loops" in found.not_scored
    assert "loops_set" not in {r.key for r in found.results}


def test_the_headline_counts_what_was_left_out(published):
    values = cycled(published, 12, 60)
    values[0, 2:] = np.nan  # a device with too few cycles
    values[1, :7, 2] = np.nan
    found = learn.compare(published, table(values, rejected={"no SET": 9}))
    assert (found.short_devices, found.incomplete_cycles) == (1, 7)
    text = " ".join(left_out(found))
    assert "1 of 12 devices were left out: fewer than" in text
    assert "7 cycles were left out: a feature is missing" in text
    assert "no SET 9" in text


def test_a_tail_needs_cycles_and_devices(published):
    """Ten cycles beyond the quantile, of five devices in effect."""
    few = learn.compare(published, table(cycled(published, 16, 60)))  # 960 cycles
    assert np.isnan(few.result("quantile_1", "r_lrs").yardstick)
    values = cycled(published, 48, 60)
    values[0, :, 2] *= 3.0  # one device makes the tail
    one = learn.compare(published, table(values))
    assert np.isnan(one.result("quantile_99", "r_lrs").yardstick)
    assert np.isfinite(one.result("quantile_99", "r_hrs").yardstick)


# ---- estimators ---------------------------------------------------------------------------------


def test_no_correlation_exceeds_one():
    """Records with gaps and outliers at their ends, where sums over pairs exceed the variance."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        cycles = np.sort(generator.choice(40, 12, replace=False))
        y = generator.standard_normal((12, 4)) ** 3
        y[-2:] += 30.0
        found = correlations(Data([(cycles, y)]))
        assert np.nanmax(np.abs(found)) <= 1.0 + 1e-12


def test_bands_of_lags_are_correlations_of_all_their_pairs():
    generator = np.random.default_rng(2)
    keep = np.sort(generator.choice(900, 700, replace=False))
    x = np.cumsum(generator.standard_normal((900, 4)), axis=0)[keep]
    found = correlations(Data([(keep, x)]))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    apart = keep[:, None] - keep[None, :]
    for band in (0, 7, 23, 27):
        first, last = BANDS[band]
        now, earlier = np.nonzero((apart >= first) & (apart <= last))
        a, b = z[now], z[earlier]
        expected = a.T @ b / np.sqrt(np.outer((a**2).sum(axis=0), (b**2).sum(axis=0)))
        np.testing.assert_allclose(found[band], expected, atol=1e-9)


def test_halves_are_scaled_to_whole_samples():
    """Means of normal numbers: the yardstick is 1.96 standard errors of the difference."""
    generator = np.random.default_rng(3)
    frame = sample.Frame(np.ones(4), np.zeros((4, 2)), np.ones(4, bool))
    entry = dataclasses.replace(
        properties.PROPERTIES[0], key="mean", name="Mean of {}",
        measure=lambda s: s.each(devices.mean).mean(axis=0), distance=properties.difference,
        value=properties.itself,
    )  # fmt: skip
    yardsticks = []
    for seed in range(40):
        y = generator.standard_normal((50, 1, 4))
        units = sample.Units([(np.zeros(1, int), row) for row in y], frame)
        made = [sample.Units([(np.zeros(1, int), row) for row in y], frame)]
        splits = yardstick.Splits.of(units, seed, 5, of_devices=True)
        yardsticks += [r.yardstick for r in yardstick.results(entry, splits, units, made)]
    expected = 1.96 * np.sqrt((1.0 + 1.0 / 5.0) / 50.0)
    assert np.mean(yardsticks) == pytest.approx(expected, rel=0.08)


def test_a_property_of_ones_own_is_scored(published, measured):
    """Registered from outside, under a new key; registering the key again replaces it."""
    known = list(properties.PROPERTIES)
    try:
        for name in ("Sixteenth", "Median of the devices"):
            learn.register_property(
                learn.Property(
                    "median", name, "standard deviations",
                    lambda s: np.median(s.each(devices.mean), axis=0)[2],
                    properties.difference, properties.itself, per_feature=False,
                )
            )  # fmt: skip
        found = learn.compare(published, measured)
        assert found.result("median").name == "Median of the devices"
        assert found.result("median").yardstick > 0.0
    finally:
        properties.PROPERTIES[:] = known
    with pytest.raises(sf.InvalidValueError, match="key: median was not scored"):
        learn.compare(published, measured).result("median")


def test_the_summary_holds_every_result(published, measured):
    found = learn.compare(published, measured)
    text = found.summary()
    assert len(text["properties"]) == len(found.results)
    first = text["properties"][0]
    assert first["property"] == "distribution"
    assert first["feature"] == "r_hrs"
    assert first["ratio"] == pytest.approx(first["distance"] / first["yardstick"])
    assert "agree" in found.headline()
