"""The cells of a layer: crossbar tiles of differential pairs.

A tile holds outputs x inputs pairs: row 2 i is G+ and row 2 i + 1 is G- of its i-th output. Cell
numbers go on from tile to tile, so all cells of a layer are different devices of one chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.engines.capacity import check_capacity
from synfab.engines.registry import EngineName, HistoryName, check_engine
from synfab.model.cell_model import CellModel
from synfab.random.arrays import to_numpy
from synfab.random.streams import MAX_SEED

Array = npt.NDArray[Any]


class Tile(NamedTuple):
    """One crossbar: its cells (2 outputs, inputs) and the weights they stand for."""

    cells: CellArray
    outputs: slice
    inputs: slice


class Tiles:
    """All crossbars of a layer.

    Parameters
    ----------
    model
        Technology.
    shape
        (outputs, inputs) of the layer.
    size
        Most (rows, columns) of cells in a tile; rows are even, two make an output.
    seed, first_cell, order, engine, history, device
        As in ``CellArray``.
    """

    def __init__(
        self,
        model: CellModel,
        shape: tuple[int, int],
        size: object,
        *,
        seed: int,
        first_cell: int,
        order: int | None = None,
        engine: EngineName = "auto",
        history: HistoryName = "float32",
        device: object = None,
    ) -> None:
        rows, columns = check_size(size)
        self.model, self.shape = model, shape
        self.first_cell = checks.integer("first_cell", first_cell, 0, MAX_SEED)
        self.size = (rows, columns)
        self.tiles: list[Tile] = []
        outputs, inputs = shape
        # Before the first of what may be a great many tiles is made.
        check_engine(engine, history)
        check_capacity(2 * outputs * inputs, model.history(order).order, history)
        begin = self.first_cell
        for low in range(0, outputs, rows // 2):
            for left in range(0, inputs, columns):
                high, right = min(low + rows // 2, outputs), min(left + columns, inputs)
                extent = (2 * (high - low), right - left)
                cells = CellArray(
                    model, extent, seed=seed, first_cell=begin, order=order, engine=engine,
                    history=history, device=device,
                )  # fmt: skip
                self.tiles.append(Tile(cells, slice(low, high), slice(left, right)))
                begin += cells.size
        self.end_cell = begin

    @property
    def seed(self) -> int:
        """Seed of the chip."""
        return self.tiles[0].cells.seed

    @property
    def cells(self) -> list[CellArray]:
        """Cells of every tile."""
        return [tile.cells for tile in self.tiles]

    @property
    def column_blocks(self) -> list[slice]:
        """Inputs that share a tile, from the first block to the last."""
        edges = sorted({(tile.inputs.start, tile.inputs.stop) for tile in self.tiles})
        return [slice(*edge) for edge in edges]

    def join(self, values: Sequence[Array]) -> Array:
        """(2, outputs, inputs), G+ and G-, from arrays of the tiles' shapes."""
        whole = np.empty((2, *self.shape), np.asarray(values[0]).dtype)
        for tile, value in zip(self.tiles, values, strict=True):
            whole[0, tile.outputs, tile.inputs] = value[0::2]
            whole[1, tile.outputs, tile.inputs] = value[1::2]
        return whole

    def split(self, whole: Array) -> list[Array]:
        """Arrays of the tiles' shapes from (2, outputs, inputs)."""
        parts = []
        for tile in self.tiles:
            part = np.empty(tile.cells.shape, whole.dtype)
            part[0::2] = whole[0, tile.outputs, tile.inputs]
            part[1::2] = whole[1, tile.outputs, tile.inputs]
            parts.append(part)
        return parts

    def states(self) -> Array:
        """Mixing states r of G+ and G-, (2, outputs, inputs), float32."""
        return self.join([to_numpy(cells.r) for cells in self.cells])

    def set_conductance(self, targets: Array) -> None:
        """Program every cell ideally; targets (2, outputs, inputs), S."""
        for cells, part in zip(self.cells, self.split(targets), strict=True):
            cells.set_conductance(part)


def check_size(size: object) -> tuple[int, int]:
    """Return (rows, columns) of a tile, or say what they are."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InvalidTypeError(f"tile: expected (rows, columns), found {checks.shown(size)}")
    rows, columns = (checks.integer("tile", value) for value in size)
    if rows < 2 or rows % 2 or columns < 1:
        raise InvalidValueError(
            f"tile: expected an even number of rows and a column or more, found {rows} x {columns}"
        )
    return rows, columns
