"""Programming to target conductances by write and verify.

Every cell is led by its own small controller; the controllers of all cells work side by side. A
verification reads the cell itself (with read noise), so wires act on the pulses only, as with a
sense path that is calibrated for its lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import SchemeName
from synfab.crossbar.circuit import Circuit
from synfab.crossbar.edge import Pulse
from synfab.crossbar.pulses import power, write_bias
from synfab.io.checkpoints import Checkpoints, as_checkpoints
from synfab.model.population import N_PARAMETERS
from synfab.network.access import Transistor
from synfab.network.schemes import SCHEMES
from synfab.programming.controller import Controllers, Outcome
from synfab.programming.course import Course
from synfab.random.arrays import digest, to_numpy

Array = npt.NDArray[Any]

# Columns pulsed together in a scheme that puts part of the strongest voltage on every cell must
# not be weaker than this part of it, or their unselected cells would see more than their share.
ALIKE = 0.6
SET_STEPS = 5
# Default distance from the target that is good enough, in units of the LLRS conductance.
TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Programming:
    """What programming has achieved; arrays (rows, columns) unless said otherwise.

    Attributes
    ----------
    targets, achieved
        S, static conductance at U_0; NaN where there is no target, and no noise.
    outcome
        ``Outcome`` of each cell.
    pulses
        SET and RESET pulses meant for each cell.
    energy
        J in each cell and its access device, those pulses included that were meant for others.
    outliers
        Devices that the rarest kind of the technology explains best.
    pending, error
        (passes + 1,) cells to be pulsed next, and the median distance of all cells from their
        targets (S), as each verification found them.
    """

    targets: Array
    achieved: Array
    outcome: Array
    pulses: Array
    energy: Array
    outliers: Array
    pending: Array
    error: Array

    @property
    def errors(self) -> Array:
        """Achieved minus target, S."""
        return np.asarray(self.achieved - self.targets)

    @property
    def unreachable(self) -> Array:
        """Cells that have a target and have not reached it."""
        return np.asarray((self.outcome != Outcome.REACHED) & (self.outcome != Outcome.LEFT_ALONE))


def program(
    bar: Circuit,
    targets: npt.ArrayLike,
    tolerance: float | None,
    scheme: SchemeName | None,
    parallel: int | None,
    retries: int,
    most_passes: int,
    duration: float,
    report: Callable[[int, int], None] | None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None,
) -> Programming:
    """Write and verify until every cell is where it should be; see ``Crossbar.program``."""
    wanted = check_targets(bar, targets)
    conduction = bar.cells.model.conduction
    within = check_tolerance(tolerance, conduction.g_llrs)
    retries = checks.integer("retries", retries, 0)
    most_passes = checks.integer("most_passes", most_passes, 0)
    fire = RowPulses(bar, pick_scheme(bar, scheme), duration, parallel)
    controllers = Controllers(bar.cells.model, wanted, within, retries)
    if bar.stuck is not None:
        controllers.give_up(~np.isnan(bar.stuck), Outcome.DEFECT)

    def pulse(voltage: Array) -> None:
        for row in np.flatnonzero(np.isfinite(voltage).any(axis=1)):
            fire(int(row), voltage[row])

    course = Course(bar.cells, controllers, fire.energy)
    if checkpoints is None:
        g = course.go(pulse, most_passes, report)
    else:
        settings = {
            **_settings(bar), "targets": digest(wanted), "tolerance": within,
            "scheme": fire.scheme, "parallel": fire.parallel, "retries": retries,
            "most_passes": most_passes, "duration": fire.duration,
        }  # fmt: skip
        with as_checkpoints(checkpoints).open(settings) as run:
            if run.state is not None:
                course.restore(run.state)
            g = course.go(pulse, most_passes, report, run)
    return Programming(
        targets=wanted,
        achieved=np.where(np.isfinite(wanted), static_conductance(bar.cells), np.nan),
        outcome=controllers.outcomes(g),
        pulses=controllers.pulses,
        energy=fire.energy,
        outliers=outliers(bar.cells),
        pending=np.array(course.pending),
        error=np.array(course.error),
    )


def _settings(bar: Circuit) -> dict[str, Any]:
    """What a crossbar is, beside its cells: how a checkpoint tells it from another."""
    wires = None if bar.wires is None else digest(*vars(bar.wires).values())
    stuck = None if bar.stuck is None else digest(bar.stuck)
    return {"job": "program", "wires": wires, "access": repr(bar.access), "stuck": stuck}


def check_targets(bar: Circuit, targets: npt.ArrayLike) -> Array:
    """Return targets (rows, columns) in S, float64; NaN: no target."""
    array = checks.real_array("targets", targets)
    try:
        wanted = np.array(np.broadcast_to(array, bar.shape), np.float64)
    except ValueError:
        raise InvalidValueError(
            f"targets: shape {array.shape} does not broadcast to {bar.shape}"
        ) from None
    if np.isinf(wanted).any() or (wanted <= 0.0).any():
        raise InvalidValueError("targets: expected S above 0, or NaN for no target")
    return wanted


def check_tolerance(tolerance: float | None, g_llrs: float) -> float:
    """Return the distance from a target that is good enough, S; None: the default."""
    return TOLERANCE * g_llrs if tolerance is None else checks.positive("tolerance", tolerance)


def pick_scheme(bar: Circuit, scheme: SchemeName | None) -> SchemeName:
    """Return the scheme given; None: what disturbs least."""
    if scheme is not None:
        return checks.choice("scheme", scheme, SCHEMES)
    return "ground" if keeps_rows_apart(bar) else "V/3"


def keeps_rows_apart(bar: Circuit) -> bool:
    """Whether transistors cut unselected rows off, so that pulses see one row only."""
    return isinstance(bar.access, Transistor) and bar.access.gates == "rows"


def static_conductance(cells: CellArray) -> Array:
    """S of every cell at U_0, without noise."""
    conduction = cells.model.conduction
    return np.asarray(conduction.current(to_numpy(cells.r), conduction.u_0) / conduction.u_0)


def outliers(cells: CellArray) -> Array:
    """Devices that the rarest component of the technology's mixture explains best."""
    population = cells.model.population
    if len(population.weights) == 1:
        return np.zeros(cells.shape, np.bool_)
    kind = population.component(to_numpy(cells.device_parameters).reshape(-1, N_PARAMETERS))
    return np.asarray(kind == int(np.argmin(population.weights))).reshape(cells.shape)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Show how many cells are where they should be; yields what ``program`` reports to."""
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("programming", total=None)

        def report(passes: int, pending: int) -> None:
            if bar.tasks[0].total is None:
                bar.update(task, total=pending)
            total = bar.tasks[0].total or 0
            bar.update(
                task, completed=total - pending, description=f"pass {passes}, {pending} cells left"
            )

        yield report


class RowPulses:
    """Pulses on the cells of one row, in parallel as far as the scheme allows.

    ``energy`` adds up what each cell has taken, J, (rows, columns).
    """

    def __init__(
        self, bar: Circuit, scheme: SchemeName, duration: float, parallel: int | None = None
    ) -> None:
        self.bar, self.scheme = bar, scheme
        self.duration = checks.number("duration", duration, minimum=0.0)
        self.parallel = bar.shape[1] if parallel is None else checks.count("parallel", parallel)
        self.energy = np.zeros(bar.shape)

    def __call__(self, row: int, voltage: Array) -> None:
        """Pulse the cells of ``row`` with ``voltage`` (columns,), V; NaN: none of this cell."""
        for mask in self._together(voltage):
            rows = np.zeros(self.bar.shape[0], np.bool_)
            rows[row] = True
            pulse = Pulse(self.bar, write_bias(self.bar, rows, mask, voltage[mask], self.scheme))
            pulse.climb(SET_STEPS)
            taken = power(pulse.solve(1.0)) * self.duration
            self.energy[slice(None) if pulse.index is None else pulse.index] += taken

    def _together(self, voltage: Array) -> Iterator[Array]:
        """Masks of the columns that are pulsed at the same time: of one sign, alike in size."""
        alike = 0.0 if keeps_rows_apart(self.bar) else ALIKE
        with np.errstate(invalid="ignore"):
            for sign in (-1.0, 1.0):
                left = sign * voltage > 0.0
                while left.any():
                    size = np.where(left, np.abs(voltage), 0.0)
                    mask = left & (size >= alike * size.max())
                    mask &= np.cumsum(mask) <= self.parallel
                    yield mask
                    left &= ~mask
