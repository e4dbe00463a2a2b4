"""Crossbar: a cell array with resistive wires."""

from __future__ import annotations

from typing import Any, Generic

import numpy as np

from synfab.cells.arguments import Arguments
from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.deprecation import renamed_arguments, warn_renamed
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import (
    A,
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
from synfab.crossbar.html import crossbar_html
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

# Deprecated members, moved to ``Crossbar.circuit``.
MOVED = ("along", "conducting", "solve_bias", "wires_for")


@no_array("bar.read(v) for row currents, or bar.cells.conductance()")
class Crossbar(Generic[A]):
    """Crossbar of cells between driven column lines and row lines that are sensed at 0 V.

    Parameters
    ----------
    cells
        Array of shape (rows, columns); reading never changes it.
    wire_resistance
        Ohm per segment, as one number, or a pair for (rows, columns); each may also be given per
        line or per segment, see ``wires.make_wires``. There is a segment before the first
        crosspoint of a column and after the last one of a row. 0 everywhere: ideal wires.
    source_resistance, sense_resistance
        Ohm of each driver and sense amplifier, a number or one per line.
    drive, sense
        Driven end of the columns: ``"top"`` (row 0), ``"bottom"`` or ``"both"``; sensed end of the
        rows: ``"left"`` (column 0), ``"right"`` or ``"both"``.
    access
        ``Transistor`` (1T1R) or ``Selector`` in series with every cell; None: neither.
    open_cells, shorted_cells
        Masks (rows, columns) of defective cells. Their state is meaningless, and they never switch.
    short_resistance
        Ohm of a shorted cell.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is invalid.
    CapacityError
        The network does not fit into memory.

    Examples
    --------
    >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
    >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
    >>> ideal = cells.matvec(np.full(8, 0.2), noise=False)
    >>> bool((bar.read(np.full(8, 0.2), noise=False) < ideal).all())
    True
    """

    def __init__(
        self,
        cells: CellArray[A],
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

    def _repr_html_(self) -> str:
        return crossbar_html(self.circuit)

    def __getattr__(self, name: str) -> Any:
        if name in MOVED:
            warn_renamed(f"Crossbar.{name}", f"Crossbar.circuit.{name}", stacklevel=2)
            return getattr(self.circuit, name)
        raise AttributeError(f"'Crossbar' object has no attribute {name!r}")

    @property
    def cells(self) -> CellArray[A]:
        """The cells; their state changes with every write."""
        return self.circuit.cells

    @property
    def shape(self) -> GridShape:
        """Rows and columns."""
        return self.circuit.shape

    @property
    def wires(self) -> Wires | None:
        """Conductances of the wires; None: ideal wires."""
        return self.circuit.wires

    @property
    def access(self) -> Access | None:
        """Access device in series with every cell; None: no access devices."""
        return self.circuit.access

    @property
    def stuck(self) -> Array | None:
        """Conductance of defective cells, S, NaN for all others; None: no defects."""
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
        """Return the voltages and currents of every cell, without noise.

        Parameters
        ----------
        v
            Voltage of each column's driver, V, (columns,).
        row_voltage
            Voltage at the ends of the rows, V, one number or one per row.
        floating_columns, floating_rows
            Lines that are not driven: a mask, line numbers or a slice.
        gates
            Gate lines of a ``Transistor`` that are on, in the same form; None: all.
        linear
            Treat every cell as a resistor with its static conductance at U_0.
        start
            Solution of a similar network as initial guess; it saves time and changes the result
            only within the residual.

        Returns
        -------
        Solution
            Includes its residual (A); an unconverged solution is never returned.

        Examples
        --------
        >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
        >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
        >>> solution = bar.solve(np.full(8, 0.2))
        >>> solution.cell_voltage.shape, bool((solution.cell_voltage < 0.2).all())
        ((8, 8), True)
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
        """Return the currents of all rows for one or more vectors of column voltages.

        Parameters
        ----------
        v
            V, shape (columns,), or (columns, B) for B input vectors.
        noise
            Johnson and shot noise of every cell at its own voltage, summed in each row.
        bandwidth
            Bandwidth of the measurement, Hz.
        number
            Number of this input vector; None: the number after the array's last readout.
        linear
            Treat every cell as a resistor with its static conductance at U_0.
        floating_columns, gates
            As in ``solve``.
        dac, adc
            Converters: lowest and highest value (V for the DAC, A for the ADC) and bits; values
            outside are clipped. None: no conversion.

        Returns
        -------
        array
            A, float64, shape (rows,) or (rows, B). Exactly ``cells.matvec`` if wires are ideal and
            there are only nonlinear cells (no access devices, defects or floating lines).

        Examples
        --------
        >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
        >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
        >>> bar.read(np.full(8, 0.2)).shape, bar.read(np.full((8, 5), 0.2)).shape
        ((8,), (8, 5))
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
        """Return the gradient of a quantity L of the row currents, at the cost of one more solve.

        Parameters
        ----------
        v, row_voltage, floating_columns, floating_rows, gates, linear
            As in ``solve``.
        seed
            dL/dI of the row currents, (rows,). If L is the current of one row: 1 in that row, 0
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
            Voltage between column and row at the drivers, V, one number or one per selected column;
            negative to SET, positive to RESET.
        scheme
            Unselected lines: ``"V/2"`` (at half), ``"V/3"`` (a third of the voltage on every other
            cell), ``"floating"``, or ``"ground"`` (0 V, like the selected rows). If the voltages of
            columns differ, unselected lines follow the one of the largest magnitude.
        steps
            Number of steps of the pulse's edge, 1 … 10; the cells of a step switch together.
        exact
            Ramp the edge event by event, one SET at a time; None: only up to 32 x 32 cells.
        duration
            Duration of the pulse, s.

        Returns
        -------
        Write
            Maps of voltages, switching and energy.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            An argument is invalid; no cell is changed in that case.

        Examples
        --------
        >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
        >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
        >>> pulse = bar.write(rows=0, columns=[2, 3], voltage=1.5)
        >>> bool(pulse.switched[0, 2:4].all())
        True
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
        """Program cells by write-verify, row by row, until each is within tolerance of its target.

        A cell above its target is RESET by a voltage staircase; one below is SET and retried. The
        columns of a row are pulsed together as far as the scheme allows. Verification reads the
        cells at U_0, with noise.

        Ctrl-C stops programming after the current pulse and leaves the array partially programmed.
        Either program it again, or resume from the newest checkpoint with a new array of the same
        seed, which gives the same result as an uninterrupted run.

        Parameters
        ----------
        targets
            Static conductance at U_0, S; broadcasts to (rows, columns). NaN: not programmed.
        tolerance
            Allowed deviation from the target, S; None: 1 % of the LLRS conductance.
        scheme
            As in ``write``; None: ``"ground"`` if gates along the rows isolate unselected rows,
            else ``"V/3"``.
        parallel
            Maximum number of cells of a row pulsed simultaneously; None: all. With fewer cells,
            the voltage drop along the row is smaller.
        retries
            Number of further attempts per cell after the first.
        max_passes
            Maximum number of verification passes.
        duration
            Duration of each pulse, s.
        progress
            Show a progress bar: on standard error, or in the output of a notebook.
        checkpoints
            Where to save checkpoints between passes; with ``Checkpoints(folder, resume=True)`` an
            interrupted run resumes from the newest one, and the cells are restored to the state
            saved there.

        Returns
        -------
        Programming
            Conductances, errors, pulses, energy, and the outcome of each cell.

        Examples
        --------
        >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
        >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
        >>> programmed = bar.program(np.full((8, 8), 5e-5))
        >>> bool(np.median(np.abs(programmed.errors)) < 3e-6)
        True
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
        """Program without reading: SET every cell, then RESET it by a typical device's staircase.

        Parameters
        ----------
        targets, scheme, parallel, duration
            As in ``program``.
        step
            Step of the staircase, V; the last step ends at the final voltage of each cell.

        Returns
        -------
        Programming
            With outcome ``MISSED`` for cells whose error exceeds the tolerance of ``program``.

        Examples
        --------
        >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
        >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
        >>> bar.program_open_loop(np.full((8, 8), 5e-5)).achieved.shape
        (8, 8)
        """
        return open_loop(RowPulser(self.circuit, scheme, duration, parallel), targets, step=step)
