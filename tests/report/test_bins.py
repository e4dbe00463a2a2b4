"""Bins of histograms."""

import loop_generator
import numpy as np
import pytest

from synfab import learn
from synfab.report.bins import bin_edges, voltage_step

STEP = 0.05


def quantised(offset, spread=0.2):
    """Normal voltages as a sweep of steps of 50 mV finds them."""
    values = np.random.default_rng(1).normal(-0.7, spread, 4000)
    return STEP * np.round((values - offset) / STEP) + offset


@pytest.mark.parametrize("offset", [0.0, 0.025, 0.04])
def test_each_bin_holds_the_same_number_of_steps(offset):
    edges = bin_edges(quantised(offset), STEP)
    steps = np.diff(edges) / STEP
    np.testing.assert_allclose(steps, np.round(steps[0]), rtol=1e-9)
    assert steps[0] >= 0.99
    # The possible values lie within the bins, half a step away from their edges.
    place = (edges - offset) / STEP % 1.0
    np.testing.assert_allclose(place, 0.5, atol=1e-6)


def test_a_histogram_of_quantised_voltages_has_no_false_peaks():
    values = quantised(0.025)
    counts, _ = np.histogram(values, bin_edges(values, STEP))
    rising = np.sign(np.diff(counts[counts > 20]))
    assert (np.diff(rising) != 0).sum() == 1  # one maximum
    counts, _ = np.histogram(values, np.linspace(values.min(), values.max(), 61))
    assert (counts == 0).sum() > 20  # what other bins show


def test_a_fine_sweep_gets_bins_of_several_steps():
    values = np.random.default_rng(1).normal(-0.7, 0.2, 4000)
    edges = bin_edges(values, 0.001)
    assert 12 <= len(edges) - 1 <= 61
    width = np.diff(edges)[0] / 0.001
    assert width == pytest.approx(round(width))
    assert round(width) > 1


@pytest.mark.parametrize("step", [None, STEP, 10.0])
def test_all_but_a_thousandth_of_the_values_are_in_a_bin(step):
    values = quantised(0.0)
    edges = bin_edges(values, step)
    assert ((values < edges[0]) | (values > edges[-1])).mean() <= 0.001
    assert (np.diff(edges) > 0.0).all()


@pytest.mark.parametrize("value", [0.0, -0.7, 5e3])
def test_equal_values_have_bins(value):
    edges = bin_edges(np.full(100, value), None)
    assert edges[0] < value < edges[-1]


def test_the_step_is_that_between_points_of_a_sweep():
    made = loop_generator.made_loops(cycles=3)
    sweeps = learn.sweeps_from_arrays(made.voltage, made.current)
    expected = np.median(np.abs(np.diff(made.voltage.ravel())))
    assert voltage_step(sweeps) == pytest.approx(float(expected))
    assert voltage_step(None) is None
