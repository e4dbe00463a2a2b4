"""The last cycle of a cell is number 2**30 - 1 on every engine; none begins a later one."""

import numpy as np
import pytest

import synfab as sf
from synfab.cells.state import get_state, with_state
from synfab.engines.numba import layout
from synfab.physics import rules
from synfab.random.arrays import to_numpy

ENGINES = [
    ("numba", "float32", "numpy"), ("numba", "compact", "numpy"),
    ("array", "float32", "numpy"), ("array", "float32", "torch"), ("array", "float32", "jax"),
    ("warp", "float32", "numpy"), ("warp", "float32", "torch"), ("warp", "float32", "jax"),
]  # fmt: skip
LAST = rules.MAX_CYCLE


def at_cycle(cells, number):
    """Put every cell into a cycle, as a file could."""
    arrays = {k: np.array(to_numpy(a)) for k, a in cells.engine_instance.storage().items()}
    if "status" in arrays:
        flags = arrays["status"] & np.uint32(layout.FLAGS)
        arrays["status"] = flags | np.uint32(number << layout.CYCLE_BITS)
    else:
        arrays["cycle"][:] = number
    cells.engine_instance.restore(arrays)
    cells.cycle_bound = number


def state(cells):
    return [np.array(to_numpy(array)) for array in cells.engine_instance.storage().values()]


@pytest.mark.parametrize(("engine", "history", "arrays"), ENGINES)
def test_the_pulse_that_would_go_beyond_is_refused_and_changes_nothing(
    published, tmp_path, engine, history, arrays
):
    if arrays != "numpy":
        pytest.importorskip(arrays)
    if engine == "warp":
        pytest.importorskip("warp")
    options = {"engine": engine, "history": history, "arrays": arrays}
    cells = sf.CellArray(published, 40, seed=3, order=2, **options)
    at_cycle(cells, LAST - 1)
    cells.save(tmp_path / "cells")
    cells = sf.CellArray.load(tmp_path / "cells")
    cells.apply_voltage(-5.0).apply_voltage(1.6)
    assert (to_numpy(cells.cycle) == LAST).all()
    cells.apply_voltage(-5.0)
    before = state(cells)
    for where in (None, np.arange(40) == 7):
        with pytest.raises(sf.InvalidValueError, match="last cycle, number 1073741823"):
            cells.apply_voltage(1.6, where=where)
    cells.apply_voltage(-5.0).apply_voltage(-0.1)  # what begins no cycle is allowed
    for old, new in zip(before, state(cells), strict=True):
        assert np.array_equal(old, new)
    assert (to_numpy(cells.renew().cycle) == 0).all()
    cells.apply_voltage(-5.0).apply_voltage(1.6)


def test_cells_apart_from_the_last_cycle_still_switch(published):
    cells = sf.CellArray(published, 40, seed=3).apply_voltage(-5.0)
    at_cycle(cells, LAST)
    with pytest.raises(sf.InvalidValueError, match="cell 7 "):
        cells.apply_voltage([0.0] * 7 + [1.6] * 33)
    cells.apply_voltage(0.0)
    assert cells.in_lrs.all()


def test_a_file_beyond_the_last_cycle_is_refused(published, tmp_path):
    cells = sf.CellArray(published, 40, seed=3, engine="array")
    cells.engine_instance.state.cycle[5] = LAST + 1
    cells.save(tmp_path / "cells")
    with pytest.raises(sf.FileFormatError, match="cycle: expected 0 … 1073741823"):
        sf.CellArray.load(tmp_path / "cells")


def test_no_state_is_moved_beyond_the_last_cycle(published):
    cells = sf.CellArray(published, 2, seed=3)
    beyond = {**get_state(cells), "cycle": np.array([0, LAST + 1])}
    with pytest.raises(sf.InvalidValueError, match="cycle: expected no number above 1073741823"):
        with_state(cells, beyond)


def test_a_chip_beyond_the_last_cycle_is_not_a_number(published):
    jax = pytest.importorskip("jax")
    from synfab.jax import chip

    made = chip.fabricate(published, 4, seed=3, order=2)
    near = jax.numpy.asarray(np.array([0, LAST - 1, LAST, LAST], np.uint32))
    made = made._replace(cells=made.cells._replace(cycle=near))
    pulse = jax.jit(lambda made, u: chip.apply_voltage(published, made, u))
    for u, lost in ((-5.0, 0), (1.6, 2), (-5.0, 2), (1.6, 3), (-5.0, 3), (1.6, 3)):
        made = pulse(made, u)
        assert np.isnan(np.asarray(made.cells.r)).tolist() == [False] * (4 - lost) + [True] * lost


def test_status_words_hold_exactly_the_cycles_there_are():
    assert (LAST << layout.CYCLE_BITS) | layout.FLAGS == 2**32 - 1
