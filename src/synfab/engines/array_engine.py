"""The rules themselves as an engine, on the arrays of any Array API namespace."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from synfab import rules
from synfab.errors import FileFormatError
from synfab.model import CellModel
from synfab.streams import Stream, normals, words

Array = Any


class ArrayEngine:
    """Cells held as ``rules.CellState``; the reference that other engines are tested against."""

    def __init__(
        self, model: CellModel, n_cells: int, seed: int, first_cell: int, order: int, xp: Any = np
    ) -> None:
        self.model, self.n_cells, self.order, self.xp = model, n_cells, order, xp
        self.seed, self.first = seed, first_cell
        self.devices: rules.Devices
        self.state: rules.CellState

    def __deepcopy__(self, memo: dict[int, Any]) -> ArrayEngine:
        # A module cannot be copied, and the arrays need not be: the rules replace them whole.
        return copy.copy(self)

    def _number(self, cells: Any) -> tuple[Array, Array]:
        number = np.asarray(cells, np.uint64) + np.uint64(self.first)
        low, high = number & np.uint64(0xFFFFFFFF), number >> np.uint64(32)
        return (
            self.xp.asarray(low.astype(np.uint32)),
            self.xp.asarray(high.astype(np.uint32)),
        )

    def fabricate(self) -> None:
        """Make fresh cells."""
        self.devices = rules.fabricate(
            self.model, self.seed, self._number(np.arange(self.n_cells, dtype=np.uint64))
        )
        self.state = rules.fresh_state(self.model, self.order, self.devices)

    def _spread(self, u: Array) -> Array:
        u = self.xp.asarray(u)
        return self.xp.broadcast_to(u, (self.n_cells,)) if u.size == 1 else u

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Let cells switch; see ``NumbaEngine.apply_voltage``."""
        u = self._spread(u)
        if where is None:
            self.state = rules.apply_voltage(self.model, self.devices, self.state, u)
            return
        cells = np.flatnonzero(where)
        if cells.size:
            devices, state = self.take(cells)
            index = self.xp.asarray(cells)
            self.put(cells, rules.apply_voltage(self.model, devices, state, self.xp.take(u, index)))

    def take(self, cells: Any) -> tuple[rules.Devices, rules.CellState]:
        """Return the listed cells alone (a copy)."""
        xp, index = self.xp, self.xp.asarray(cells)
        low, high = self.devices.number
        devices = rules.Devices(
            self.seed,
            (xp.take(low, index), xp.take(high, index)),
            xp.take(self.devices.parameters, index, axis=1),
        )
        state = rules.CellState(*(xp.take(a, index, axis=a.ndim - 1) for a in self.state))
        return devices, state

    def put(self, cells: Any, state: rules.CellState) -> None:
        """Replace the state of the listed cells."""
        everything = np.arange(self.n_cells)
        position = np.full(self.n_cells, -1)
        position[cells] = np.arange(len(cells))
        if len(cells) == self.n_cells and np.array_equal(cells, everything):
            self.state = state
            return
        xp = self.xp
        chosen = xp.asarray(position >= 0)
        source = xp.asarray(np.maximum(position, 0))
        self.state = rules.CellState(
            *(
                xp.where(chosen, xp.take(new, source, axis=new.ndim - 1), old)
                for old, new in zip(self.state, state, strict=True)
            )
        )

    def program(self, cells: Any, r: Array) -> None:
        """Put the listed cells into the states ``r``."""
        devices, state = self.take(cells)
        self.put(cells, rules.program(self.model, devices, state, self.xp.asarray(r)))

    def current(self, u: Array) -> Array:
        """Current without noise of every cell, A."""
        return rules.current(self.model, self.state.r, self._spread(u))

    def read(self, u: Array, number: int, johnson: float, shot: float) -> Array:
        """Current with the noise of read ``number``."""
        xp, u = self.xp, self._spread(u)
        current = self.current(u)
        slope = self.model.conduction.slope([0.0, 1.0], 0.0)
        at_zero = float(slope[0]) + self.state.r * float(slope[1] - slope[0])
        zero = u == 0.0
        conductance = xp.where(zero, at_zero, xp.abs(current / xp.where(zero, 1.0, u)))
        variance = johnson * conductance + shot * xp.abs(current)
        cells = np.arange(self.n_cells, dtype=np.uint64) + np.uint64(self.first)
        call = cells >> np.uint64(2)
        counter = (
            xp.asarray((call & np.uint64(0xFFFFFFFF)).astype(np.uint32)),
            xp.asarray((call >> np.uint64(32)).astype(np.uint32)),
        )
        z = normals(words(self.seed, counter, counter[0] * 0 + number, Stream.READ_NOISE))
        lane = xp.asarray((cells & np.uint64(3)).astype(np.int64))
        noise = z[0, :]
        for k in range(1, 4):
            noise = xp.where(lane == k, z[k, :], noise)
        return current + xp.sqrt(variance) * noise

    def readout_noise(self, rows: int, count: int, number: int) -> Array:
        """Normal numbers of a crossbar readout, (rows, count)."""
        xp = self.xp
        row = xp.asarray(np.repeat(np.arange(rows, dtype=np.uint32), count))
        index = xp.asarray(np.tile(np.arange(number, number + count, dtype=np.uint32), rows))
        drawn = words(self.seed, (row, row * 0), index, Stream.READOUT_NOISE)
        return xp.reshape(normals(drawn)[0, :], (rows, count))

    def row_sums(self, columns: int, weights: Array) -> Array:
        """Sum over columns of r times each row of ``weights``: (rows, B)."""
        xp = self.xp
        r = xp.reshape(self.state.r, (-1, columns))
        return xp.astype(r, xp.float64) @ xp.astype(xp.asarray(weights), xp.float64).T

    def features(self) -> Array:
        """Features of the current cycle, (4, n_cells)."""
        return self.xp.stack(
            rules.cycle_features(self.model, self.devices, self.state.block, self.state.cycle)
        )

    @property
    def in_hrs(self) -> Array:
        """Flags of cells that are completely RESET."""
        return self.state.in_hrs

    @property
    def in_lrs(self) -> Array:
        """Flags of cells that are SET."""
        return self.state.in_lrs

    @property
    def cycle(self) -> Array:
        """Cycle numbers n."""
        return self.state.cycle

    @property
    def states(self) -> Array:
        """Mixing state r."""
        return self.state.r

    def parameters(self) -> Array:
        """Device parameters, (n_cells, 8)."""
        return self.devices.parameters.T

    STORED = (*rules.CellState._fields, "parameters")

    def storage(self) -> dict[str, Array]:
        """Arrays that hold the whole state, for files."""
        return {**self.state._asdict(), "parameters": self.devices.parameters}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take over what ``storage`` gave."""
        n = self.n_cells
        for name, array in arrays.items():
            if array.shape[-1:] != (n,):
                raise FileFormatError(f"{name}: expected {n} cells, found shape {array.shape}")
        held = {name: self.xp.asarray(array) for name, array in arrays.items()}
        number = self._number(np.arange(n, dtype=np.uint64))
        self.devices = rules.Devices(self.seed, number, held.pop("parameters"))
        self.state = rules.CellState(**held)
