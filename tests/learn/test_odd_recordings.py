"""Loops as instruments record them: half loops, spikes, sloped limits, magnitudes, reads."""

import loop_generator
import numpy as np
import pandas as pd
import pytest

from synfab import learn


@pytest.fixture(scope="module")
def made():
    return loop_generator.made_loops(cycles=20, limit=1e-4, noise=5e-9)


def as_measured(found, true, volts=0.025, lrs=0.01, hrs=0.05):
    """Every loop has features, which are the true ones."""
    assert len(found) == len(true)
    error = np.abs(found.values - true)
    assert error[:, [1, 3]].max() <= volts
    assert (error[:, 2] / true[:, 2]).max() <= lrs
    assert np.median(error[:, 0] / true[:, 0]) <= hrs


def extracted(voltage, current):
    return learn.extract_features(learn.sweeps_from_arrays(voltage, current))


def test_half_loops_with_cycle_numbers_of_their_own_are_joined(made):
    points = made.voltage.shape[1]
    zero = loop_generator.starts_of(made.voltage[0])[2]
    cycle = np.repeat(2 * np.arange(20), points) + np.tile(np.arange(points) >= zero, 20)
    frame = pd.DataFrame(
        {"cycle": cycle, "voltage": made.voltage.ravel(), "current": made.current.ravel()}
    )
    as_measured(learn.extract_features(learn.read_sweeps(frame)), made.true)


def test_reads_between_loops_are_ignored(made):
    rest = np.array([0.0] * 30 + [0.1] * 5 + [0.0] * 5)
    voltage = np.hstack([made.voltage, np.tile(rest, (20, 1))])
    current = np.hstack([made.current, np.tile(1e-6 * rest, (20, 1))])
    frame = pd.DataFrame({"voltage": voltage.ravel(), "current": current.ravel()})
    as_measured(learn.extract_features(learn.read_sweeps(frame)), made.true)


def test_an_overshoot_of_the_limit_is_not_the_limit(made):
    current = made.current.copy()
    jump = (np.diff(current, axis=1) < -5e-5).argmax(axis=1) + 1
    current[np.arange(20), jump] *= 2.5
    found = extracted(made.voltage, current)
    as_measured(found, made.true)
    assert found.notes["compliance_A"] == pytest.approx(1e-4, rel=0.02)


def test_a_limit_can_rise_a_little_with_the_voltage(made):
    limited = made.current < -9.5e-5
    sloped = made.current * np.where(limited, 1 + 0.02 * (np.abs(made.voltage) - 1), 1)
    as_measured(extracted(made.voltage, sloped), made.true)


@pytest.mark.parametrize("sign", [1, -1])
def test_magnitudes_of_limited_currents_get_their_sign(made, sign):
    as_measured(extracted(sign * made.voltage, np.abs(made.current)), made.true)


def test_a_measured_voltage_has_noise(made):
    noise = 1e-3 * np.random.default_rng(1).normal(size=made.voltage.shape)
    as_measured(extracted(made.voltage + noise, made.current), made.true, lrs=0.03, hrs=0.1)


def test_coarse_sweeps_are_right_within_a_step():
    coarse = loop_generator.made_loops(cycles=20, step=0.1, limit=1e-4)
    as_measured(extracted(coarse.voltage, coarse.current), coarse.true, volts=0.1)


def test_the_limit_can_differ_from_loop_to_loop():
    """The LRS of each loop goes with its limit, from 500 ohm to 4 kohm."""
    parts = [
        loop_generator.made_loops(cycles=1, limit=limit, r_lrs=0.2 / limit, seed=seed)
        for seed, limit in enumerate([5e-5, 1e-4, 2e-4, 4e-4] * 5)
    ]
    voltage, current, true = (np.concatenate(x) for x in zip(*parts, strict=True))
    as_measured(extracted(voltage, current), true, hrs=0.15)


def test_a_failed_set_costs_one_loop(made):
    current = made.current.copy()
    current[3] = made.voltage[3] / 1e6
    found = extracted(made.voltage, current)
    assert found.rejected == {"no SET": 1}
    assert found.cycle.tolist() == [k for k in range(20) if k != 3]
