"""Cells of a neural-network layer, as crossbar tiles of differential pairs.

A tile contains outputs x inputs pairs: row 2 i is G+ and row 2 i + 1 is G- of its i-th output. Cell
numbers continue from tile to tile, so all cells of a layer are distinct devices of one chip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
        for tiled, driven in extents(shape, self.size, groups):
            extent = (2 * (tiled.stop - tiled.start), driven.stop - driven.start)
            cells = deferred_cells(
                model, extent, seed=seed, first_cell=begin, order=order, engine=engine,
                history=history, arrays=arrays, device=device,
            )  # fmt: skip
            self.tiles.append(Tile(cells, tiled, driven))
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


def extents(
    shape: tuple[int, int], size: tuple[int, int], groups: int = 1
) -> Iterator[tuple[slice, slice]]:
    """Yield the slices of the outputs and of the inputs of each tile, in their order."""
    (outputs, inputs), (rows, columns) = shape, size
    each = outputs // groups
    for low in (g * each + k for g in range(groups) for k in range(0, each, rows // 2)):
        high = min(low + rows // 2, (low // each + 1) * each)
        for left in range(0, inputs, columns):
            yield slice(low, high), slice(left, min(left + columns, inputs))


def pair_numbers(shape: tuple[int, int], size: object) -> npt.NDArray[np.uint64]:
    """Return the numbers of the cells G+ and G- of a layer, from 0 on, (2, outputs, inputs).

    Examples
    --------
    >>> from synfab.programming.tiles import pair_numbers
    >>> pair_numbers((2, 2), (2, 2))[0].tolist()
    [[0, 1], [4, 5]]
    """
    whole, begin = np.empty((2, *shape), np.uint64), 0
    for outputs, inputs in extents(shape, check_size(size)):
        part = whole[:, outputs, inputs]
        number = begin + np.arange(part.size, dtype=np.uint64)
        # Rows of a tile alternate between G+ and G-.
        part[...] = number.reshape(part.shape[1], 2, part.shape[2]).swapaxes(0, 1)
        begin += part.size
    return whole


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
