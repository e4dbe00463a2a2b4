"""Every engine gives the same cells of a model with scales, wear-in, failure and averages."""

import numpy as np
import pytest
from optional_models import model_with_every_part

import synfab as sf

FEATURES = ("r_hrs", "u_set", "r_lrs", "u_reset")
WITHOUT = ({}, {"failure": None}, {"wear_in": None}, {"wear_in": None, "failure": None})


def lives(model, engine, order, *, n=600, first_cell=2**40 + 3, pulses=45):
    """Return features and states of cells after each pulse of a program with masks."""
    cells = sf.CellArray(model, n, seed=5, engine=engine, order=order, first_cell=first_cell)
    rng = np.random.default_rng(1)
    found = []
    for k in range(pulses):
        u = -2.9 if k % 3 == 0 else rng.uniform(0.5 if k % 3 == 1 else -3.0, 1.6, n)
        cells.apply_voltage(u, where=rng.random(n) < 0.3 if k % 5 == 4 else None)
        features = cells.features
        found.append([*(features[name] for name in FEATURES), cells.r])
    return cells, np.array(found)


@pytest.mark.parametrize("without", WITHOUT, ids=lambda w: "-".join(w) or "whole")
@pytest.mark.parametrize("order", [1, 10])
def test_the_kernels_follow_the_rules(without, order):
    model = model_with_every_part(**without)
    rules, expected = lives(model, "array", order)
    kernels, found = lives(model, "numba", order)
    np.testing.assert_array_equal(kernels.cycle, rules.cycle)
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=3e-5)
    np.testing.assert_allclose(found[:, 1:4], expected[:, 1:4], rtol=1e-5)
    np.testing.assert_allclose(found[:, 4], expected[:, 4], atol=1e-5)
    assert kernels.cycle.max() > 9


@pytest.mark.parametrize("engine", ["array", "numba"])
def test_a_slice_is_part_of_the_whole(engine):
    model = model_with_every_part()
    whole = sf.CellArray(model, 1000, seed=9, engine=engine, first_cell=100)
    part = sf.CellArray(model, 300, seed=9, engine=engine, first_cell=500)
    for u in (-2.9, 1.6, -2.9, 1.2, -2.9, 1.6) * 4:
        whole.apply_voltage(u)
        part.apply_voltage(u)
    for name in FEATURES:
        np.testing.assert_array_equal(part.features[name], whole.features[name][400:700])


def test_no_feature_leaves_its_range():
    model = model_with_every_part(failure=None)
    cells = sf.CellArray(model, 200_000, seed=1)
    for _ in range(3):
        for f, name in enumerate(FEATURES):
            values = cells.features[name]
            assert values.min() >= np.float32(model.scales[f].low)
            assert values.max() <= np.float32(model.scales[f].high)
        cells.apply_voltage(-3.1)
        cells.apply_voltage(1.7)


def test_failed_cells_stay_in_their_state():
    model = model_with_every_part(wear_in=None)
    cells = sf.CellArray(model, 20_000, seed=2, order=1)
    alive = []
    for n in range(100):
        alive.append(np.mean(cells.cycle == n))
        cells.apply_voltage(-3.1)
        cells.apply_voltage(1.7)
    # A cell that fails in cycle n reaches n, but not n + 1.
    expected = model.failure.survival(np.arange(-1, 99))
    np.testing.assert_allclose(alive, expected, atol=4 * 0.5 / np.sqrt(20_000))
    cells.apply_voltage(-3.1)
    features = cells.features
    in_hrs, in_lrs = features["u_set"] == -np.inf, features["u_reset"] == np.inf
    dead = in_hrs | in_lrs
    assert abs(in_hrs.sum() / dead.sum() - 0.3) < 4 * 0.5 / np.sqrt(dead.sum())
    cells.apply_voltage(1.7)
    assert cells.in_lrs[in_lrs].all()
    assert not cells.in_lrs[in_hrs].any()
    before = cells.r
    cells.set_conductance(1e-4)
    np.testing.assert_array_equal(cells.r[dead], before[dead])
    assert np.mean(cells.r[~dead] != before[~dead]) > 0.9  # a few failed in the last pulse


def test_compact_cells_refuse_what_they_cannot_hold():
    with pytest.raises(sf.InvalidValueError, match="wear-in or failure"):
        sf.CellArray(model_with_every_part(), 10, seed=1, history="compact")


def autocorrelation(record, lag):
    y = record - record.mean(axis=0)
    return (y[lag:] * y[:-lag]).sum() / (y**2).sum()


def test_compact_cells_have_the_scales_and_the_long_memory():
    model = model_with_every_part(wear_in=None, failure=None)
    found = {}
    for history in ("float32", "compact"):
        cells = sf.CellArray(model, 4000, seed=4, history=history)
        rows = []
        for _ in range(60):
            features = cells.features
            rows.append([features[name] for name in FEATURES])
            cells.apply_voltage(-3.1)
            cells.apply_voltage(1.7)
        found[history] = np.array(rows)
    for f in range(4):
        whole, small = (record[:, f] for record in found.values())
        levels = (0.1, 0.5, 0.9)
        np.testing.assert_allclose(
            np.quantile(small, levels), np.quantile(whole, levels), rtol=0.05
        )
        for lag in (1, 10, 40):
            assert abs(autocorrelation(whole, lag) - autocorrelation(small, lag)) < 0.05
