"""Programming cells one by one, each with the whole voltage of its pulse.

That is what a select transistor of small resistance and a write path calibrated for its wires give.
Pulses through the wires themselves are ``Crossbar.program``'s and ``Crossbar.write``'s subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidTypeError
from synfab.crossbar.programming import (
    TOLERANCE,
    Programming,
    outliers,
    static_conductance,
)
from synfab.programming.controller import RESET_LAST, Controllers, Outcome
from synfab.programming.course import Course
from synfab.programming.staircase import MIN_STEP, stairs
from synfab.random.arrays import to_numpy

Array = npt.NDArray[Any]

DURATION = 1e-7
# Options of each way to program cells.
OPTIONS: dict[str, tuple[str, ...]] = {
    "ideal": (),
    "write-verify": ("tolerance", "retries", "most_passes", "duration"),
    "open-loop": ("step", "duration"),
}


def check_options(method: Any, options: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the options of a way to program cells, before any cell has changed.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        There is no such method, or it has no such option or value.
    """
    known = OPTIONS[checks.choice("method", method, OPTIONS)]
    for name in options:
        if not isinstance(name, str) or name not in known:
            raise InvalidTypeError(
                f"{name if isinstance(name, str) else checks.shown(name)}: no option of "
                f'"{method}"; expected {", ".join(known) or "none"}'
            )
    return {name: _checked(name, value) for name, value in options.items()}


def _checked(name: str, value: Any) -> Any:
    if name in ("retries", "most_passes"):
        return checks.integer(name, value, 0)
    if name == "tolerance":
        return None if value is None else checks.positive(name, value)
    return checks.number(name, value, minimum=MIN_STEP if name == "step" else 0.0)


class Pulses:
    """Counts pulses and energy while pulsing cells; NaN: none for this cell.

    Attributes
    ----------
    count
        Pulses of each cell.
    energy
        J in each cell: what it draws at the pulse's voltage after switching, for ``duration`` (s).
    """

    def __init__(self, cells: CellArray, duration: float = DURATION) -> None:
        self.cells, self.duration = cells, duration
        self.count = np.zeros(cells.shape, np.int64)
        self.energy = np.zeros(cells.shape)

    def __call__(self, voltage: Array) -> None:
        """Pulse the cells; ``voltage`` (V) has their shape."""
        given = np.isfinite(voltage)
        self.cells.apply_voltage(voltage, where=given)
        u = np.where(given, voltage, 0.0)
        self.energy += np.abs(to_numpy(self.cells.current(u)) * u) * self.duration
        self.count += given


def write_verify(
    cells: CellArray,
    targets: Array,
    *,
    tolerance: float | None = None,
    retries: int = 10,
    most_passes: int = 300,
    duration: float = DURATION,
) -> tuple[Programming, Controllers]:
    """Write and verify all cells side by side; arguments and result as ``Crossbar.program``.

    Every cell that has a target is completely RESET first, whatever it held before.
    """
    within = TOLERANCE * cells.model.conduction.g_llrs if tolerance is None else tolerance
    pulse = Pulses(cells, duration)
    controllers = Controllers(cells.model, targets, within, retries)
    pulse(np.where(np.isfinite(targets), RESET_LAST * cells.model.conduction.u_max, np.nan))
    course = Course(cells, controllers, pulse.energy)
    outcome = controllers.outcomes(course.go(pulse, most_passes))
    found = (np.array(course.pending), np.array(course.error))
    return _result(cells, targets, outcome, pulse, found), controllers


def open_loop(
    cells: CellArray, targets: Array, *, step: float = 0.05, duration: float = DURATION
) -> Programming:
    """Pulse without reading; arguments and result as ``Crossbar.program_open_loop``."""
    pulse = Pulses(cells, duration)
    for voltage in stairs(cells.model, targets, step):
        pulse(voltage)
    return _result(cells, targets, _near(cells, targets), pulse)


def ideal(cells: CellArray, targets: Array) -> Programming:
    """Put every cell on its target without a pulse."""
    cells.set_conductance(targets)
    return _result(cells, targets, _near(cells, targets), Pulses(cells))


def _near(cells: CellArray, targets: Array) -> Array:
    within = TOLERANCE * cells.model.conduction.g_llrs
    reached = np.abs(static_conductance(cells) - targets) <= within
    return np.where(reached, Outcome.REACHED, Outcome.MISSED).astype(np.int8)


def _result(
    cells: CellArray,
    targets: Array,
    outcome: Array,
    pulse: Pulses,
    course: tuple[Array, Array] | None = None,
) -> Programming:
    nothing = np.array([])
    pending, error = course or (nothing, nothing)
    achieved = np.where(np.isfinite(targets), static_conductance(cells), np.nan)
    return Programming(
        targets, achieved, outcome, pulse.count, pulse.energy, outliers(cells), pending, error
    )
