"""Open-loop programming: cells are not read, so errors include device-to-device variation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synfab.common import checks
from synfab.common.types import Array, ArrayLike
from synfab.model.cell_model import CellModel
from synfab.model.typical import typical_device, typical_voltage
from synfab.programming.controller import RESET_FIRST, RESET_LAST, SET_FIRST
from synfab.programming.pulser import Pulser
from synfab.programming.result import Programming, check_targets, unverified

# Default step of the staircase, V.
STEP = 0.05
# V; a smaller step would take hours without changing the final states.
MIN_STEP = 1e-6


def stairs(model: CellModel, targets: Array, step: float, series: float = 0.0) -> Iterator[Array]:
    """Yield the voltages of each pulse in turn, V; NaN: no pulse for this cell.

    The sequence is a full RESET, a SET, and RESETs that rise by ``step`` (V) to the voltage of the
    typical device. ``targets`` in S, NaN: no target; ``series``: series resistance, ohm.
    """
    step = checks.number("step", step, minimum=MIN_STEP)
    u_max, device = model.conduction.u_max, typical_device(model)
    last = typical_voltage(model, targets, series)
    has_target = np.isfinite(targets)
    for level in (RESET_LAST * u_max, SET_FIRST * device.u_set):
        yield np.where(has_target, level, np.nan)
    for level in np.arange(RESET_FIRST * device.u_reset, u_max, step):
        yield np.where(has_target & (level < last), level, np.nan)
    yield np.where(has_target, last, np.nan)


def open_loop(pulser: Pulser, targets: ArrayLike, *, step: float = STEP) -> Programming:
    """Program every cell by the staircase of the typical device and return the result.

    Parameters
    ----------
    pulser
        Pulser of the cells.
    targets
        Target conductances, S, broadcast to the cells' shape; NaN: do not program the cell.
    step
        Step of the staircase, V; the last pulse is at each cell's final voltage.
    """
    cells = pulser.cells
    wanted = check_targets(cells.shape, targets)
    pulses = np.zeros(cells.shape, np.int64)
    for voltage in stairs(cells.model, wanted, step, pulser.series_resistance):
        pulses += np.isfinite(voltage)
        pulser.apply_voltage(voltage)
    return unverified(cells, wanted, pulses, pulser.energy.copy(), pulser.defects)
