"""The rules themselves as an engine, on the arrays of any Array API namespace."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.engines import validity
from synfab.engines.numba.threads import completed
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.physics.noise import ReadNoise, noisy_current, read_normals
from synfab.random.arrays import count_up
from synfab.random.backend import NUMPY, Library
from synfab.random.streams import WORD, Stream

Array = Any

# Few enough for the caches of a processor.
PROGRAMMED_AT_ONCE = 2**16


class ArrayEngine:
    """Cells held as ``rules.CellState``; with NumPy the reference that engines are tested against.

    Voltages, masks and cell numbers come as arrays of the library, on its device.
    """

    def __init__(
        self,
        model: CellModel,
        n_cells: int,
        seed: int,
        first_cell: int,
        order: int,
        library: Library = NUMPY,
    ) -> None:
        self.model, self.n_cells, self.order = model, n_cells, order
        self.seed, self.first, self.library = seed, first_cell, library
        self.devices: rules.Devices
        self.state: rules.CellState
        self._prepare()

    def _prepare(self) -> None:
        library, model = self.library, self.model
        self._draw = library.compiled(rules.draw_normals, ())
        self._select = library.compiled(rules.select, (model,))
        self._settle = library.compiled(rules.settle, (model,))
        self._draw_noise = library.exact(read_normals, ())
        self._next_block = library.exact(rules.next_block, (model.history(self.order),))

    @property
    def xp(self) -> Any:
        """Namespace of the arrays."""
        return self.library.xp

    def __getstate__(self) -> dict[str, Any]:
        functions = ("_draw", "_select", "_settle", "_draw_noise", "_next_block")
        return {name: value for name, value in vars(self).items() if name not in functions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare()

    def __deepcopy__(self, memo: dict[int, Any]) -> ArrayEngine:
        # Modules and compiled functions are shared, and devices never change.
        result = copy.copy(self)
        result.state = rules.CellState(*(self.xp.asarray(a, copy=True) for a in self.state))
        return result

    def _words(self, numbers: Array) -> tuple[Array, Array]:
        """Low and high words of 64-bit numbers, on the device."""
        low, high = numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32)
        word, asarray = self.library.word, self.library.asarray
        return asarray(low.astype(word)), asarray(high.astype(word))

    def _global_numbers(self) -> Array:
        return np.arange(self.n_cells, dtype=np.uint64) + np.uint64(self.first)

    def _word(self, value: int) -> Array:
        return self.library.asarray(np.asarray(value, self.library.word))

    def begin_at(self, first_cell: int) -> None:
        """Hold cells of other numbers; see ``NumbaEngine.begin_at``."""
        self.first = first_cell

    def fabricate(self, *, discardable: bool = False) -> None:
        """Make fresh cells; see ``NumbaEngine.fabricate``."""
        number = self._words(self._global_numbers())
        self.devices = self.library.exact(rules.fabricate, (self.model,))(
            self.library.key(self.seed), number
        )
        rest = self.library.exact(rules.rested_state, (self.model, self.order))
        index = number[0][None, :] * 0 + count_up(0, self.order, number[0])[:, None]
        eps = self._normals(self.devices, index, Stream.INITIAL_HISTORY)
        self.state = rest(self.devices, eps)

    def _normals(self, devices: rules.Devices, index: Array, stream: Stream) -> Array:
        return self._draw(devices.seed, devices.number, index, self._word(int(stream)))

    def _spread(self, u: Array) -> Array:
        return self.xp.broadcast_to(u, (self.n_cells,)) if u.shape[0] == 1 else u

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Let cells switch; see ``NumbaEngine.apply_voltage``."""
        u = self._spread(u)
        if where is None:
            self.state = self._pulse(self.devices, self.state, u)
            return
        cells = self.library.flatnonzero(where)
        if cells.shape[0]:
            devices, state = self.take(cells)
            u = self.xp.take(u, cells, axis=0)
            after = self._pulse(devices, state, u)
            completed(lambda: self.put(cells, after))

    def _pulse(self, devices: rules.Devices, state: rules.CellState, u: Array) -> rules.CellState:
        """Equals ``rules.apply_voltage``, but draws only for the cells that begin a block."""
        switching = self._select(devices, state, u)
        ends = rules.block_ends(switching.draw, state.cycle, self.order)
        if bool(self.xp.any(ends)):
            state = state._replace(block=self._draw_blocks(devices, state, ends))
        cycle = state.cycle + self.xp.astype(switching.draw, state.cycle.dtype)
        rest: rules.CellState = self._settle(devices, state._replace(cycle=cycle), switching, u)
        return rest

    def _draw_blocks(self, devices: rules.Devices, state: rules.CellState, ends: Array) -> Array:
        steps = count_up(1, self.order, state.cycle)
        if bool(self.xp.all(ends)):
            eps = self._normals(devices, state.cycle[None, :] + steps[:, None], Stream.INNOVATION)
            drawn: Array = self._next_block(state.block, eps)
            return drawn
        cells = self.library.flatnonzero(ends)
        low, high = (self.xp.take(word, cells, axis=0) for word in devices.number)
        cycle = self.xp.take(state.cycle, cells, axis=0)
        few = devices._replace(number=(low, high))
        eps = self._normals(few, cycle[None, :] + steps[:, None], Stream.INNOVATION)
        block = self._next_block(self.xp.take(state.block, cells, axis=2), eps)
        return self.library.put(state.block, cells, block)

    def take(self, cells: Any) -> tuple[rules.Devices, rules.CellState]:
        """Return the listed cells alone (a copy)."""
        xp, index = self.xp, self.library.asarray(cells)
        low, high = self.devices.number
        devices = rules.Devices(
            self.devices.seed,
            (xp.take(low, index, axis=0), xp.take(high, index, axis=0)),
            xp.take(self.devices.parameters, index, axis=1),
        )
        state = rules.CellState(*(xp.take(a, index, axis=a.ndim - 1) for a in self.state))
        return devices, state

    def put(self, cells: Any, state: rules.CellState) -> None:
        """Replace the state of the listed cells."""
        index, asarray = self.library.asarray(cells), self.library.asarray
        self.state = rules.CellState(
            *(
                self.library.put(old, index, asarray(new))
                for old, new in zip(self.state, state, strict=True)
            )
        )

    def program(self, cells: Any, r: Array) -> None:
        """Put the listed cells into the states ``r``."""
        for start in range(0, cells.shape[0], PROGRAMMED_AT_ONCE):
            part = slice(start, start + PROGRAMMED_AT_ONCE)
            devices, state = self.take(cells[part])
            self.put(cells[part], rules.program(self.model, devices, state, r[part]))

    def current(self, u: Array) -> Array:
        """Current without noise of every cell, A."""
        return self.library.exact(rules.current, (self.model,))(self.state.r, self._spread(u))

    def read(self, u: Array, number: int, noise: ReadNoise) -> Array:
        """Current with the noise of read ``number``."""
        cells = self._global_numbers()
        counter = self._words(cells >> np.uint64(2))
        lane = self.library.asarray((cells & np.uint64(3)).astype(np.int32))
        key, index = self.library.key(self.seed), self._word(number)
        z = self._draw_noise(key, counter, index + counter[0] * 0, lane)
        noisy = self.library.exact(noisy_current, (self.model, noise.terms))
        return noisy(self.state.r, self._spread(u), z, noise.coefficients)

    def readout_noise(self, first: int, rows: int, number: int, count: int) -> Array:
        """Normal numbers of crossbar readouts, (rows, count); rows are numbered from ``first``."""
        word, asarray = self.library.word, self.library.asarray
        row = asarray(np.arange(first, first + rows).astype(word))[:, None]
        index = asarray((np.arange(number, number + count) & WORD).astype(word))[None, :]
        key = self.library.key(self.seed)
        drawn: Array = self._draw(
            key, (row, row * 0), index + row * 0, self._word(int(Stream.READOUT_NOISE))
        )
        return drawn[0, :, :]

    def row_sums(self, columns: int, weights: Array) -> Array:
        """Sum over columns of r times each row of ``weights``: (rows, B)."""
        xp, wide = self.xp, self.library.wide
        r = xp.reshape(self.state.r, (-1, columns))
        return xp.astype(r, wide) @ xp.astype(self.library.asarray(weights), wide).T

    def features(self) -> Array:
        """Features of the current cycle, (4, n_cells)."""
        compute = self.library.exact(rules.cycle_features, (self.model,))
        return self.xp.stack(compute(self.devices, self.state.block, self.state.cycle))

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

    def check(self, arrays: dict[str, Any]) -> None:
        """Raise ``FileFormatError`` unless ``restore`` can take over these arrays of a file."""
        n = self.n_cells
        shapes = {"block": (self.order, 4, n), "parameters": (8, n)}
        types = {"in_hrs": ("bool",), "in_lrs": ("bool",), "cycle": ("uint32", "int64")}
        for name, array in arrays.items():
            shape = shapes.get(name, (n,))
            if array.shape != shape or array.dtype.name not in types.get(name, ("float32",)):
                raise FileFormatError(
                    f"{name}: expected {n} cells, shape {shape}, found {array.dtype} {array.shape}"
                )
        validity.check_rules(arrays, rules.highest_state(self.model))

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take over what ``storage`` gave."""
        # A copy: NumPy's own arrays are changed in place later, and these are the caller's.
        held = {
            name: self.library.asarray(np.array(array, array.dtype.newbyteorder("="), order="C"))
            for name, array in arrays.items()
        }
        number = self._words(self._global_numbers())
        self.devices = rules.Devices(self.library.key(self.seed), number, held.pop("parameters"))
        self.state = rules.CellState(**held)
