"""Programming through the wires, and weights as conductances."""

import os

import numpy as np
import pytest

import synfab as sf
from synfab.crossbar import Outcome, bit_slices, differential_pairs, offset_line, programming
from synfab.crossbar.pulses import write_bias
from synfab.model.typical import typical_voltage
from synfab.programming.open_loop import stairs

G_MIN, G_MAX = 20e-6, 180e-6


def bar_of(rows, columns, wire=2.5, seed=5, **options):
    options = {"access": sf.crossbar.Transistor(1e3), **options}
    return sf.Crossbar(sf.CellArray("published", (rows, columns), seed=seed), wire, **options)


def random_targets(shape, seed=0):
    return np.random.default_rng(seed).uniform(G_MIN, G_MAX, shape)


@pytest.mark.parametrize(
    ("access", "scheme"),
    [
        (sf.crossbar.Transistor(1e3), None),
        (sf.crossbar.Transistor(1e3, gates="columns"), None),
        (None, "V/3"),
    ],
)
def test_cells_come_to_their_targets(access, scheme):
    bar = bar_of(16, 16, access=access)
    targets = random_targets((16, 16))
    found = bar.program(targets, scheme=scheme, parallel=8)
    reached = found.outcome == Outcome.REACHED
    assert reached.mean() >= 0.98
    assert (np.abs(found.errors[reached]) <= 0.05 * (G_MAX - G_MIN)).all()
    np.testing.assert_allclose(found.achieved, bar.cells.conductance(), rtol=1e-4)
    assert (found.pulses > 0).mean() > 0.95
    assert (found.energy[found.pulses > 0] > 0.0).all()
    assert found.pending[0] > found.pending[-1]
    assert found.error[-1] < 0.1 * found.error[0]


def test_programming_is_reproducible_by_its_seed():
    first, second, other = (bar_of(6, 6, seed=seed).program(1e-4) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.achieved, second.achieved)
    np.testing.assert_array_equal(first.pulses, second.pulses)
    assert (first.achieved != other.achieved).any()


def test_what_is_out_of_reach_is_reported_cell_by_cell():
    dead = np.zeros((4, 6), bool)
    dead[3, 3] = True
    bar = bar_of(4, 6, open_cells=dead)
    targets = np.full((4, 6), 1e-4)
    targets[0, 0], targets[1, 1], targets[2, 2] = 4e-4, 1e-7, np.nan
    found = bar.program(targets, retries=3)
    assert found.outcome[0, 0] == Outcome.TARGET_ABOVE_LRS
    assert found.outcome[1, 1] == Outcome.TARGET_BELOW_HRS
    assert found.outcome[2, 2] == Outcome.LEFT_ALONE
    assert found.outcome[3, 3] == Outcome.DEFECT
    assert found.pulses[2, 2] == found.pulses[3, 3] == 0
    assert np.isnan(found.achieved[2, 2])
    rest = np.ones((4, 6), bool)
    rest[[0, 1, 2, 3], [0, 1, 2, 3]] = False
    assert (found.outcome[rest] == Outcome.REACHED).all()
    np.testing.assert_array_equal(found.unreachable.sum(), 3)


def test_pulses_that_run_out_are_reported():
    found = bar_of(6, 6).program(random_targets((6, 6)), max_passes=2)
    assert (found.outcome == Outcome.MISSED).sum() > 10
    assert len(found.pending) == 3


def test_outliers_are_the_devices_of_the_rarest_kind():
    bar = bar_of(64, 64)
    found = bar.program(np.nan)
    share = bar.cells.model.population.probabilities.min()
    assert abs(found.outliers.mean() - share) < 4.0 * np.sqrt(share / found.outliers.size)
    assert (found.outcome == Outcome.LEFT_ALONE).all()


