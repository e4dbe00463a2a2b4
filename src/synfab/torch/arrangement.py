"""Where the cells of weights are in the rows of tiles, and how the lines are combined to outputs.

A line is what a converter reads: the difference of the two rows of a pair with differential
mapping, one row with offset mapping. There, the last rows of a tile hold references, one for each
slice, whose converted currents are subtracted from those of the other rows of the tile. The number
of rows of a tile is even; an odd one has a spare row at ``g_min``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from synfab.common.types import Array
from synfab.programming.pairs import conductances, normalised, row_blocks
from synfab.torch.slicing import offset_levels, pair_levels, weight_factors

if TYPE_CHECKING:
    from synfab.torch.options import LayerOptions


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How the weights of a layer, (outputs, inputs), are arranged on lines of cells.

    Attributes
    ----------
    weights
        Shape of the weights, (outputs, inputs).
    shape
        Shape of the layer's tiles together, (pairs of rows, inputs).
    slices
        Lines of each output.
    factors
        Factor of each slice, see ``slicing``.
    own, reference
        Line of each slice of each output, and of its reference, (outputs * slices,); None: line k,
        without a reference.
    """

    weights: tuple[int, int]
    shape: tuple[int, int]
    slices: int
    factors: tuple[float, ...]
    own: Array | None = None
    reference: Array | None = None

    @classmethod
    def of(cls, options: LayerOptions, weights: tuple[int, int], groups: int) -> Arrangement:
        """Return the arrangement that the options of a layer describe."""
        (outputs, inputs), slices = weights, options.slices
        factors = tuple(weight_factors(options.mapping, options.bits, slices).tolist())
        if options.mapping == "differential":
            return cls(weights, (outputs * slices, inputs), slices, factors)
        own, reference, rows = _rows(outputs // groups, slices, options.tile[0])
        begins = rows * np.arange(groups)[:, None]
        lines = [(begins + part).ravel() for part in (own, reference)]
        return cls(weights, (groups * rows // 2, inputs), slices, factors, *lines)

    @property
    def is_plain(self) -> bool:
        """Whether each output is one line."""
        return self.slices == 1 and self.own is None

    @property
    def cells_per_line(self) -> int:
        """Number of cells at each crossing of a line and an input."""
        return 2 if self.own is None else 1

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.shape[0] * 2 // self.cells_per_line

    @property
    def converted(self) -> int:
        """Number of lines that are converted: all but spare rows."""
        return self.lines if self._used is None else len(self._used)

    def without_spare(self, values: Tensor) -> Tensor:
        """Return values of lines (…, lines) without those of spare rows."""
        return values if self._used is None else values[..., self._used]

    @cached_property
    def _used(self) -> Array | None:
        if self.own is None or self.reference is None:
            return None
        return np.union1d(self.own, self.reference)

    def targets(
        self, weight: Array, w_max: Array, window: tuple[float, float], bits: int | None
    ) -> Array:
        """Return the conductances of all cells for weights, (2, pairs of rows, inputs), S.

        Parameters
        ----------
        weight
            (outputs, inputs).
        w_max
            Weight that is mapped to the whole window, (outputs or 1, inputs or 1).
        window, bits
            As in ``LayerOptions``.

        Raises
        ------
        InvalidValueError
            A weight is not finite, or its magnitude is larger than ``w_max``.
        """
        if self.own is None or self.reference is None:
            return self._pair_targets(weight, w_max, window, bits)
        levels, reference = offset_levels(normalised(weight, w_max), bits, self.slices)
        rows = np.zeros((2 * self.shape[0], self.shape[1]))
        rows[self.own] = levels
        rows[self.reference] = np.tile(reference, self.weights[0])[:, None]
        return conductances(np.stack([rows[0::2], rows[1::2]]), window)

    def _pair_targets(
        self, weight: Array, w_max: Array, window: tuple[float, float], bits: int | None
    ) -> Array:
        found = np.empty((2, *self.shape))
        for rows in row_blocks(weight.shape):
            part = normalised(weight[rows], w_max if len(w_max) == 1 else w_max[rows])
            lines = slice(rows.start * self.slices, rows.stop * self.slices)
            found[:, lines] = conductances(pair_levels(part, bits, self.slices), window)
        return found

    def line_states(self, plus: Tensor, minus: Tensor) -> tuple[Tensor, Tensor]:
        """Return difference and sum of the states of each line's cells, (lines, inputs).

        ``plus`` and ``minus`` are the states r of even and odd rows, (pairs of rows, inputs). The
        difference is r- minus r+, which grows with the current; of a single cell it is -r.
        """
        if self.own is None:
            return minus - plus, plus + minus
        rows = torch.stack([plus, minus], dim=1).reshape(self.lines, -1)
        return -rows, rows

    def combined(self, values: Tensor) -> Tensor:
        """Return outputs (…, outputs) for the values of lines, (…, lines)."""
        if self.is_plain:
            return values
        if self.own is not None and self.reference is not None:
            values = values[..., self.own] - values[..., self.reference]
        parts = values.reshape(*values.shape[:-1], -1, self.slices)
        return (parts * parts.new_tensor(self.factors)).sum(dim=-1)


def _rows(outputs: int, slices: int, most: int) -> tuple[Array, Array, int]:
    """Return rows of a group's outputs and of their references, and the number of all its rows."""
    in_tile = most // slices - 1  # outputs of a full tile
    number, place = np.divmod(np.arange(outputs), in_tile)
    last = outputs - (outputs - 1) // in_tile * in_tile  # outputs of the last tile
    held = np.where(number == number[-1], last, in_tile)
    slice_ = np.arange(slices)
    own = (number * most + place * slices)[:, None] + slice_
    reference = (number * most + held * slices)[:, None] + slice_
    rows = int(number[-1]) * most + (last + 1) * slices
    return own.ravel(), reference.ravel(), rows + rows % 2
