"""Cells of a neural-network layer, as crossbar tiles of differential pairs.

A tile contains outputs x inputs pairs: row 2 i is G+ and row 2 i + 1 is G- of its i-th output. Cell
numbers continue from tile to tile, so all cells of a layer are distinct devices of one chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.deferred import deferred_cells
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, ArraysName
from synfab.engines.capacity import check_capacity
from synfab.engines.registry import EngineName, HistoryName, check_engine, engine_class
from synfab.model.cell_model import CellModel
from synfab.random.arrays import to_numpy
from synfab.random.streams import MAX_SEED


class Tile(NamedTuple):
    """One crossbar: its cells (2 outputs, inputs) and the slices of the weights they encode."""

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
        Maximum (rows, columns) of a tile; rows are even, two per output.
    groups
        Number of groups of outputs with inputs of their own, which share no tile; ``shape`` has the
        inputs of one group.
    seed, first_cell, order, engine, history, arrays, device
        As in ``CellArray``.
    """

    def __init__(
        self,
        model: CellModel,
        shape: tuple[int, int],
        size: object,
        *,
        groups: int = 1,
        seed: int,
        first_cell: int,
        order: int | None = None,
        engine: EngineName = "auto",
        history: HistoryName = "float32",
        arrays: ArraysName = "numpy",
        device: object = None,
    ) -> None:
        rows, columns = check_size(size)
        self.model, self.shape = model, shape
        self.first_cell = checks.integer("first_cell", first_cell, 0, MAX_SEED)
        self.size, self.groups = (rows, columns), groups
        self.tiles: list[Tile] = []
        outputs, inputs = shape
        # Checked before creating any tile, as there may be many.
        name = check_engine(engine, history)
        deferred = engine_class(name, history).defers(model)
        check_capacity(
            2 * outputs * inputs, model.history(order).order, history, model, deferred=deferred
        )
        begin = self.first_cell
        each = outputs // groups
        for low in (g * each + k for g in range(groups) for k in range(0, each, rows // 2)):
            for left in range(0, inputs, columns):
                high = min(low + rows // 2, (low // each + 1) * each)
                right = min(left + columns, inputs)
                extent = (2 * (high - low), right - left)
                cells = deferred_cells(
                    model, extent, seed=seed, first_cell=begin, order=order, engine=engine,
                    history=history, arrays=arrays, device=device,
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
        """Cell array of every tile."""
        return [tile.cells for tile in self.tiles]

    def group_of(self, tile: Tile) -> int:
        """Return the number of the group of outputs that a tile belongs to."""
        start: int = tile.outputs.start
        return start * self.groups // self.shape[0]

    @property
    def column_blocks(self) -> list[slice]:
        """Slices of the inputs that share a tile, in order."""
        edges = sorted({(tile.inputs.start, tile.inputs.stop) for tile in self.tiles})
        return [slice(*edge) for edge in edges]

    def join(self, values: Sequence[Array]) -> Array:
        """Return arrays of the tiles' shapes joined to (2, outputs, inputs), G+ and G-."""
        whole = np.empty((2, *self.shape), np.asarray(values[0]).dtype)
        for tile, value in zip(self.tiles, values, strict=True):
            whole[0, tile.outputs, tile.inputs] = value[0::2]
            whole[1, tile.outputs, tile.inputs] = value[1::2]
        return whole

    def split(self, whole: Array) -> list[Array]:
        """Return an array (2, outputs, inputs) split into arrays of the tiles' shapes."""
        parts = []
        for tile in self.tiles:
            part = np.empty(tile.cells.shape, whole.dtype)
            part[0::2] = whole[0, tile.outputs, tile.inputs]
            part[1::2] = whole[1, tile.outputs, tile.inputs]
            parts.append(part)
        return parts

    def states(self) -> Array:
        """Return the mixing states r of G+ and G-, (2, outputs, inputs), float32."""
        return self.join([to_numpy(cells.r) for cells in self.cells])

    def set_conductance(self, targets: Array) -> None:
        """Set every cell ideally to its target; targets (2, outputs, inputs), S."""
        for cells, part in zip(self.cells, self.split(targets), strict=True):
            cells.set_conductance(part)


def check_size(size: object) -> tuple[int, int]:
    """Return the validated (rows, columns) of a tile."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InvalidTypeError(f"tile: expected (rows, columns), found {checks.shown(size)}")
    rows, columns = (checks.integer("tile", value) for value in size)
    if rows < 2 or rows % 2 or columns < 1:
        raise InvalidValueError(
            f"tile: expected an even number of rows and a column or more, found {rows} x {columns}"
        )
    return rows, columns