def test_the_open_loop_leaves_the_devices_differences():
    targets = random_targets((24, 24))
    open_loop, closed = (bar_of(24, 24, 0.0), bar_of(24, 24, 0.0))
    blind = open_loop.program_open_loop(targets)
    seeing = closed.program(targets)
    centre = np.median(blind.errors)
    assert abs(centre) < 0.15 * (G_MAX - G_MIN)
    assert np.corrcoef(targets.ravel(), blind.achieved.ravel())[0, 1] > 0.7
    assert np.abs(blind.errors).mean() > 5.0 * np.abs(seeing.errors).mean()


@pytest.mark.parametrize(
    ("access", "parallel", "together"),
    [
        (None, None, [[-1.0], [-0.4], [1.2, 1.0], [0.5]]),
        (sf.crossbar.Transistor(1e3, gates="columns"), None, [[-1.0], [-0.4], [1.2, 1.0], [0.5]]),
        (sf.crossbar.Transistor(1e3), None, [[-1.0, -0.4], [1.2, 0.5, 1.0]]),
        (sf.crossbar.Transistor(1e3), 2, [[-1.0, -0.4], [1.2, 0.5], [1.0]]),
        (None, 1, [[-1.0], [-0.4], [1.2], [1.0], [0.5]]),
    ],
)
def test_what_is_pulsed_together(monkeypatch, access, parallel, together):
    """One sign at a time, SETs first; alike in size where every cell sees part of a pulse."""
    fired = []

    def record(bar, rows, columns, voltage, scheme):
        fired.append(list(voltage))
        return write_bias(bar, rows, columns, voltage, scheme)

    monkeypatch.setattr(programming, "write_bias", record)
    pulser = programming.RowPulser(bar_of(2, 6, access=access).circuit, "ground", 1e-7, parallel)
    pulser.pulse_row(1, np.array([1.2, 0.5, 1.0, -1.0, np.nan, -0.4]))
    assert fired == together


def test_the_default_scheme_is_that_which_disturbs_least():
    gated = (sf.crossbar.Transistor(1e3), sf.crossbar.Transistor(1e3, gates="columns"), None)
    picked = [
        programming.pick_scheme(bar_of(2, 2, access=access).circuit, None) for access in gated
    ]
    assert picked == ["ground", "V/3", "V/3"]


def test_the_open_loop_is_a_reset_a_set_and_rising_stairs():
    model = sf.load_model()
    targets = np.array([2e-5, 1e-4, np.nan])
    levels = np.stack(list(stairs(model, targets, 0.05)))
    assert np.isnan(levels[:, 2]).all()
    assert (levels[0, :2] == 1.25 * model.conduction.u_max).all()
    assert (levels[1, :2] == 2.0 * model.population.means[0, 1]).all()
    for k in range(2):
        rising = levels[2:, k][np.isfinite(levels[2:, k])]
        np.testing.assert_allclose(np.diff(rising[:-1]), 0.05)
        assert 0.0 < rising[-1] - rising[-2] <= 0.05
        assert rising[-1] == typical_voltage(model, targets)[k]


def test_the_open_loop_counts_its_pulses_and_knows_what_it_left_alone():
    dead = np.zeros((3, 4), bool)
    dead[2, 3] = True
    targets = np.full((3, 4), 1e-4)
    targets[0, 1] = np.nan
    found = bar_of(3, 4, 0.0, open_cells=dead).program_open_loop(targets)
    assert found.outcome[0, 1] == Outcome.LEFT_ALONE
    assert found.outcome[2, 3] == Outcome.DEFECT
    assert found.pulses[0, 1] == 0
    assert found.energy[0, 1] == 0.0
    assert (np.delete(found.pulses.ravel(), 1) > 10).all()


