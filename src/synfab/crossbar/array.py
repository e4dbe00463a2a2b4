"""Crossbar: a cell array behind real wires."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.arguments import Arguments
from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.deprecation import renamed_arguments
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.crossbar.programming import RowPulser
from synfab.crossbar.pulses import Write, write
from synfab.crossbar.reading import converter, read_rows
from synfab.io.checkpoints import Checkpoints
from synfab.io.memory import require_memory
from synfab.network.access import Selector, Transistor, defects, make_barriers
from synfab.network.bias import Bias, lines, make_bias
from synfab.network.gradients import Gradient, gradient
from synfab.network.network import Cells, Solution
from synfab.network.reduction import distances
from synfab.network.solver import solve_lines
from synfab.network.wires import Wires, make_wires
from synfab.physics.readout import adc as convert_currents
from synfab.physics.readout import dac as convert_voltages
from synfab.programming.open_loop import STEP, open_loop
from synfab.programming.pulser import DURATION
from synfab.programming.result import Programming
from synfab.programming.write_verify import MAX_PASSES, RETRIES, write_verify
from synfab.random.arrays import to_numpy
from synfab.random.backend import NUMPY

Array = npt.NDArray[Any]

# float64 arrays of the solver's size that live at the same time, per input vector at work.
ARRAYS = 20


def network_bytes(shape: tuple[int, int]) -> int:
    """Memory (bytes) that solving a network of (rows, columns) takes beside the cells' own."""
    lengths = checks.axes("shape", shape)
    if len(lengths) != 2:
        raise InvalidValueError(f"shape: expected (rows, columns), found {len(lengths)} axes")
    rows, columns = lengths
    return 8 * ARRAYS * rows * columns


