"""Statements about devices, on the readable reference."""

import array_api_strict
import numpy as np
import pytest

from synfab.model.cell_model import FEATURES
from synfab.physics import drawing, rules

N = 2000


def lab(model, xp=np, seed=11, order=10):
    number = xp.asarray(np.arange(N, dtype=np.uint32))
    devices = drawing.fabricate(model, seed, (number, number * 0))
    return devices, rules.fresh_state(model, order, devices)


def volts(value, xp=np):
    return xp.asarray(np.full(N, value, np.float32))


@pytest.fixture
def fresh(published):
    return lab(published)


@pytest.fixture
def lrs(published, fresh):
    return fresh[0], rules.apply_voltage(published, *fresh, volts(-2.0))


def all_with(devices, **features):
    """The same devices, but each has these features in every cycle (r_hrs as log10)."""
    parameters = devices.parameters.copy()
    for name, value in features.items():
        k = FEATURES.index(name)
        parameters[k], parameters[4 + k] = value, 0.0
    return devices._replace(parameters=parameters)


def pulsed(model, devices, *levels):
    state = rules.fresh_state(model, 10, devices)
    for u in levels:
        state = rules.apply_voltage(model, devices, state, volts(u))
    return state


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_fresh_cell_ignores_a_positive_voltage(published, fresh):
    for u in (0.5, 1.0, 1.5, 5.0):
        assert same(rules.apply_voltage(published, *fresh, volts(u)), fresh[1])


def test_set_happens_at_the_threshold_itself(published, fresh):
    devices, state = fresh
    u_set = drawing.cycle_features(published, devices, state.block, state.cycle).u_set
    assert rules.apply_voltage(published, devices, state, u_set).in_lrs.all()
    above = np.nextafter(u_set, np.float32(1.0))
    assert not rules.apply_voltage(published, devices, state, above).in_lrs.any()


def test_a_set_cell_has_the_resistance_of_its_lrs(published, lrs):
    devices, state = lrs
    r_lrs = drawing.cycle_features(published, devices, state.block, state.cycle).r_lrs
    current = rules.current(published, state.r, volts(0.2))
    np.testing.assert_allclose(0.2 / current, r_lrs, rtol=2e-6)


def test_reset_needs_more_than_its_threshold(published, lrs):
    devices, state = lrs
    assert same(rules.apply_voltage(published, devices, state, state.threshold), state)
    beyond = np.nextafter(state.threshold, np.float32(2.0))
    after = rules.apply_voltage(published, devices, state, beyond)
    assert (after.cycle == 1).all()
    assert not after.in_lrs.any()


def test_reset_begins_where_the_lrs_curve_ends(published, lrs):
    devices, state = lrs
    beyond = np.nextafter(state.threshold, np.float32(2.0))
    after = rules.apply_voltage(published, devices, state, beyond)
    before = rules.current(published, state.r, state.threshold)
    np.testing.assert_allclose(rules.current(published, after.r, beyond), before, atol=2e-10)


def test_a_full_reset_gives_the_hrs_of_the_new_cycle(published, lrs):
    devices, state = lrs
    after = rules.apply_voltage(published, devices, state, volts(1.46))
    assert after.in_hrs.all()
    r_hrs = drawing.cycle_features(published, devices, after.block, after.cycle).r_hrs
    np.testing.assert_allclose(after.r, rules.hrs_state(published, r_hrs), rtol=1e-6)


def test_a_staircase_and_one_step_end_alike(published, lrs):
    devices, state = lrs
    once = rules.apply_voltage(published, devices, state, volts(1.2))
    stairs = state
    for u in (0.9, 1.0, 1.1, 1.2):
        stairs = rules.apply_voltage(published, devices, stairs, volts(u))
    started = once.cycle == stairs.cycle
    np.testing.assert_allclose(stairs.r[started], once.r[started], atol=2e-5)


