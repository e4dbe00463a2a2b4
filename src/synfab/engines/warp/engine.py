"""Engine of Warp kernels, for NVIDIA GPUs; the same kernels also run on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import warp as wp

from synfab.common.errors import CapacityError
from synfab.engines import validity
from synfab.engines.base import Engine
from synfab.engines.numba.threads import completed
from synfab.engines.warp import kernels
from synfab.engines.warp.arrays import empty, from_warp, in_order, to_warp
from synfab.engines.warp.blocks import block_kernels
from synfab.engines.warp.layout import MAX_CELLS, Cells, Model
from synfab.engines.warp.model32 import round_model
from synfab.engines.warp.setup import prepare
from synfab.io.memory import size_text
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.physics.noise import ReadNoise
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library
from synfab.random.streams import seed_key

Array = Any  # of the library

# Rows per cell and type of the arrays in ``Cells``; None: 4 slots.
ARRAYS = {
    "r": (1, wp.float32),
    "threshold": (1, wp.float32),
    "steepness": (1, wp.float32),
    "in_hrs": (1, wp.bool),
    "in_lrs": (1, wp.bool),
    "cycle": (1, wp.int32),
    "u_set": (1, wp.float32),
    "block": (None, wp.float32),
    "parameters": (8, wp.float32),
}


# Threads of the kernel that goes through the list of cells: enough to fill the largest GPUs.
LISTING_THREADS = 2**18


class WarpEngine(Engine):
    """Engine whose cells are stored as structure of arrays (``layout``) on one device."""

    ANY_LIBRARY = True
    STORED = tuple(ARRAYS)
    cells: Cells
    model32: Model

    def __init__(
        self,
        model: CellModel,
        n_cells: int,
        seed: int,
        first_cell: int,
        order: int,
        history: str,
        library: Library,
    ) -> None:
        super().__init__(model, n_cells, seed, first_cell, order, history, library)
        self.blocks = block_kernels(order, model.averages)
        self.device = prepare(library, self.blocks)
        if n_cells > MAX_CELLS:
            raise CapacityError(
                f'shape: engine "warp" holds up to {MAX_CELLS} cells, found {n_cells}'
            )
        self.cells = self._empty()
        self._make_list()
        self.model32 = round_model(model, order, self.device)
        self.lags = self.blocks.Lags(
            *np.concatenate(list(model.history(order).lags), axis=1).astype(np.float32).flat
        )
        self.model32.key_low, self.model32.key_high = map(wp.uint32, seed_key(seed))
        self.model32.first = wp.uint64(first_cell)

    def _empty(self) -> Cells:
        """Return uninitialised memory for the cells."""
        cells = Cells()
        try:
            for name, (rows, dtype) in ARRAYS.items():
                count = 4 * self.slots if rows is None else rows
                shape = self.n_cells if count == 1 else (count, self.n_cells)
                setattr(cells, name, empty(self.library, self.device, shape, dtype))
        except RuntimeError:  # of PyTorch or Warp; host memory is checked before
            needed = size_text(self.n_cells * bytes_per_cell(self.slots))
            raise CapacityError(
                f"shape: {self.n_cells} cells need {needed}, more than is free on {self.device}"
            ) from None
        return cells

    def _make_list(self) -> None:
        """Make the list of cells that need a new block of history, empty at first."""
        self._pending = empty(self.library, self.device, self.n_cells, wp.int32)
        # The number of listed cells, of this and of the next pulse.
        self._counts = empty(self.library, self.device, 2, wp.int32)
        zeros = wp.zeros(2, dtype=wp.int32, device="cpu")
        in_order(
            self.library, self.device, lambda stream: wp.copy(self._counts, zeros, stream=stream)
        )
        self._turn = 0
        self._unfinished: tuple[Any, ...] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> WarpEngine:
        """Return an independent copy of the cells on the same device."""
        twin = copy.copy(self)
        self._finish()
        twin.cells, twin.model32 = self._empty(), round_model(self.model, self.order, self.device)
        for name in ("key_low", "key_high", "first"):
            setattr(twin.model32, name, getattr(self.model32, name))
        twin._make_list()
        for name in ARRAYS:
            twin._copy(name, getattr(self.cells, name))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        stored = {name: np.array(to_numpy(array)) for name, array in self.storage().items()}
        arguments = (
            self.model, self.n_cells, self.seed, self.first_cell, self.order, self.history,
            self.library,
        )  # fmt: skip
        return _unpickled, (arguments, self.name, stored)

    # ---- conversion -----------------------------------------------------------------------------

    def _launch(self, kernel: Any, dim: Any, *arguments: Any) -> None:
        """Start a kernel after the last pulse, asynchronously on a GPU."""
        self._finish()
        self._start(kernel, dim, *arguments)

    def _start(self, kernel: Any, dim: Any, *arguments: Any) -> None:

        def launch(stream: Any) -> None:
            wp.launch(
                kernel, dim, list(arguments), device=self.device, stream=stream, record_tape=False
            )

        in_order(self.library, self.device, launch)

    def _copy(self, name: str, source: Any) -> None:
        """Copy an array of Warp from any device to one of ``Cells``."""
        mine = getattr(self.cells, name)
        in_order(self.library, self.device, lambda stream: wp.copy(mine, source, stream=stream))

    def _to(self, array: Array, dtype: Any) -> Any:
        return to_warp(self.library, array, dtype)

    def _listed(self, cells: Array) -> Any:
        return self._to(self.library.xp.astype(cells, self.library.xp.int32), wp.int32)

    def _new(self, *shape: int) -> Any:
        return empty(self.library, self.device, shape, wp.float32)

    def _held(self, name: str, cells: Array | None = None) -> Array:
        """Return an array of ``Cells`` in the library, of the listed cells or all."""
        self._finish()
        array = from_warp(self.library, getattr(self.cells, name), shared=True)
        if cells is None:
            return array
        return self.library.xp.take(array, self.library.asarray(cells), axis=array.ndim - 1)

    # ---- state ----------------------------------------------------------------------------------

    def fabricate(self, *, discardable: bool = False) -> None:
        """Initialise all cells as newly fabricated devices, in one kernel."""
        self._launch(self.blocks.fabricate, self.n_cells, self.cells, self.model32)

    def begin_at(self, first_cell: int) -> None:
        """Set the global number of cell 0."""
        super().begin_at(first_cell)
        self.model32.first = wp.uint64(first_cell)

    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        """Return the switching state of cells."""
        held = (self._held(name, cells) for name in rules.SwitchingState._fields)
        return rules.SwitchingState(*held)

    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        """Set the switching state of the listed cells."""
        bring, types = self.library.asarray, [ARRAYS[name][1] for name in state._fields]
        values = [self._to(bring(v), t) for v, t in zip(state, types, strict=True)]
        self._launch(kernels.put, cells.shape[0], self.cells, self._listed(bring(cells)), *values)

    def begin_cycle(self, cells: Array) -> drawing.Features:
        """Advance the history of the listed cells by one cycle and return their new features."""
        listed = self._listed(cells)
        kernel, n = self.blocks.begin_cycles, cells.shape[0]
        self._launch(kernel, n, self.cells, self.model32, self.lags, listed)
        return self.features(cells)

    def vectors(self, cells: Array | None = None) -> Array:
        """Return x*_n of cells, (4, M)."""
        block = self._held("block", cells)
        shape = (self.slots, 4, block.shape[1])
        block = self.library.xp.reshape(block, shape)
        return drawing.current_vector(block, self.cycles(cells), self.order)

    def cycles(self, cells: Array | None = None) -> Array:
        """Return the cycle numbers of cells, in the library's type for words."""
        xp, word = self.library.xp, np.dtype(self.library.word).name
        return xp.astype(self._held("cycle", cells), getattr(xp, word))

    def parameters(self, cells: Array | None = None) -> Array:
        """Return the device parameters, (M, 8)."""
        return self._held("parameters", cells).T

    @property
    def states(self) -> Array:
        """Mixing states r of all cells."""
        return self._held("r")

    @property
    def in_hrs(self) -> Array:
        """Mask of the cells that are completely RESET."""
        return self._held("in_hrs")

    @property
    def in_lrs(self) -> Array:
        """Mask of the cells that are SET."""
        return self._held("in_lrs")

    def storage(self) -> dict[str, Array]:
        """Return the arrays of the state: the block is (4 slots, n), oldest vector first."""
        return {name: self._held(name) for name in ARRAYS}

    def check(self, arrays: Mapping[str, Any]) -> None:
        """Raise ``FileFormatError`` if ``restore`` cannot use these arrays from a file."""
        mine = ((name, getattr(self.cells, name)) for name in ARRAYS)
        wanted = {name: np.empty(a.shape, wp.dtype_to_numpy(a.dtype)) for name, a in mine}
        validity.check_fit(arrays, wanted)
        validity.check_rules(arrays, rules.highest_state(self.model))
        validity.check_finite("u_set", arrays["u_set"])

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Set the state from the arrays of ``storage``."""
        completed(lambda: self._copy_from(arrays))

    def _copy_from(self, arrays: Mapping[str, Any]) -> None:
        for name, (_, dtype) in ARRAYS.items():
            given = np.array(arrays[name], order="C")
            self._copy(name, wp.array(given, dtype=dtype, device="cpu", copy=False))

    # ---- operations -----------------------------------------------------------------------------

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Apply a voltage pulse, in two kernels: the second draws new blocks of history."""
        mask = None if where is None else self._to(where, wp.bool)
        voltages = self._to(u, wp.float32)
        kernel = kernels.apply_voltage if self.model32.plain else kernels.apply_voltage_with_parts
        self._finish()
        self._unfinished = (voltages, self._pending, self._counts, self._turn)
        self._turn = 1 - self._turn
        try:
            self._start(
                kernel, self.n_cells, self.cells, self.model32, voltages, mask,
                *self._unfinished[1:],
            )  # fmt: skip
        finally:
            self._finish()

    def _finish(self) -> None:
        """Draw the new blocks of history of the last pulse.

        An interrupt may come between the two kernels of a pulse, or after the second one. Every
        operation calls this method first, and starting the second kernel twice changes nothing.
        """
        if self._unfinished is not None:
            threads = min(self.n_cells, LISTING_THREADS)
            self._start(
                self.blocks.resets, threads, self.cells, self.model32, self.lags,
                *self._unfinished, threads,
            )  # fmt: skip
            self._unfinished = None

    def program(self, cells: Array, r: Array) -> None:
        """Set the listed cells to the states ``r``, (M,); see ``rules.program``."""
        listed, wanted = self._listed(cells), self._to(r, wp.float32)
        self._launch(kernels.program, cells.shape[0], self.cells, self.model32, listed, wanted)

    def features(self, cells: Array | None = None) -> drawing.Features:
        """Return the features of cells; for all cells, from a kernel."""
        if cells is not None:
            return super().features(cells)
        out = self._new(4, self.n_cells)
        self._launch(kernels.features, self.n_cells, self.cells, self.model32, out)
        rows = from_warp(self.library, out)
        return drawing.Features(*(rows[f, :] for f in range(4)))

    def current(self, u: Array, states: Array | None = None) -> Array:
        """Return the noiseless current (A) of all cells, from a kernel for their own states."""
        if states is not None:
            return super().current(u, states)
        out = self._new(self.n_cells)
        voltages = self._to(u, wp.float32)
        self._launch(kernels.currents, self.n_cells, self.cells, self.model32, voltages, out)
        return from_warp(self.library, out)

    def read(self, u: Array, number: int, noise: ReadNoise, states: Array | None = None) -> Array:
        """Return the current (A) with the noise of read ``number``, from a kernel if possible."""
        if states is not None or not noise.linear:
            return super().read(u, number, noise, states)
        out = self._new(self.n_cells)
        calls = (self.n_cells + (self.first_cell & 3) + 3) >> 2
        johnson, shot = map(wp.float32, noise.coefficients)
        self._launch(
            kernels.read, calls, self.cells, self.model32, self._to(u, wp.float32),
            wp.uint32(number), johnson, shot, out,
        )  # fmt: skip
        return from_warp(self.library, out)

    def readout_noise(self, first: int, rows: int, number: int, count: int) -> Array:
        """Return standard normal numbers for crossbar readouts, (rows, count)."""
        out = self._new(rows, count)
        keys = (self.model32.key_low, self.model32.key_high)
        first_row, index = wp.uint64(first), wp.uint32(number)
        self._launch(kernels.readout_normals, (rows, count), first_row, index, *keys, out)
        return from_warp(self.library, out)


def bytes_per_cell(slots: int) -> int:
    """Return the memory per cell in bytes, for ``History.slots`` vectors of history."""
    sizes = ((4 * slots if rows is None else rows, dtype) for rows, dtype in ARRAYS.values())
    return sum(rows * wp.types.type_size_in_bytes(dtype) for rows, dtype in sizes)


def _unpickled(
    arguments: tuple[Any, ...], name: str, stored: Mapping[str, np.ndarray[Any, Any]]
) -> WarpEngine:
    engine = WarpEngine(*arguments)
    engine.name = name
    engine.restore(stored)
    return engine
