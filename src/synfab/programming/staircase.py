"""Open-loop programming: no cell is read, and the devices' differences stay in the errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.types import SchemeName
from synfab.crossbar.programming import (
    TOLERANCE,
    Programming,
    RowPulses,
    check_targets,
    outliers,
    pick_scheme,
    static_conductance,
)
from synfab.model.cell_model import CellModel
from synfab.network.access import Transistor
from synfab.programming.controller import RESET_FIRST, RESET_LAST, SET_FIRST, Outcome

if TYPE_CHECKING:
    from synfab.crossbar.circuit import Circuit

Array = npt.NDArray[Any]

# V: a finer staircase would take hours, and no cell tells the difference.
MIN_STEP = 1e-6
# Voltages at which the typical device's transition is tabulated.
POINTS = 2001


def typical_voltage(model: CellModel, g: Array, series: float = 0.0) -> Array:
    """Voltage (V) whose partial RESET leaves the typical device at conductance ``g`` (S).

    ``series`` is what stands in series with it, ohm.

    The typical device has the means of the commonest component, in its median cycle: its transition
    I_t(U) = a (U_max - U)**eta + c (Hennen et al. 2022) over U and the state found there.
    """
    conduction = model.conduction
    log_r_hrs, _, r_lrs, u_reset = model.population.means[int(np.argmax(model.population.weights))][
        :4
    ]
    span = conduction.g_llrs - conduction.g_hhrs
    r_low, r_high = (conduction.g_llrs - 1.0 / np.array([r_lrs, 10.0**log_r_hrs])) / span
    floor = conduction.current(r_high, conduction.u_max)
    u = np.linspace(u_reset, conduction.u_max, POINTS)
    part = (conduction.u_max - u) / (conduction.u_max - u_reset)
    falling = floor + (conduction.current(r_low, u_reset) - floor) * part**conduction.eta
    llrs, hhrs = conduction.current(0.0, u), conduction.current(1.0, u)
    states = np.maximum.accumulate((llrs - falling) / (llrs - hhrs))
    reached = conduction.g_llrs - states * span
    return np.asarray(np.interp(-g, -reached, u + series * falling))


def stairs(model: CellModel, targets: Array, step: float, series: float = 0.0) -> Iterator[Array]:
    """Voltages of the pulses one after the other, V, NaN: none for this cell.

    A full RESET, a SET, and RESETs that rise by ``step`` (V) to the typical device's voltage;
    ``targets`` in S, NaN: none.
    """
    step = checks.number("step", step, minimum=MIN_STEP)
    u_max = model.conduction.u_max
    _, u_set, _, u_reset = model.population.means[int(np.argmax(model.population.weights))][:4]
    last = typical_voltage(model, targets, series)
    has_target = np.isfinite(targets)
    for level in (RESET_LAST * u_max, SET_FIRST * u_set):
        yield np.where(has_target, level, np.nan)
    for level in np.arange(RESET_FIRST * u_reset, u_max, step):
        yield np.where(has_target & (level < last), level, np.nan)
    yield np.where(has_target, last, np.nan)


def staircase(
    bar: Circuit,
    targets: npt.ArrayLike,
    scheme: SchemeName | None,
    parallel: int | None,
    step: float,
    duration: float,
) -> Programming:
    """Full RESET, SET, and RESET by rising pulses; see ``Crossbar.program_open_loop``."""
    wanted = check_targets(bar, targets)
    has_target = np.isfinite(wanted)
    fire = RowPulses(bar, pick_scheme(bar, scheme), duration, parallel)
    model = bar.cells.model
    series = bar.access.on_resistance if isinstance(bar.access, Transistor) else 0.0
    pulses = np.zeros(bar.shape, np.int64)
    for voltage in stairs(model, wanted, step, series):
        pulses += np.isfinite(voltage)
        for row in np.flatnonzero(np.isfinite(voltage).any(axis=1)):
            fire(int(row), voltage[row])
    achieved = np.where(has_target, static_conductance(bar.cells), np.nan)
    with np.errstate(invalid="ignore"):
        reached = np.abs(achieved - wanted) <= TOLERANCE * model.conduction.g_llrs
    outcome = np.where(reached, Outcome.REACHED, Outcome.MISSED)
    if bar.stuck is not None:
        outcome[~np.isnan(bar.stuck)] = Outcome.DEFECT
    outcome = np.where(has_target, outcome, Outcome.LEFT_ALONE).astype(np.int8)
    nothing = np.array([])
    return Programming(
        wanted, achieved, outcome, pulses, fire.energy, outliers(bar.cells), nothing, nothing
    )