def test_reset_is_monotone_and_stays_passive(published, lrs):
    devices, state = lrs
    u = np.linspace(-1.5, 1.46, 120, dtype=np.float32)
    for step in np.linspace(0.3, 1.6, 40, dtype=np.float32):
        after = rules.apply_voltage(published, devices, state, volts(step))
        assert (after.r >= state.r - 1e-6).all()
        state = after
    power = rules.current(published, state.r[:, None], np.broadcast_to(u, (N, 120))) * u
    assert (power >= 0.0).all()


def test_the_first_pulse_between_the_thresholds_gives_numbers(published, lrs):
    devices, state = lrs
    after = rules.apply_voltage(published, devices, state, volts(1.0))
    assert np.isfinite(after.r).all()
    assert np.isfinite(after.steepness).all()


def test_the_rules_need_nothing_but_the_array_standard(published):
    xp = array_api_strict
    ours, theirs = lab(published), lab(published, xp)
    for u in (-2.0, 1.0, 1.2, -0.7, 0.8, 1.5, -2.0, 1.5):
        ours = (ours[0], rules.apply_voltage(published, *ours, volts(u)))
        theirs = (theirs[0], rules.apply_voltage(published, *theirs, volts(u, xp)))
    np.testing.assert_allclose(np.asarray(theirs[1].r), ours[1].r, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(theirs[1].cycle), ours[1].cycle)


def test_an_ideally_programmed_cell_resists_until_its_threshold(published, fresh):
    devices, state = fresh
    wanted = volts(0.5)
    features = drawing.cycle_features(published, devices, state.block, state.cycle)
    state = rules.program(published, features, state, wanted)
    between = ~state.in_lrs & ~state.in_hrs
    assert between.mean() > 0.95
    calm = rules.apply_voltage(published, devices, state, state.threshold)
    np.testing.assert_array_equal(calm.r, state.r)
    pushed = rules.apply_voltage(published, devices, state, state.threshold + np.float32(0.02))
    grown = (pushed.r - state.r)[between & (state.threshold < 1.4)]
    assert (grown > 0.0).all()
    assert np.median(grown) < 0.1
    assert (pushed.cycle[between] == 0).all()


def test_a_cell_programmed_to_its_lrs_or_hrs_is_in_it(published, fresh):
    devices, state = fresh
    features = drawing.cycle_features(published, devices, state.block, state.cycle)
    lrs = rules.program(published, features, state, rules.lrs_state(published, features.r_lrs))
    hrs = rules.program(published, features, state, rules.hrs_state(published, features.r_hrs))
    assert lrs.in_lrs.all()
    assert hrs.in_hrs.all()


def test_a_cell_that_resets_beyond_u_max_is_programmed_with_u_max_as_threshold(published, fresh):
    devices = all_with(fresh[0], u_reset=1.6)
    features = drawing.cycle_features(published, devices, fresh[1].block, fresh[1].cycle)
    state = rules.program(published, features, fresh[1], volts(0.5))
    assert (state.threshold[~state.in_lrs & ~state.in_hrs] == np.float32(1.46)).all()
    assert np.isfinite(state.steepness).all()


def test_a_voltage_that_sets_does_not_reset(published, fresh):
    """Not even a device whose u_set lies above U_max is left in both states."""
    devices = all_with(fresh[0], u_set=1.7, u_reset=0.5)
    state = pulsed(published, devices, 1.6, 1.0, 1.6)
    assert state.in_lrs.all()
    assert not state.in_hrs.any()


def test_a_partial_reset_never_lowers_the_resistance(published, fresh):
    """Not even in a device whose HRS conducts better than its LRS."""
    devices = all_with(fresh[0], r_hrs=3.5, r_lrs=2e4)
    before, after = (pulsed(published, devices, -2.0, *more) for more in ([], [1.1]))
    assert (after.threshold == np.float32(1.1)).mean() > 0.9
    assert (after.r >= before.r).all()


def test_a_reset_from_a_negative_voltage_on_leaves_passive_states(published, fresh):
    devices = all_with(fresh[0], u_reset=-0.1)
    state = pulsed(published, devices, -2.0, 0.05)
    assert not (state.in_lrs | state.in_hrs).any()
    assert (state.r <= rules.highest_state(published)).all()
