"""Export and import of the switching state as plain arrays, for use with other simulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.types import Array
from synfab.physics import rules
from synfab.random.arrays import to_numpy

IN_HRS, IN_LRS, BETWEEN = 0, 1, 2  # phases of a cell: completely RESET, SET, partially RESET
NAMES = ("r", "threshold", "steepness", "phase", "cycle")
# V, beyond every switching voltage; the features of a cycle depend on the history only.
FULL_SET, FULL_RESET = -100.0, 100.0


def get_state(cells: CellArray[Any]) -> dict[str, Array]:
    """Return the state of every cell, as arrays of the array's shape.

    Returns
    -------
    dict
        ``r``; ``threshold``, V; ``steepness`` of the transition curve, A/V**eta; ``phase`` (0 in
        HRS, 1 in LRS, 2 partially RESET); ``cycle``. The history follows from the cycle number.
    """
    with lock_of(cells):
        state, cycle = _taken(cells), to_numpy(cells.cycle)
    phase = np.where(state.in_hrs, IN_HRS, np.where(state.in_lrs, IN_LRS, BETWEEN))
    values = (state.r, state.threshold, state.steepness, phase, cycle)
    return {
        name: np.array(value).reshape(cells.shape)
        for name, value in zip(NAMES, values, strict=True)
    }


def with_state(cells: CellArray[Any], state: Mapping[str, Array]) -> CellArray[Any]:
    """Return a copy of an array with its cells in another state, as from ``get_state``.

    Cycle numbers must not be below the array's own; the cycles in between are drawn. A cell that
    fails before its cycle number keeps the number of the cycle in which it fails.

    Raises
    ------
    InvalidValueError
        An entry has a wrong shape, or a cycle number is below the array's own or above the limit.
    """
    given = {name: checks.real_array(name, state.get(name)) for name in NAMES}
    for name, array in given.items():
        if array.shape != cells.shape or not np.isfinite(array).all():
            raise InvalidValueError(
                f"{name}: expected finite numbers of shape {cells.shape}, found {array.shape}"
            )
    if given["cycle"].max() > rules.MAX_CYCLE:
        raise InvalidValueError(f"cycle: expected no number above {rules.MAX_CYCLE}")
    target = given["cycle"].astype(np.int64)
    result = cells.copy()
    if (target < to_numpy(result.cycle)).any():
        raise InvalidValueError("cycle: expected no number before the array's own")
    cycle = to_numpy(result.cycle)
    while (behind := cycle < target).any():
        result.apply_voltage(FULL_SET, where=behind)
        result.apply_voltage(FULL_RESET, where=behind)
        before, cycle = cycle, to_numpy(result.cycle)
        target = np.where(behind & (cycle == before), cycle, target)
    everything = np.arange(cells.size)
    there = _taken(result)
    flat = {name: given[name].reshape(-1) for name in NAMES}
    phase = flat["phase"]
    resting = phase == IN_HRS  # has no threshold
    engine = result.engine_instance
    values = there._replace(
        r=flat["r"].astype(np.float32),
        threshold=np.where(resting, there.threshold, flat["threshold"]).astype(np.float32),
        steepness=np.where(resting, there.steepness, flat["steepness"]).astype(np.float32),
        in_hrs=phase == IN_HRS,
        in_lrs=phase == IN_LRS,
    )
    engine.put(everything, rules.SwitchingState(*map(engine.library.asarray, values)))
    if result.traps is not None:
        result.traps.switched()
    return result


def _taken(cells: CellArray[Any]) -> rules.SwitchingState:
    """Return the switching state of all cells as NumPy arrays."""
    return rules.SwitchingState(*map(to_numpy, cells.engine_instance.take()))
