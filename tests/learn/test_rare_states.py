"""Rare states: failed SET and RESET, levels, jumps; noise and steps within loops."""

import importlib

import loop_generator
import numpy as np
import pytest

from synfab import learn

rare = importlib.import_module("synfab.learn.rare_states")


def device(cycles=1000, seed=0):
    """Features (T, 4) of a quiet device, in SI units."""
    z = np.random.default_rng(seed).standard_normal((cycles, 4))
    return np.stack(
        [1e5 * np.exp(0.2 * z[:, 0]), -0.7 + 0.05 * z[:, 1], 5e3 * np.exp(0.03 * z[:, 2]),
         0.9 + 0.04 * z[:, 3]], axis=1,
    )  # fmt: skip


def table(*devices):
    return learn.FeatureTable.build(
        np.repeat(np.arange(len(devices)), [len(d) for d in devices]),
        np.concatenate([np.arange(len(d)) for d in devices]),
        np.concatenate(devices),
    )


def test_failed_sets_are_counted_with_their_persistence():
    """Runs of 3 cycles that stay in the HRS; the last run does not end."""
    first, second = device(), device(seed=1)
    for start in (100, 300, 997):
        first[start : start + 3, 2] = 0.9 * first[start : start + 3, 0]
    found = learn.rare_states(table(first, second))
    assert found["failed SET"] == {
        "share": 9 / 2000, "run_cycles": 3.0, "returns": pytest.approx(2 / 3), "devices": 0.5,
    }  # fmt: skip
    assert found["failed RESET"]["share"] == 0.0
    assert np.isnan(found["failed RESET"]["run_cycles"])


def test_failed_resets_are_not_failed_sets():
    values = device()
    values[500:505, 0] = 1.1 * values[500:505, 2]
    found = learn.rare_states(table(values))
    assert found["failed RESET"]["share"] == 5 / 1000
    assert found["failed SET"]["share"] == 0.0


def test_jumps_are_counted():
    values = device()
    values[[10, 11, 400], 3] += 0.5
    found = learn.rare_states(table(values))["jumps of u_reset"]
    assert found["share"] == 3 / 1000
    assert found["run_cycles"] == 1.5
    assert found["returns"] == 1.0


def test_two_levels_are_found_with_the_time_spent_in_each():
    values = device(2000)
    low = (np.arange(2000) // 20) % 5 == 0  # 20 of 100 cycles
    values[low, 2] *= 0.7
    found = learn.rare_states(table(values))["second level of r_lrs"]
    assert found["share"] == pytest.approx(0.2, abs=0.002)
    assert found["run_cycles"] == pytest.approx(20.0, rel=0.02)


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: g.standard_normal(3000),
        lambda g: g.uniform(size=3000),
        lambda g: g.exponential(size=3000),
        lambda g: g.standard_t(3, 3000),
        lambda g: g.lognormal(sigma=0.8, size=3000),
        lambda g: np.rint(1.2 * g.standard_normal(3000)),  # a coarse instrument
        lambda g: np.rint(0.5 * g.standard_normal(3000)),
        lambda g: np.zeros(3000),
    ],
)
def test_one_level_is_not_two(draw):
    for seed in range(20):
        assert not rare.second_level(draw(np.random.default_rng(seed))).any()


def test_noise_within_loops_is_measured():
    made = loop_generator.made_loops(cycles=20, noise=2e-7, relative_noise=0.0)
    found = learn.loop_noise(learn.sweeps_from_arrays(made.voltage, made.current))
    assert found["loops"] == 20
    assert found["noise_A"] == pytest.approx(2e-7, rel=0.15)
    assert found["steps_per_loop"] < 0.1


def test_steps_within_loops_are_counted():
    """A fluctuation of the LRS by 5 % in the middle of the way back of every SET."""
    made = loop_generator.made_loops(cycles=20, noise=2e-7, relative_noise=0.0)
    current = made.current.copy()
    low = int(np.argmin(made.voltage[0] if made.voltage.ndim > 1 else made.voltage))
    current[:, low + 30 : low + 40] *= 0.95
    found = learn.loop_noise(learn.sweeps_from_arrays(made.voltage, current))
    assert found["steps_per_loop"] == pytest.approx(2.0, abs=0.1)