@pytest.mark.slow
def test_differential_pairs_come_within_five_percent():
    """At least 99 % of the cells within 5 % of the range, or reported; ``make soak``: 256 x 256.

    8192 cells: the standard error of the 99 % is 0.1 %, that of the share of outliers 0.2 %.
    """
    side = int(os.environ.get("SYNFAB_SOAK_SIDE", "64"))
    weights = np.random.default_rng(1).uniform(-1.0, 1.0, (side, side))
    mapping = differential_pairs(weights, G_MIN, G_MAX)
    bar = bar_of(2 * side, side, 0.0)
    found = bar.program(mapping.targets)
    close = np.abs(found.errors) <= 0.05 * (G_MAX - G_MIN)
    assert close.mean() >= 0.99
    assert (close | found.unreachable).mean() >= 0.999
    assert 0.03 < found.outliers.mean() < 0.055
    assert np.abs(mapping.weights(found.achieved) - weights).mean() < 0.03


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (differential_pairs, 1e-12),
        (offset_line, 1e-12),
        (lambda w, low, high: bit_slices(w, low, high, 8, 2), 1.0 / 255.0),
        (lambda w, low, high: bit_slices(w, low, high, 5), 1.0 / 31.0),
    ],
)
def test_mappings_lead_back_to_the_weights(make, tolerance):
    weights = np.random.default_rng(3).uniform(-2.0, 2.0, (5, 7))
    mapping = make(weights, G_MIN, G_MAX)
    assert mapping.targets.min() >= G_MIN * (1 - 1e-12)
    assert mapping.targets.max() <= G_MAX * (1 + 1e-12)
    largest = np.abs(weights).max()
    np.testing.assert_allclose(
        mapping.weights(mapping.targets), weights, atol=tolerance * largest * 0.51 + 1e-12
    )
    v = np.random.default_rng(4).uniform(-0.2, 0.2, (7, 3))
    np.testing.assert_allclose(
        mapping.decode(mapping.targets @ v), mapping.weights(mapping.targets) @ v, atol=1e-12
    )
    np.testing.assert_array_equal(make(np.zeros((2, 2)), G_MIN, G_MAX).combine.shape[0], 2)


def test_a_programmed_crossbar_multiplies():
    weights = np.random.default_rng(5).uniform(-1.0, 1.0, (6, 10))
    mapping = differential_pairs(weights, G_MIN, G_MAX)
    bar = bar_of(12, 10, 0.0, access=sf.crossbar.Transistor(0.0))
    bar.program(mapping.targets)
    v = np.full(10, 0.2)
    out = mapping.decode(bar.read(v))
    np.testing.assert_allclose(out, weights @ v, atol=0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": -1e-4}, "targets: expected S above 0"),
        ({"targets": np.ones(3)}, "targets: shape"),
        ({"targets": "x"}, "targets: expected real numbers, found"),
        ({"tolerance": 0.0}, "tolerance: expected above 0"),
        ({"retries": -1}, "retries: expected an integer"),
        ({"scheme": "V"}, "scheme: expected one of"),
        ({"parallel": 0}, "parallel: expected an integer of at least 1"),
    ],
)
def test_bad_programs_are_one_clear_line(arguments, message):
    with pytest.raises(sf.SynfabError, match=message):
        bar_of(2, 2).program(**{"targets": 1e-4, **arguments})


def test_stairs_that_do_not_rise_are_refused():
    with pytest.raises(sf.InvalidValueError, match="step: expected at least 1e-06"):
        bar_of(2, 2).program_open_loop(1e-4, step=0.0)


def test_bad_weights_are_one_clear_line():
    with pytest.raises(sf.InvalidValueError, match="g_max: expected 0 < g_min < g_max"):
        differential_pairs(np.ones((2, 2)), 1e-4, 1e-5)
    with pytest.raises(sf.InvalidValueError, match="weights: expected finite numbers"):
        offset_line(np.ones(2), 1e-5, 1e-4)
    with pytest.raises(sf.InvalidValueError, match="cell_bits: expected 1"):
        bit_slices(np.ones((2, 2)), 1e-5, 1e-4, 4, 0)
    with pytest.raises(sf.InvalidValueError, match="currents: expected shape"):
        differential_pairs(np.ones((2, 2)), 1e-5, 1e-4).decode(np.zeros(3))


def test_progress_is_shown_on_request_only(capfd):
    bar_of(2, 2).program(1e-4)
    assert capfd.readouterr() == ("", "")
    bar_of(2, 2).program(1e-4, progress=True)
    out, err = capfd.readouterr()
    assert "cells left" in err
    assert out == ""
