"""Memory layout of the cells in the kernels.

Eight cells form a tile. A row of a tile is one vector of half a cache line, so that groups are
streamed in whole vectors, and access to a single cell needs few cache lines.

    history  (groups, slots, TILES, 4, LANES)  the block of p vectors with the current cycle, then
                                           the averages, if the model has any
    devices  (2, tiles, 4, LANES)  mu, sigma, mu, sigma of r_hrs and u_set | of r_lrs and u_reset
    switch   (tiles, 4, LANES)     threshold, u_set | r(R_HRS), steepness
    status   (cells,)              cycle << 2 | in_lrs << 1 | in_hrs
    r        (cells,)

Kernels process groups of 256 cells: they gather the data of a group into small arrays that stay in
the L1 cache, compute in plain vector loops, and write the results back.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

GROUP_BITS, LANE_BITS = 8, 3
GROUP, LANES = 1 << GROUP_BITS, 1 << LANE_BITS
TILES = GROUP // LANES
# Number of cells whose blocks are drawn together: at p = 10 they fill half of the L1 cache.
BATCH = 128
LAST_TILE, LAST_LANE = TILES - 1, LANES - 1

IN_HRS, IN_LRS = 1, 2
CYCLE_BITS = 2
FLAGS = 3

# Rows of ``switch``: a SET needs only the first half of a tile, one cache line.
THRESHOLD, U_SET, R_HRS, STEEPNESS = 0, 1, 2, 3

# Indices into the constants of a model.
G_LLRS, INVERSE_SPAN, TOP, U_MAX, ETA, LOW, HIGH = range(7)

LINE = 64  # bytes of a cache line

LN_10 = np.float32(2.302585092994046)


class Storage(NamedTuple):
    """State of all cells; the module docstring lists shapes."""

    r: Any
    status: Any
    switch: Any
    history: Any
    devices: Any


class Cells(NamedTuple):
    """State of all cells as pointers, and the axes that kernels need."""

    r: Any
    status: Any
    switch: Any
    history: Any
    devices: Any
    order: Any  # p
    slots: Any  # p plus the number of averages
    tiles: Any


class Process(NamedTuple):
    """History of a model, rounded to float32."""

    lags: Any  # (p, 4, 4)
    innovation: Any  # (4, 4)
    couplings: Any  # (averages, 4, 4)
    rates: Any  # (averages,)


class Parameters(NamedTuple):
    """Model rounded to float32, and the random number keys of its cells."""

    process: Process
    marginals: Any  # tuples of tuples to unroll loops; piecewise: (4, n, degree + 1)
    llrs: Any
    hhrs: Any
    constants: Any
    parts: Any  # ``parts.Parts``, or None
    first: Any  # uint64: number of the first cell
    key: Any  # uint64: seed


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialised array that is aligned to a cache line, as JAX needs to share it."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.__array_interface__["data"][0] % LINE
    return raw[start : start + size].view(dtype).reshape(shape)