class Crossbar:
    """Cells between column lines, which are driven, and row lines, which are sensed at 0 V.

    Parameters
    ----------
    cells
        Array of shape (rows, columns); reading never changes it.
    wire_resistance
        Ohm per segment, as one number, or a pair for (rows, columns); each may also be given per
        line or per segment, see ``wires.make_wires``. There is a segment before the first
        crosspoint of a column and behind the last one of a row. 0 everywhere: ideal wires.
    source_resistance, sense_resistance
        Ohm of each driver and sense amplifier, a number or one per line.
    drive, sense
        Driven end of the columns: ``"top"`` (row 0), ``"bottom"`` or ``"both"``; sensed end of the
        rows: ``"left"`` (column 0), ``"right"`` or ``"both"``.
    access
        ``Transistor`` (1T1R) or ``Selector`` in series with every cell; None: neither.
    open_cells, shorted_cells
        Masks (rows, columns) of defective cells. Their state means nothing, and they
        never switch.
    short_resistance
        Ohm of a shorted cell.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    CapacityError
        The network would not fit into memory.
    """

    def __init__(
        self,
        cells: CellArray,
        wire_resistance: Any = 2.5,
        *,
        source_resistance: Any = 0.0,
        sense_resistance: Any = 0.0,
        drive: str = "top",
        sense: str = "left",
        access: Transistor | Selector | None = None,
        open_cells: npt.ArrayLike | None = None,
        shorted_cells: npt.ArrayLike | None = None,
        short_resistance: float = 100.0,
    ) -> None:
        checks.instance("cells", cells, CellArray)
        if cells.ndim != 2:
            raise InvalidValueError(f"cells: expected rows x columns, found shape {cells.shape}")
        rows, columns = cells.shape
        require_memory(network_bytes((rows, columns)), f"a crossbar of {rows} x {columns} cells")
        if access is not None and not isinstance(access, Transistor | Selector):
            raise InvalidTypeError(
                f"access: expected a Transistor, a Selector or None, found {checks.kind_of(access)}"
            )
        self.cells = cells
        self.shape = (rows, columns)
        self._given = Arguments(NUMPY, self.shape)
        self.access = access
        self.wires = make_wires(
            (rows, columns), wire_resistance, source_resistance, sense_resistance, drive, sense
        )
        # Conductance of defective cells (S), NaN for good ones; None when all are good.
        self.stuck = defects((rows, columns), open_cells, shorted_cells, short_resistance)

    def __repr__(self) -> str:
        kind = "ideal wires" if self.wires is None else "resistive wires"
        return f"Crossbar({self.cells!r}, {kind})"

    def solve(
        self,
        v: npt.ArrayLike,
        *,
        row_voltage: npt.ArrayLike = 0.0,
        floating_columns: Any = None,
        floating_rows: Any = None,
        gates: Any = None,
        linear: bool = False,
        start: Solution | None = None,
    ) -> Solution:
        """Solve for the voltages and currents of every cell, without noise.

        Parameters
        ----------
        v
            Voltage of each column's driver, V, (columns,).
        row_voltage
            What the ends of the rows are held at, V, a number or one per row.
        floating_columns, floating_rows
            Lines that nothing holds: a mask, line numbers or a slice.
        gates
            Gate lines of a ``Transistor`` that are on, given likewise; None: all.
        linear
            Take every cell as a resistor with its static conductance at U_0.
        start
            Solution of a similar network to start from; it saves time and changes no more than
            the residual allows.

        Returns
        -------
        Solution
            With its residual (A); an unconverged one is never returned.
        """
        linear = checks.flag("linear", linear)
        columns, given = self.shape[1], checks.real_array("v", v)
        if given.shape != (columns,):
            raise InvalidValueError(f"v: expected shape ({columns},), found {given.shape}")
        bias = make_bias(
            self.shape, given, row_voltage, floating_columns, floating_rows, self._gates(gates)
        )
        nodes = None
        if start is not None:
            if checks.instance("start", start, Solution).slope.shape != self.shape:
                raise InvalidValueError(
                    f"start: expected a solution of {self.shape}, found {start.slope.shape}"
                )
            nodes = (start.column_voltage - bias.columns, start.row_voltage - bias.rows[:, None])
        return self.solve_bias(bias, self.conducting(linear, bias.gates), nodes)

    def read(
        self,
        v: npt.ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
        linear: bool = False,
        floating_columns: Any = None,
        gates: Any = None,
        dac: tuple[float, float, int] | None = None,
        adc: tuple[float, float, int] | None = None,
    ) -> Array:
        """Return the currents of all rows for one or many vectors of column voltages.

        Parameters
        ----------
        v
            V, shape (columns,), or (columns, B) for B input vectors.
        noise
            Johnson and shot noise of every cell at its own voltage, summed in each row.
        bandwidth
            Of the measurement, Hz.
        number
            Which input vector this is; None counts on from the array's last readout.
        linear
            Take every cell as a resistor with its static conductance at U_0.
        floating_columns, gates
            As in ``solve``.
        dac, adc
            Converters: lowest and highest value (V for the DAC, A for the ADC) and bits; what is
            outside is clipped. None: voltages and currents as they are.

        Returns
        -------
        array
            A, float64, shape (rows,) or (rows, B). With ideal wires and nothing but nonlinear cells
            this is exactly ``cells.matvec``.
        """
        voltages = self._given.column_voltages(v, np.float64)
        if dac is not None:
            voltages = convert_voltages(voltages, *converter("dac", dac))
        limits = None if adc is None else converter("adc", adc)
        currents = read_rows(
            self, voltages, noise, bandwidth, number, linear, floating_columns, self._gates(gates)
        )
        return currents if limits is None else convert_currents(currents, *limits)

    def gradient(
        self,
        v: npt.ArrayLike,
        seed: npt.ArrayLike,
        *,
        row_voltage: npt.ArrayLike = 0.0,
        floating_columns: Any = None,
        floating_rows: Any = None,
        gates: Any = None,
        linear: bool = False,
    ) -> Gradient:
        """Differentiate a quantity L of the rows' currents, at the cost of one more solve.

        Parameters
        ----------
        v, row_voltage, floating_columns, floating_rows, gates, linear
            As in ``solve``.
        seed
            dL/dI of the rows' currents, (rows,); one row's current itself has 1 there and 0
            elsewhere.

        Returns
        -------
        Gradient
            With respect to all conductances and voltages.
        """
        linear = checks.flag("linear", linear)
        given = checks.numbers("seed", seed, (self.shape[0],))
        bias = make_bias(
            self.shape, v, row_voltage, floating_columns, floating_rows, self._gates(gates)
        )
        cells, wires = self.conducting(linear, bias.gates), self.wires_for(bias)
        found = solve_lines(wires, cells, bias)
        return gradient(wires, cells, bias, found, given, self.cells.model)

    def write(
        self,
        *,
        rows: Any,
        columns: Any,
        voltage: npt.ArrayLike,
        scheme: str = "V/2",
        steps: int = 10,
        exact: bool | None = None,
        duration: float = 1e-6,
    ) -> Write:
        """Apply one pulse to the selected lines and let every cell switch at its own voltage.

        Parameters
        ----------
        rows, columns
            Selected lines: a mask, line numbers or a slice. A transistor's gates are on along the
            selected lines and off elsewhere.
        voltage
            V between column and row at the drivers, one number or one per selected column; negative
            to SET, positive to RESET.
        scheme
            Unselected lines: ``"V/2"`` (at half), ``"V/3"`` (a third of the voltage on every other
            cell), ``"floating"``, or ``"ground"`` (0 V, like the selected rows). Where columns
            differ, they follow the one of the largest magnitude.
        steps
            Of the pulse's edge, 1 … 10; the cells of a step switch together.
        exact
            Climb the edge event by event, one SET at a time; None: up to 32 x 32 cells.
        duration
            Of the pulse, s.

        Returns
        -------
        Write
            Maps of voltages, switching and energy.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            An argument is not allowed; no cell has changed then.
        """
        return write(self, rows, columns, voltage, scheme, steps, exact, duration)

    @renamed_arguments(most_passes="max_passes")
    def program(
        self,
        targets: npt.ArrayLike,
        *,
        tolerance: float | None = None,
        scheme: str | None = None,
        parallel: int | None = None,
        retries: int = RETRIES,
        max_passes: int = MAX_PASSES,
        duration: float = DURATION,
        progress: bool = False,
        checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    ) -> Programming:
        """Write and verify, row by row, until every cell is within reach of its target.

        A cell above its target is RESET by a staircase, one below is SET and tried again; the
        columns of a row are pulsed together as far as the scheme allows. A verification reads the
        cells at U_0, with noise.

        Ctrl-C ends it after the pulse that is being computed. The array then is in the state that
        the pulses so far have left, part of the cells programmed: program it again, or let a new
        one of the same seed resume from the newest checkpoint, with the same result as a run that
        was not interrupted.

        Parameters
        ----------
        targets
            Static conductance at U_0, S; broadcasts to (rows, columns). NaN: leave the cell alone.
        tolerance
            Distance from the target that is good enough, S; None: 1 % of the LLRS curve's.
        scheme
            As in ``write``; None: ``"ground"`` where gates along the rows keep unselected ones
            out, else ``"V/3"``.
        parallel
            Largest number of cells of a row that are pulsed at the same time; None: all. Fewer
            share less of the row's resistance.
        retries
            Attempts after the first that a cell is given.
        max_passes
            Verifications after which programming ends in any case.
        duration
            Of each pulse, s.
        progress
            Show a progress bar on standard error.
        checkpoints
            Where to leave checkpoints between passes; with ``Checkpoints(folder, resume=True)`` a
            stopped run continues from the newest one, and the cells take over the state saved
            there.

        Returns
        -------
        Programming
            Conductances, errors, pulses, energy, and how each cell ended.
        """
        return write_verify(
            RowPulser(self, scheme, duration, parallel),
            targets,
            tolerance=tolerance,
            retries=retries,
            max_passes=max_passes,
            progress=progress,
            checkpoints=checkpoints,
        )

    def program_open_loop(
        self,
        targets: npt.ArrayLike,
        *,
        step: float = STEP,
        scheme: str | None = None,
        parallel: int | None = None,
        duration: float = DURATION,
    ) -> Programming:
        """SET every cell and RESET it by a staircase that a typical device would need; no reading.

        Parameters
        ----------
        targets, scheme, parallel, duration
            As in ``program``.
        step
            Of the staircase, V; the last one ends at each cell's own voltage.

        Returns
        -------
        Programming
            With outcome ``MISSED`` for cells farther from their target than ``program`` tolerates.
        """
        return open_loop(RowPulser(self, scheme, duration, parallel), targets, step=step)

    # ---- networks ------------------------------------------------------------------------------

    def conducting(self, linear: bool = False, gates: Array | None = None) -> Cells:
        """Present cells as the solver takes them; ``linear``: with their conductance at U_0."""
        barriers = make_barriers(self.shape, self.access, self.stuck, gates)
        conduction = self.cells.model.conduction
        states = to_numpy(self.cells.r).astype(np.float64)
        if not linear:
            return Cells(states, conduction, barriers)
        if barriers is not None and barriers.saturation:
            raise InvalidValueError("linear: a selector cannot be taken as a resistor")
        return Cells(conduction.conductance(states), None, barriers)

    def solve_bias(
        self, bias: Bias, cells: Cells, start: tuple[Array, Array] | None = None
    ) -> Solution:
        """Solve for one drive; ``start`` as in ``solver.solve``."""
        return solve_lines(self.wires_for(bias), cells, bias, start)

    def wires_for(self, bias: Bias) -> Wires | None:
        """Lines under a drive, floating ones let go; None where all are ideal."""
        if self.wires is None or not bias.floats:
            return self.wires
        return self.wires.floating(bias.floating_rows, bias.floating_columns)

    @cached_property
    def along(self) -> Array:
        """Ohm along each column from its first crosspoint, (rows, columns)."""
        return np.zeros(self.shape) if self.wires is None else distances(self.wires)

    # ---- helpers --------------------------------------------------------------------------------

    def _gates(self, gates: Any) -> Array | None:
        if gates is None:
            return None
        if not isinstance(self.access, Transistor):
            raise InvalidValueError("gates: expected None, the crossbar has no transistors")
        return lines("gates", gates, self.shape[0 if self.access.gates == "rows" else 1])
