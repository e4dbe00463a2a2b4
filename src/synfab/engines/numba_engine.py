"""The default engine on a CPU: Numba kernels over tiles of four cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synfab import rules
from synfab.engines import kernels, readout_kernels
from synfab.engines.threads import share
from synfab.errors import FileFormatError
from synfab.model import CellModel

Array = npt.NDArray[Any]

HISTORY_TYPES = {"float32": np.float32, "int16": np.int16}
LINE = 64  # bytes of a cache line; tiles begin on one


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an empty array that begins on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def _eights(mask: Array) -> Array:
    """Eight booleans a word, so that stretches without a selected cell are passed over fast."""
    short = -mask.size % 8
    whole = np.pad(mask, (0, short)) if short else mask
    return whole.view("<u8")


class NumbaEngine:
    """Cells in tiles of four (see ``kernels``); the state that ``rules.CellState`` describes."""

    def __deepcopy__(self, memo: dict[int, object]) -> NumbaEngine:
        """Copy into arrays that begin on a cache line again."""
        width = "int16" if self.quantise else "float32"
        twin = NumbaEngine(
            self.model, self.n_cells, int(self.key), int(self.first), self.order, width
        )
        twin.restore(self.storage())
        return twin

    def __init__(
        self, model: CellModel, n_cells: int, seed: int, first_cell: int, order: int, history: str
    ) -> None:
        self.model, self.n_cells, self.order = model, n_cells, order
        self.first, self.key = np.uint64(first_cell), np.uint64(seed)
        self.quantise = history == "int16"
        self._constants()
        self.groups = -(-n_cells // kernels.GROUP)
        tiles = self.groups * kernels.GROUP // kernels.LANES
        self.r = aligned((4 * tiles,), np.float32)
        self.status = aligned((4 * tiles,), np.uint32)
        self.switch = aligned((tiles, 4, 4), np.float32)
        self.devices = aligned((2, tiles, 4, 4), np.float32)
        self.history = aligned((self.groups, order, kernels.TILES, 4, 4), HISTORY_TYPES[history])

    def _constants(self) -> None:
        """Round the model to float32 once."""
        conduction, process = self.model.conduction, self.model.history(self.order)
        length = max(len(conduction.hhrs), len(conduction.llrs))
        self.llrs, self.hhrs = (
            tuple(np.pad(curve, (length - len(curve), 0)).astype(np.float32))
            for curve in (conduction.llrs, conduction.hhrs)
        )
        values = (
            conduction.g_llrs,
            1.0 / (conduction.g_llrs - conduction.g_hhrs),
            rules.highest_state(self.model),
            conduction.u_max,
            conduction.eta,
            *conduction.voltage_range,
        )
        self.constants = tuple(np.array(values, np.float32))
        self.lags = process.lags.astype(np.float32)
        self.innovation = process.innovation.astype(np.float32)
        self.marginals = tuple(tuple(row) for row in self.model.marginals.astype(np.float32))

    @property
    def _cells(self) -> tuple[Array, ...]:
        return self.r, self.status, self.switch, self.history, self.devices

    def fabricate(self) -> None:
        """Make fresh cells."""
        population = self.model.population
        fixed = (
            np.array(rules.component_bounds(self.model), np.uint64),
            population.means.astype(np.float32),
            population.factors.astype(np.float32),
            self.model.history(self.order).stationary_factor.astype(np.float32),
            self.marginals,
            self.constants,
            self.quantise,
            self.first,
            self.key,
        )

        def work(low: int, high: int) -> None:
            kernels.fabricate(low, high, *self._cells, *fixed)

        share(work, self.groups, self.n_cells)

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Let cells switch: ``u`` float32 of one or n_cells elements, ``where`` bool or None."""
        mask = np.empty(0, np.uint64) if where is None else _eights(where)
        each = int(u.size != 1)

        def work(low: int, high: int) -> None:
            kernels.apply_voltage(
                low, high, self.n_cells, u, each, mask, where is not None, *self._cells,
                self.lags, self.innovation, self.marginals, self.llrs, self.hhrs,
                self.constants, self.quantise, self.first, self.key,
            )  # fmt: skip

        share(work, self.groups, self.n_cells)

    def current(self, u: Array) -> Array:
        """Current without noise of every cell, A; ``u`` as in ``apply_voltage``."""
        out = np.empty(self.n_cells, np.float32)
        each = int(u.size != 1)

        def work(low: int, high: int) -> None:
            readout_kernels.current(
                low, high, self.r, u, each, self.llrs, self.hhrs, self.constants, out
            )

        share(work, self.n_cells, self.n_cells)
        return out

    def read(self, u: Array, number: int, johnson: float, shot: float) -> Array:
        """Current with the noise of read ``number``; variance johnson G + shot abs(I)."""
        out = self.current(u)
        conduction = self.model.conduction
        slope = conduction.slope([0.0, 1.0], 0.0)
        fixed = (
            self.r, u, int(u.size != 1), np.float32(johnson), np.float32(shot),
            np.float32(slope[0]), np.float32(slope[1] - slope[0]), out,
            self.first, np.uint32(number), self.key,
        )  # fmt: skip

        def work(low: int, high: int) -> None:
            readout_kernels.add_read_noise(low, high, *fixed)

        share(work, self.n_cells, self.n_cells)
        return out

    def readout_noise(self, rows: int, count: int, number: int) -> Array:
        """Normal numbers of a crossbar readout, (rows, count)."""
        out = np.empty((rows, count), np.float32)
        readout_kernels.readout_noise(np.uint32(number), self.key, out)
        return out

    def row_sums(self, columns: int, weights: Array) -> Array:
        """Sum over columns of r times each row of ``weights`` (B, columns): (rows, B)."""
        rows = self.n_cells // columns
        out = np.empty((rows, len(weights)), np.float64)

        def work(low: int, high: int) -> None:
            readout_kernels.row_sums(low, high, self.r, columns, weights, out)

        share(work, rows, self.n_cells * len(weights))
        return out

    def features(self) -> Array:
        """Features of the current cycle, (4, n_cells)."""
        out = np.empty((4, self.n_cells), np.float32)

        def work(low: int, high: int) -> None:
            readout_kernels.features(
                low, high, self.n_cells, self.history, self.devices, self.status,
                self.marginals, self.quantise, out,
            )  # fmt: skip

        share(work, self.groups, self.n_cells)
        return out

    @property
    def in_hrs(self) -> Array:
        """Flags of cells that are completely RESET."""
        return np.asarray((self.status[: self.n_cells] & kernels.IN_HRS) != 0)

    @property
    def in_lrs(self) -> Array:
        """Flags of cells that are SET."""
        return np.asarray((self.status[: self.n_cells] & kernels.IN_LRS) != 0)

    @property
    def cycle(self) -> Array:
        """Cycle numbers n."""
        return self.status[: self.n_cells] >> 2

    @property
    def states(self) -> Array:
        """Mixing state r."""
        return self.r[: self.n_cells]

    def parameters(self) -> Array:
        """Device parameters, (n_cells, 8): mu of the four features, then sigma."""
        return self._parameters(np.arange(self.n_cells))

    def _parameters(self, cells: Array) -> Array:
        # (pair, tile, (mu, sigma) of the pair's two features, lane) to (cell, mu … sigma …)
        rows = self.devices[:, cells >> 2, :, cells & 3].reshape(-1, 2, 2, 2)
        return np.ascontiguousarray(rows.transpose(0, 3, 1, 2).reshape(-1, 8))

    def take(self, cells: Array) -> tuple[rules.Devices, rules.CellState]:
        """State of the listed cells in the form of ``rules`` (a copy)."""
        tile, lane = cells >> 2, cells & 3
        status = self.status[cells]
        block = np.empty((len(cells), self.order, 4), self.history.dtype)
        readout_kernels.pack(cells, self.history, block)
        scaled = block.astype(np.float32) / np.float32(kernels.QUANTUM if self.quantise else 1.0)
        number = cells.astype(np.uint64) + self.first
        words = (
            (number & np.uint64(0xFFFFFFFF)).astype(np.uint32),
            (number >> np.uint64(32)).astype(np.uint32),
        )
        parameters = self._parameters(cells).T
        state = rules.CellState(
            r=self.r[cells],
            threshold=self.switch[tile, kernels.THRESHOLD, lane],
            steepness=self.switch[tile, kernels.STEEPNESS, lane],
            in_hrs=(status & kernels.IN_HRS) != 0,
            in_lrs=(status & kernels.IN_LRS) != 0,
            cycle=status >> 2,
            block=scaled.transpose(1, 2, 0),
        )
        return rules.Devices(int(self.key), words, parameters), state

    def put(self, cells: Array, state: rules.CellState) -> None:
        """Set what ``rules.program`` changes of the listed cells."""
        tile, lane = cells >> 2, cells & 3
        self.r[cells] = state.r
        self.switch[tile, kernels.THRESHOLD, lane] = state.threshold
        self.switch[tile, kernels.STEEPNESS, lane] = state.steepness
        flags = np.where(state.in_hrs, kernels.IN_HRS, 0) | np.where(
            state.in_lrs, kernels.IN_LRS, 0
        )
        self.status[cells] = (self.status[cells] & np.uint32(0xFFFFFFFC)) | flags.astype(np.uint32)

    STORED = ("r", "status", "switch", "devices", "history")

    def storage(self) -> dict[str, Array]:
        """Arrays that hold the whole state, for files."""
        return {name: getattr(self, name) for name in self.STORED}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take over what ``storage`` gave."""
        for name, array in arrays.items():
            mine = getattr(self, name)
            if array.shape != mine.shape or array.dtype != mine.dtype:
                raise FileFormatError(
                    f"{name}: expected {mine.dtype} {mine.shape}, found {array.dtype} {array.shape}"
                )
            mine[...] = array
