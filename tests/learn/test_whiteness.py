"""Innovations of a history: white for the true one, correlated for one that lacks memory."""

import numpy as np
import pytest
from generated_records import generated
from optional_models import with_averages

from synfab.learn.whiteness import first_white, innovations, whiteness
from synfab.model.history import History


@pytest.mark.parametrize("averages", [False, True])
def test_the_innovations_of_the_true_history_are_white(published, averages):
    history = with_averages(published.history(3)) if averages else published.history(10)
    found = whiteness(generated(history, 30, 300), history)
    assert found.white
    assert found.largest < found.bound < 0.05


def test_innovations_are_the_normal_numbers_that_made_the_record(published):
    history = with_averages(published.history(3))
    rng = np.random.default_rng(2)
    draws = rng.standard_normal((2000, 4))
    state, x = np.zeros(4 * history.slots), np.empty((2000, 4))
    for n, eps in enumerate(draws):
        state = history.companion @ state + history.excitation @ eps
        x[n] = state[:4]
    # What the averages were before the record is forgotten after many cycles.
    np.testing.assert_allclose(innovations(history, x)[-100:], draws[-100:], atol=1e-6)


def test_memory_that_a_history_lacks_is_seen(published):
    series = generated(published.history(10), 30, 300)
    assert not whiteness(series, published.history(1)).white


def test_weak_memory_at_every_lag_is_seen_though_no_single_one_is_large(published):
    """A slow level of 5 % of the variance: each autocorrelation is below 4 standard errors."""
    rng = np.random.default_rng(4)
    level, cycles = rng.standard_normal((20, 4)), 200
    x = np.empty((20, cycles, 4))
    for n in range(cycles):
        level = 0.97 * level + np.sqrt(1.0 - 0.97**2) * rng.standard_normal((20, 4))
        x[:, n] = np.sqrt(0.05) * level + np.sqrt(0.95) * rng.standard_normal((20, 4))
    series = [(np.arange(cycles), one - one.mean(axis=0)) for one in x]
    found = whiteness(series, History(np.eye(4), 0.01 * np.eye(4)[None]))
    assert found.largest < found.bound
    assert found.mean_square > found.mean_square_bound
    assert not found.white


def test_pairs_across_gaps_do_not_count():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((400, 4))
    x[1::2] = x[::2]  # equal neighbours, but never of consecutive cycles
    cycles = np.arange(400) * 2
    white = History(np.eye(4), 1e-6 * np.eye(4)[None])
    assert whiteness([(cycles, x)], white).largest == 0.0


def test_the_first_white_order_by_the_criterion_is_chosen(published):
    series = generated(published.history(3), 30, 300)
    seen = {p: whiteness(series, published.history(p)) for p in (1, 2, 3)}
    assert first_white({1: 0.0, 2: 1.0, 3: 2.0}, seen.__getitem__)[0] == 3


def test_without_a_white_order_the_closest_is_chosen(published):
    series = generated(published.history(10), 30, 300)
    checked = {p: whiteness(series, published.history(p)) for p in (1, 3)}
    order, found = first_white({3: 1.0, 1: 0.0}, checked.__getitem__)
    assert order == min(checked, key=lambda p: checked[p].excess)
    assert not any(one.white for one in found.values())
