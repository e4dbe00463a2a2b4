"""Crossbar: a cell array behind real wires."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from synfab.cells.arguments import Arguments
from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.deprecation import renamed_arguments
from synfab.common.errors import InvalidValueError
from synfab.common.types import (
    Array,
    ArrayLike,
    DriveEnd,
    GridShape,
    LineSelection,
    PathLike,
    SchemeName,
    SenseEnd,
)  # fmt: skip
from synfab.crossbar.circuit import make_circuit
from synfab.crossbar.programming import RowPulser
from synfab.crossbar.pulses import Write, write
from synfab.crossbar.reading import converter, read_rows
from synfab.io.checkpoints import Checkpoints
from synfab.network.access import Access
from synfab.network.gradients import Gradient, gradient
from synfab.network.network import Solution
from synfab.network.solver import solve_lines
from synfab.network.wires import Resistance, Wires
from synfab.physics.readout import adc as convert_currents
from synfab.physics.readout import dac as convert_voltages
from synfab.programming.open_loop import STEP, open_loop
from synfab.programming.pulser import DURATION
from synfab.programming.result import Programming
from synfab.programming.write_verify import MAX_PASSES, RETRIES, write_verify
from synfab.random.backend import NUMPY

# Members that a crossbar's circuit has now.
MOVED = ("along", "conducting", "solve_bias", "wires_for")


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
        wire_resistance: Resistance = 2.5,
        *,
        source_resistance: ArrayLike = 0.0,
        sense_resistance: ArrayLike = 0.0,
        drive: DriveEnd = "top",
        sense: SenseEnd = "left",
        access: Access | None = None,
        open_cells: ArrayLike | None = None,
        shorted_cells: ArrayLike | None = None,
        short_resistance: float = 100.0,
    ) -> None:
        self.circuit = make_circuit(
            cells, wire_resistance, source_resistance, sense_resistance, drive, sense, access,
            open_cells, shorted_cells, short_resistance,
        )  # fmt: skip
        self._given = Arguments(NUMPY, self.shape)

    def __repr__(self) -> str:
        kind = "ideal wires" if self.wires is None else "resistive wires"
        return f"Crossbar({self.cells!r}, {kind})"

    def __getattr__(self, name: str) -> Any:
        if name in MOVED:
            message = f"Crossbar.{name} is deprecated: use Crossbar.circuit.{name}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return getattr(self.circuit, name)
        raise AttributeError(f"'Crossbar' object has no attribute {name!r}")

    @property
    def cells(self) -> CellArray:
        """The cells; their state changes with every write."""
        return self.circuit.cells

    @property
    def shape(self) -> GridShape:
        """Rows and columns."""
        return self.circuit.shape

    @property
    def wires(self) -> Wires | None:
        """The lines; None: ideal ones."""
        return self.circuit.wires

    @property
    def access(self) -> Access | None:
        """What is in series with every cell; None: nothing."""
        return self.circuit.access

    @property
    def stuck(self) -> Array | None:
        """Conductance of defective cells, S, NaN for good ones; None: all are good."""
        return self.circuit.stuck

    def solve(
        self,
        v: ArrayLike,
        *,
        row_voltage: ArrayLike = 0.0,
        floating_columns: LineSelection | None = None,
        floating_rows: LineSelection | None = None,
        gates: LineSelection | None = None,
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
        bias = self.circuit.bias(given, row_voltage, floating_columns, floating_rows, gates)
        nodes = None
        if start is not None:
            if checks.instance("start", start, Solution).slope.shape != self.shape:
                raise InvalidValueError(
                    f"start: expected a solution of {self.shape}, found {start.slope.shape}"
                )
            nodes = (start.column_voltage - bias.columns, start.row_voltage - bias.rows[:, None])
        return self.circuit.solve_bias(bias, self.circuit.conducting(linear, bias.gates), nodes)

    def read(
        self,
        v: ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
        linear: bool = False,
        floating_columns: LineSelection | None = None,
        gates: LineSelection | None = None,
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
            self.circuit,
            voltages,
            noise,
            bandwidth,
            number,
            linear,
            floating_columns,
            gates,
        )
        return currents if limits is None else convert_currents(currents, *limits)

    def gradient(
        self,
        v: ArrayLike,
        seed: ArrayLike,
        *,
        row_voltage: ArrayLike = 0.0,
        floating_columns: LineSelection | None = None,
        floating_rows: LineSelection | None = None,
        gates: LineSelection | None = None,
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
        bias = self.circuit.bias(v, row_voltage, floating_columns, floating_rows, gates)
        cells, wires = self.circuit.conducting(linear, bias.gates), self.circuit.wires_for(bias)
        found = solve_lines(wires, cells, bias)
        return gradient(wires, cells, bias, found, given, self.cells.model)

    def write(
        self,
        *,
        rows: LineSelection,
        columns: LineSelection,
        voltage: ArrayLike,
        scheme: SchemeName = "V/2",
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
        return write(self.circuit, rows, columns, voltage, scheme, steps, exact, duration)

    @renamed_arguments(most_passes="max_passes")
    def program(
        self,
        targets: ArrayLike,
        *,
        tolerance: float | None = None,
        scheme: SchemeName | None = None,
        parallel: int | None = None,
        retries: int = RETRIES,
        max_passes: int = MAX_PASSES,
        duration: float = DURATION,
        progress: bool = False,
        checkpoints: Checkpoints | PathLike | None = None,
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
            RowPulser(self.circuit, scheme, duration, parallel),
            targets,
            tolerance=tolerance,
            retries=retries,
            max_passes=max_passes,
            progress=progress,
            checkpoints=checkpoints,
        )

    def program_open_loop(
        self,
        targets: ArrayLike,
        *,
        step: float = STEP,
        scheme: SchemeName | None = None,
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
        return open_loop(RowPulser(self.circuit, scheme, duration, parallel), targets, step=step)
