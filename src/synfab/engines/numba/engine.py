"""Default CPU engine: Numba kernels that process tiles of cells (``layout``)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from synfab.common.types import Array
from synfab.engines import validity
from synfab.engines.capacity import check_capacity
from synfab.engines.numba import brief, layout, readout_kernels
from synfab.engines.numba.components import components, densities_of, scratch
from synfab.engines.numba.fabrication import fabricate
from synfab.engines.numba.layout import (
    GROUP,
    LANE_BITS,
    LANES,
    LAST_LANE,
    TILES,
    Storage,
    aligned,
)
from synfab.engines.numba.model32 import population32, stationary_blocks
from synfab.engines.numba.programs import apply_program
from synfab.engines.numba.reading import SCATTERED, KernelEngine, plain
from synfab.engines.numba.switching import apply_voltage, apply_voltage_where
from synfab.engines.numba.threads import SMALL, completed, share
from synfab.engines.numba.workspace import fabrication_work, noise_work, switching_work
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.physics.noise import NONE, ReadNoise
from synfab.random.streams import WORD

NOTHING = Storage(*(np.empty(0, np.float32) for _ in Storage._fields))  # of waiting cells
CELLS_AT_ONCE = 2**24  # pulses times cells of a program between two chances of an interrupt


def _eights(mask: Array) -> Array:
    """Return a mask with eight booleans per word, so that kernels skip unselected cells fast."""
    if mask.size % 8 or not mask.flags.c_contiguous:
        whole = np.zeros(-(-mask.size // 8) * 8, np.bool_)
        whole[: mask.size] = mask
        mask = whole
    return mask.view("<u8")


def device_rows(devices: Array, cells: Array) -> Array:
    """Return the device parameters of the listed cells, (M, 8), from tiles."""
    # (pair, tile, (mu, sigma) of the pair's two features, lane) to (cell, mu … sigma …)
    rows = devices[:, cells >> LANE_BITS, :, cells & LAST_LANE].reshape(-1, 2, 2, 2)
    return np.ascontiguousarray(rows.transpose(0, 3, 1, 2).reshape(-1, 8))


def taken_state(storage: Storage, cells: Array) -> rules.SwitchingState:
    """Return a copy of the switching state of the listed cells."""
    tile, lane = cells >> LANE_BITS, cells & LAST_LANE
    status = storage.status[cells]
    return rules.SwitchingState(
        r=storage.r[cells],
        threshold=storage.switch[tile, layout.THRESHOLD, lane],
        steepness=storage.switch[tile, layout.STEEPNESS, lane],
        in_hrs=(status & layout.IN_HRS) != 0,
        in_lrs=(status & layout.IN_LRS) != 0,
    )


def put_state(storage: Storage, cells: Array, state: rules.SwitchingState) -> None:
    """Set the switching state of the listed cells."""
    tile, lane = cells >> LANE_BITS, cells & LAST_LANE
    storage.r[cells] = state.r
    storage.switch[tile, layout.THRESHOLD, lane] = state.threshold
    storage.switch[tile, layout.STEEPNESS, lane] = state.steepness
    flags = np.where(state.in_hrs, layout.IN_HRS, 0) | np.where(state.in_lrs, layout.IN_LRS, 0)
    kept = storage.status[cells] & np.uint32(0xFFFFFFFC)
    storage.status[cells] = kept | flags.astype(np.uint32)


class NumbaEngine(KernelEngine):
    """Engine that stores the state of ``rules.CellState`` in tiles (``layout``).

    Attributes
    ----------
    waiting
        What ``brief`` returns for cells that are not fabricated yet, empty for fresh cells; None:
        the cells are in memory.
    follows
        Whether the cells follow from their seed and what ``brief`` returns: they were fabricated
        here, and not restored from a file.
    """

    waiting: dict[str, Array] | None = None
    follows: bool = False
    _cells: Storage

    def __deepcopy__(self, memo: dict[int, object]) -> NumbaEngine:
        """Return a copy whose arrays are aligned to cache lines, too."""
        twin = copy.copy(self)
        if self.waiting is None:
            twin.cells = self.allocate()
            twin.restore(self.storage())
            twin.follows = self.follows
        else:
            twin.waiting = {name: array.copy() for name, array in self.waiting.items()}
        return twin

    def __setstate__(self, state: dict[str, object]) -> None:
        if "cells" in state:  # of an earlier version
            state["_cells"] = state.pop("cells")
        vars(self).update(state)

    @property
    def cells(self) -> Storage:
        """All cells; those that are waiting are fabricated."""
        if self.waiting is not None:
            self._fabricate_waiting()
        return self._cells

    @cells.setter
    def cells(self, storage: Storage) -> None:
        self._cells = storage

    @classmethod
    def defers(cls, model: CellModel) -> bool:
        """Tell whether states follow from what programs the cells: none fails, none has traps."""
        return model.failure is None and model.traps is None

    def fabricate_later(self) -> None:
        if self.defers(self.model):
            self.restore_brief({})
        else:
            self.fabricate(discardable=True)

    def _fabricate_waiting(self) -> None:
        check_capacity(self.n_cells, self.order, self.history, self.model)
        waiting = self.waiting
        assert waiting is not None
        try:
            self._cells = self.allocate()
            self.fabricate(discardable=True)
            if waiting:
                brief.complete(self, waiting)
        except BaseException:  # such as Ctrl-C: they still wait
            self.restore_brief(waiting)
            raise

    @property
    def deferred(self) -> bool:
        """Whether the cells are not in memory yet, but fabricated when first needed."""
        return self.waiting is not None

    def brief(self) -> dict[str, Array] | None:
        """Return ``r`` of cells that no pulse has reached, or ``brief.PULSED``."""
        if self.waiting:
            return {name: array.copy() for name, array in self.waiting.items()}
        if self.waiting is not None:  # fresh cells, whose states are not known yet
            self._fabricate_waiting()
        if not self.follows or not self.defers(self.model):
            return None
        return brief.brief_of(self)

    def check_brief(self, arrays: Mapping[str, Array]) -> None:
        brief.check_brief(self, arrays)

    def restore_brief(self, arrays: Mapping[str, Array]) -> None:
        self.waiting, self._cells = dict(arrays), NOTHING

    @property
    def nbytes(self) -> int:
        """Memory used by the state, in bytes."""
        held = self._cells if self.waiting is None else self.waiting.values()
        return sum(int(array.nbytes) for array in held)

    def allocate(self) -> Storage:
        """Return memory for all cells, aligned to cache lines."""
        tiles = self.groups * GROUP // LANES
        return Storage(
            r=aligned((LANES * tiles,), np.float32),
            status=aligned((LANES * tiles,), np.uint32),
            switch=aligned((tiles, 4, LANES), np.float32),
            history=aligned((self.groups, self.slots, TILES, 4, LANES), np.float32),
            devices=aligned((2, tiles, 4, LANES), np.float32),
        )

    def fabricate(self, *, discardable: bool = False) -> None:
        if not len(self._cells.r):
            self._cells = self.allocate()
        self.waiting, self.follows = None, True
        model, cells = self.parameters32, self._cells
        drawn = (population32(self.model), stationary_blocks(self.model, self.order))

        def work(low: int, high: int) -> None:
            fabricate(low, high, *drawn, cells, model, fabrication_work(self.slots))

        share(work, self.groups, self.n_cells, discardable=discardable)

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        u, each = plain(u), int(u.size != 1)
        touched, model, cells = self.n_cells, self.parameters32, self.cells
        if where is None:

            def kernel(low: int, high: int) -> None:
                work = switching_work(self.slots)
                apply_voltage(low, high, self.n_cells, u, each, cells, model, work)

        else:
            mask = _eights(where)
            touched = SCATTERED * int(np.count_nonzero(where))

            def kernel(low: int, high: int) -> None:
                work = switching_work(self.slots)
                apply_voltage_where(low, high, u, each, mask, cells, model, work)

        share(kernel, self.groups, touched)

    def apply_program(
        self, voltages: Array, reads: Array | None, noise: ReadNoise | None, number: int
    ) -> Array:
        """Apply pulses with reads between them; for few cells, a kernel does all of it."""
        if self.n_cells >= SMALL or not (noise is None or noise.linear):
            many: Array = super().apply_program(voltages, reads, noise, number)
            return many
        johnson, shot = map(np.float32, (noise or NONE).coefficients)
        linear = ((johnson, shot), self.slopes)
        pulses = len(voltages)
        out = np.empty((0 if reads is None else pulses, self.n_cells), np.float32)
        at = voltages if reads is None else reads
        piece = max(1, CELLS_AT_ONCE // self.n_cells)  # an interrupt waits for the end of one
        for low in range(0, pulses, piece):
            high = min(low + piece, pulses)
            apply_program(
                self.groups, self.n_cells, plain(voltages[low:high]), plain(at[low:high]),
                noise is not None, linear, (number + low) & WORD, out[low:high], self.cells,
                self.parameters32, switching_work(self.slots), noise_work(),
            )  # fmt: skip
        return out

    def features(self, cells: Array | None = None) -> drawing.Features:
        """Return the features of cells; for all cells, a kernel computes them."""
        if cells is not None:
            return super().features(cells)
        return drawing.Features(*self.features_of(self.cells, self.n_cells))

    @property
    def states(self) -> Array:
        """Mixing states r of all cells; not a copy."""
        if self.waiting:
            return self.waiting["r"]
        return np.asarray(self.cells.r[: self.n_cells])

    def parameters(self, cells: Array | None = None) -> Array:
        return device_rows(self.cells.devices, self._listed(cells))

    def components(self) -> Array:
        population, out = self.model.population, np.empty(self.n_cells, np.intp)
        fixed = self.cells.devices, population.log_spread, densities_of(population)

        def kernel(low: int, high: int) -> None:
            components(low, high, *fixed, scratch(), out)

        share(kernel, -(-self.n_cells // LANES), self.n_cells, discardable=True)
        return out

    def _listed(self, cells: Array | None) -> Array:
        return np.arange(self.n_cells) if cells is None else cells

    def blocks(self, cells: Array | None = None) -> Array:
        """Return the block of the current cycle as in ``rules.CellState``, (slots, 4, M)."""
        listed = self._listed(cells)
        block = np.empty((len(listed), self.slots, 4), np.float32)
        readout_kernels.pack(listed, self.cells.history, block)
        return block.transpose(1, 2, 0)

    def vectors(self, cells: Array | None = None) -> Array:
        block, cycle = self.blocks(cells), self.cycles(cells)
        return np.asarray(drawing.current_vector(block, cycle, self.order))

    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        return taken_state(self.cells, self._listed(cells))

    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        put_state(self.cells, cells, state)

    def program(self, cells: Array, r: Array) -> None:
        """Set cells to states; if all of them wait for their fabrication, they still do."""
        if self.waiting is not None and "status" not in self.waiting and self._are_all(cells):
            self.waiting = {"r": np.array(r, np.float32)}
            return
        self.program_storage(self.cells, self.n_cells, cells, r)

    def _are_all(self, cells: Array) -> bool:
        return len(cells) == self.n_cells and np.array_equal(cells, np.arange(self.n_cells))

    STORED = Storage._fields

    def storage(self) -> dict[str, Array]:
        return self.cells._asdict()

    def check(self, arrays: Mapping[str, Array]) -> None:
        held = self._cells if self.waiting is None else self.allocate()
        validity.check_fit(arrays, held._asdict())
        validity.check_tiles(arrays, rules.highest_state(self.model))

    def restore(self, arrays: Mapping[str, Array]) -> None:
        completed(lambda: self._copy_from(arrays))

    def _copy_from(self, arrays: Mapping[str, Array]) -> None:
        if not len(self._cells.r):
            self._cells = self.allocate()
        self.waiting, self.follows = None, False
        for name, array in arrays.items():
            getattr(self.cells, name)[...] = array
