"""Cells pulsed directly and through wires are programmed by the same loop."""

import numpy as np
import pytest

import synfab as sf
from synfab.crossbar import Transistor
from synfab.crossbar.programming import RowPulser
from synfab.programming.open_loop import open_loop
from synfab.programming.pulser import DirectPulser, measured_conductance
from synfab.programming.result import Outcome
from synfab.programming.write_verify import WriteVerify, write_verify

SHAPE = (5, 6)


def cells_of(seed=3, shape=SHAPE, **options):
    return sf.CellArray("published", shape, seed=seed, **options)


def targets(shape=SHAPE):
    return np.random.default_rng(0).uniform(20e-6, 180e-6, shape)


def direct(**options):
    return DirectPulser(cells_of(**options))


def wired(**options):
    """Ideal wires and switches: every cell of the selected row gets the whole voltage."""
    return RowPulser(sf.Crossbar(cells_of(**options), 0.0, access=Transistor(0.0)).circuit)


@pytest.mark.parametrize("before", [(), (-2.0,), (-2.0, 0.9)], ids=["fresh", "SET", "partly RESET"])
@pytest.mark.parametrize("method", [write_verify, open_loop], ids=lambda method: method.__name__)
def test_ideal_wires_program_as_direct_pulses_do(method, before):
    ours, theirs = direct(), wired()
    for u in before:
        ours.cells.apply_voltage(u)
        theirs.cells.apply_voltage(u)
    found, expected = method(ours, targets()), method(theirs, targets())
    for name in ("pulses", "outcome", "pending", "outliers"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    np.testing.assert_allclose(found.achieved, expected.achieved, rtol=1e-5)
    np.testing.assert_array_equal(ours.cells.cycle, theirs.cells.cycle)


@pytest.mark.parametrize(
    "options",
    [{"history": "compact"}, {"engine": "array"}, {"shape": (4,)}, {"shape": (2, 2, 3)}],
    ids=str,
)
def test_direct_cells_of_every_kind_come_to_their_targets(options):
    pulser = direct(**options)
    wanted = targets(pulser.cells.shape)
    found = write_verify(pulser, wanted)
    assert (found.outcome == Outcome.REACHED).mean() > 0.9
    assert found.pulses.shape == found.energy.shape == wanted.shape


@pytest.mark.parametrize("make", [direct, wired])
def test_a_cell_at_its_target_is_not_pulsed(make):
    """No cell is RESET before it was read."""
    pulser = make()
    pulser.cells.set_conductance(targets())
    found = write_verify(pulser, targets())
    assert (found.outcome == Outcome.REACHED).all()
    assert found.pulses.sum() == 0
    assert found.energy.sum() == 0.0


@pytest.mark.parametrize("make", [direct, wired])
def test_a_cell_that_is_set_is_programmed_within_its_next_cycle(make):
    pulser = make()
    pulser.cells.apply_voltage(-2.0)
    found = write_verify(pulser, 1e-4, tolerance=5e-6)
    first_attempt = found.pulses <= np.median(found.pulses)
    assert (pulser.cells.cycle[first_attempt] == 1).all()


def test_energy_is_that_of_all_pulses_of_a_pulser():
    pulser = direct()
    first = write_verify(pulser, 1e-4)
    second = write_verify(pulser, 5e-5)
    assert (second.energy > first.energy).any()
    assert (second.energy >= first.energy).all()


@pytest.mark.parametrize("make", [direct, wired])
def test_erased_cells_do_not_stay_where_they_were_placed(make):
    placed = make()
    placed.cells.set_conductance(targets())
    found = WriteVerify(placed, targets()).erase().run()
    assert (found.outcome == Outcome.REACHED).mean() > 0.9
    # A RESET, a SET and the staircase; a cell whose HRS is its target needs the RESET alone.
    assert (found.pulses >= 1).all()
    assert np.median(found.pulses) > 5


@pytest.mark.parametrize("make", [direct, wired])
def test_erasing_spares_cells_without_a_target(make):
    pulser, wanted = make(), targets()
    pulser.cells.apply_voltage(-2.0)
    wanted[1, 2] = np.nan
    found = WriteVerify(pulser, wanted, max_passes=0).erase().run()
    assert found.pulses[1, 2] == 0
    assert pulser.cells.in_lrs[1, 2]
    assert pulser.cells.in_hrs.sum() == wanted.size - 1


def test_a_measured_conductance_has_read_noise():
    cells = cells_of().apply_voltage(-2.0)
    first, second = measured_conductance(cells), measured_conductance(cells)
    assert (first != second).any()
    np.testing.assert_allclose(first, cells.conductance(), rtol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": np.inf}, "targets: expected S above 0"),
        ({"tolerance": 0.0}, "tolerance: expected above 0"),
        ({"retries": -1}, "retries: expected an integer"),
        ({"max_passes": 1.5}, "max_passes: expected an integer"),
        ({"progress": 1}, "progress: expected"),
    ],
)
def test_bad_arguments_change_no_cell(arguments, message):
    pulser = direct()
    before = pulser.cells.r
    with pytest.raises(sf.SynfabError, match=message):
        write_verify(pulser, **{"targets": 1e-4, **arguments})
    np.testing.assert_array_equal(pulser.cells.r, before)
