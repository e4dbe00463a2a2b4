"""Crossbar: a cell array behind real wires."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.capacity import require_memory
from synfab.cells import CellArray
from synfab.crossbar.solver import Cells, Solution, solve
from synfab.crossbar.wires import make_wires
from synfab.engines.threads import share
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.readout import noise_factors

Array = npt.NDArray[Any]

# float64 arrays of the solver's size that live at the same time, per input vector at work.
ARRAYS = 20


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
    ) -> None:
        if not isinstance(cells, CellArray):
            raise InvalidTypeError(f"cells: expected a CellArray, found {type(cells).__name__}")
        if cells.ndim != 2:
            raise InvalidValueError(f"cells: expected rows x columns, found shape {cells.shape}")
        rows, columns = cells.shape
        require_memory(8 * ARRAYS * rows * columns, f"a crossbar of {rows} x {columns} cells")
        self.cells = cells
        self.wires = make_wires(
            (rows, columns), wire_resistance, source_resistance, sense_resistance, drive, sense
        )

    def __repr__(self) -> str:
        kind = "ideal wires" if self.wires is None else "resistive wires"
        return f"Crossbar({self.cells!r}, {kind})"

    def solve(self, v: npt.ArrayLike, *, linear: bool = False) -> Solution:
        """Solve for the voltages and currents of every cell, without noise.

        Parameters
        ----------
        v
            Voltage of each column's driver, V, (columns,).
        linear
            Take every cell as a resistor with its static conductance at U_0.

        Returns
        -------
        Solution
            With its residual (A); an unconverged one is never returned.
        """
        voltages = self._voltages(v)
        if voltages.ndim != 1:
            raise InvalidValueError(
                f"v: expected shape ({self.cells.shape[1]},), found {voltages.shape}"
            )
        return self._solve(voltages, self._conducting(linear), None)

    def read(
        self,
        v: npt.ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
        linear: bool = False,
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

        Returns
        -------
        array
            A, float64, shape (rows,) or (rows, B). With ideal wires and nonlinear cells this is
            exactly ``cells.matvec``.
        """
        voltages = self._voltages(v)
        if self.wires is None and not linear:
            return self.cells.matvec(v, noise=noise, bandwidth=bandwidth, number=number)
        johnson, shot = noise_factors(bandwidth)
        batch = voltages.reshape(len(voltages), -1).T
        cells = self._conducting(linear)
        rows = self.cells.shape[0]
        currents, variance = np.empty((rows, len(batch))), np.empty((rows, len(batch)))

        def work(low: int, high: int) -> None:
            start = None
            for k in range(low, high):
                found = self._solve(batch[k], cells, start)
                start = (found.column_voltage - batch[k], found.row_voltage)
                currents[:, k] = found.currents
                current = np.abs(found.cell_current)
                u = np.abs(found.cell_voltage)
                quiet = self._slopes_at_rest(cells)
                with np.errstate(invalid="ignore", divide="ignore"):
                    conductance = np.where(u > 0.0, current / u, quiet)
                variance[:, k] = (johnson * conductance + shot * current).sum(axis=1)

        share(work, len(batch), self.cells.size * len(batch) if len(batch) > 1 else 0)
        if noise:
            z = self.cells.readout_noise(len(batch), number)
            currents += np.sqrt(variance) * z
        return currents[:, 0] if voltages.ndim == 1 else currents

    # ---- helpers --------------------------------------------------------------------------------

    def _solve(self, v: Array, cells: Cells, start: tuple[Array, Array] | None) -> Solution:
        if self.wires is not None:
            return solve(self.wires, cells, v, start)
        u = np.broadcast_to(v, self.cells.shape)
        if cells.conduction is None:
            current = cells.values * u
        else:
            current = cells.conduction.current(cells.values, u)
        nothing = np.zeros(self.cells.shape)
        return Solution(
            current.sum(axis=1), np.array(u), current, np.array(u), nothing, 0.0, 0, 0, False
        )

    def _conducting(self, linear: bool) -> Cells:
        conduction = self.cells.model.conduction
        states = self.cells.r.astype(np.float64)
        if not linear:
            return Cells(states, conduction)
        return Cells(conduction.current(states, conduction.u_0) / conduction.u_0, None)

    def _slopes_at_rest(self, cells: Cells) -> Array:
        if cells.conduction is None:
            return cells.values
        return cells.conduction.slope(cells.values, 0.0)

    def _voltages(self, v: npt.ArrayLike) -> Array:
        array = np.asarray(v)
        columns = self.cells.shape[1]
        if array.dtype.kind not in "fiu":
            raise InvalidTypeError(f"v: expected volts, found {array.dtype}")
        if array.ndim not in (1, 2) or len(array) != columns or array.size == 0:
            raise InvalidValueError(
                f"v: expected shape ({columns},) or ({columns}, B), found {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InvalidValueError("v: expected finite voltages, found NaN or infinity")
        return array.astype(np.float64)
