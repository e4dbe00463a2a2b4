"""The kernels that draw the history of cells, compiled for one order p and number of averages."""

from functools import cache
from typing import Any, NamedTuple

import warp as wp

from synfab.engines.warp.kernels import is_cell
from synfab.engines.warp.layout import Cells, Model
from synfab.engines.warp.physics import begin_with, feature, hrs_state, reset_cell
from synfab.engines.warp.scalar import normals, philox
from synfab.random.streams import Stream

POPULATION = wp.constant(wp.uint32(Stream.POPULATION))
INITIAL_HISTORY = wp.constant(wp.uint32(Stream.INITIAL_HISTORY))
INNOVATION = wp.constant(wp.uint32(Stream.INNOVATION))


class BlockKernels(NamedTuple):
    """Kernels of one order and number of averages, and ``Lags``, the type of (A_1 … A_p)."""

    fabricate: Any
    resets: Any
    begin_cycles: Any
    Lags: Any


@cache
def block_kernels(order: int, averages: int) -> BlockKernels:
    """Return the kernels of one order and number of averages.

    They keep the vectors of a cell in registers, whose numbers the compiler must know, and read and
    write a block once. (A_1 … A_p) is an argument, because kernels read arguments without a wait.
    """
    slots, past = order + averages, 4 * order
    name = f"{__name__}.of_order_{order}_{averages}"
    Vectors = wp.types.vector(length=4 * slots, dtype=wp.float32)
    Lags = wp.types.matrix(shape=(4, past), dtype=wp.float32)
    Past = wp.types.vector(length=past, dtype=wp.float32)

    @wp.kernel(module=name, enable_backward=False, grid_stride=False)
    def fabricate(cells: Cells, model: Model):  # type: ignore[no-untyped-def]
        """Apply ``drawing.fabricate`` and ``rules.fresh_state``."""
        c = wp.tid()
        number = model.first + wp.uint64(c)
        k0 = model.key_low
        k1 = model.key_high
        pick, _w1, _w2, _w3 = philox(number, wp.uint32(0), POPULATION, k0, k1)
        k = wp.int32(0)
        for j in range(model.bounds.shape[0] - 1):
            if wp.uint64(pick) >= model.bounds[j]:
                k = j + 1
        z = normals(number, wp.uint32(1), POPULATION, k0, k1)
        z_more = normals(number, wp.uint32(2), POPULATION, k0, k1)
        mu = model.means[k, 0] + model.factors[k, 0] * z
        sigma = model.means[k, 1] + model.factors[k, 1] * z + model.factors[k, 2] * z_more
        for f in range(4):
            spread = sigma[f]
            if model.log_spread:
                spread = wp.exp(spread)
            cells.parameters[f, c] = mu[f]
            cells.parameters[4 + f, c] = spread

        # Independent numbers, newest cycle first, then the averages; then they are correlated.
        drawn = Vectors()
        for i in range(wp.static(slots)):
            z = normals(number, wp.uint32(i), INITIAL_HISTORY, k0, k1)
            for f in range(4):
                drawn[4 * i + f] = z[f]
        for i in range(wp.static(slots)):
            x = wp.vec4(0.0, 0.0, 0.0, 0.0)
            for m in range(wp.static(i + 1)):
                z = wp.vec4(drawn[4 * m], drawn[4 * m + 1], drawn[4 * m + 2], drawn[4 * m + 3])
                x = x + model.stationary[i, m] * z
            slot = wp.static(order - 1 - i if i < order else i)  # cycles: the oldest first
            for f in range(4):
                cells.block[4 * slot + f, c] = x[f]

        cells.cycle[c] = 0
        cells.r[c] = hrs_state(cells, model, c)
        cells.u_set[c] = feature(cells, model, c, 1)
        cells.threshold[c] = 0.0
        cells.steepness[c] = 0.0
        cells.in_hrs[c] = True
        cells.in_lrs[c] = False

    @wp.func
    def next_block(  # type: ignore[no-untyped-def]
        cells: Cells,
        model: Model,
        lags: Lags,  # type: ignore[valid-type]
        c: wp.int32,
        cycle: wp.int32,
    ):
        """Replace a block by the next p vectors, the oldest one first (``drawing.next_block``)."""
        number = model.first + wp.uint64(c)
        before = Past()  # the p vectors, newest first
        for k in range(wp.static(past)):
            before[k] = cells.block[wp.static(4 * (order - 1 - k // 4) + k % 4), c]
        for s in range(model.lags.shape[0]):  # a loop: the code of p steps would not fit the cache
            index = wp.uint32(cycle + 1 + s)
            eps = normals(number, index, INNOVATION, model.key_low, model.key_high)
            x = model.innovation * eps + lags * before
            for j in range(wp.static(averages)):
                k = 4 * (order + j)
                x = x + model.couplings[j] * wp.vec4(
                    cells.block[k, c], cells.block[k + 1, c],
                    cells.block[k + 2, c], cells.block[k + 3, c],
                )  # fmt: skip
            for j in range(wp.static(averages)):
                for f in range(4):
                    average = cells.block[4 * (order + j) + f, c]
                    moved = average + model.rates[j] * (x[f] - average)
                    cells.block[4 * (order + j) + f, c] = moved
            for k in range(wp.static(past - 4)):
                before[wp.static(past - 1 - k)] = before[wp.static(past - 5 - k)]
            for f in range(4):
                before[f] = x[f]
                cells.block[4 * s + f, c] = x[f]

    @wp.kernel(module=name, enable_backward=False, grid_stride=False)
    def resets(  # type: ignore[no-untyped-def]
        cells: Cells, model: Model, lags: Lags, u: wp.array[wp.float32],  # type: ignore[valid-type]
        listed: wp.array[wp.int32], counts: wp.array[wp.int32], turn: wp.int32, threads: wp.int32,
    ):  # fmt: skip
        """RESET the listed cells, all in the LRS, with a new block of history.

        The number of cells is in ``counts[turn]``; the other count is set to zero for the next
        pulse. Cells are removed from the list, so that the kernel may be started twice.
        """
        thread = wp.tid()
        if thread == 0:
            counts[1 - turn] = 0
        for k in range(thread, counts[turn], threads):  # type: ignore[arg-type]
            c = listed[k]
            listed[k] = -1
            if c >= 0:
                cycle = cells.cycle[c]
                next_block(cells, model, lags, c, cycle)
                begin_with(cells, model, c, cycle + 1, cells.block[1, c], model.plain)
                voltage = u[wp.min(c, u.shape[0] - 1)]
                threshold = cells.threshold[c]
                x = cells.block[0, c]
                reset_cell(cells, model, c, voltage, threshold, True, cycle + 1, x, model.plain)

    @wp.kernel(module=name, enable_backward=False, grid_stride=False)
    def begin_cycles(  # type: ignore[no-untyped-def]
        cells: Cells,
        model: Model,
        lags: Lags,  # type: ignore[valid-type]
        listed: wp.array[wp.int32],
    ):
        """Apply ``drawing.draw_cycle`` to the listed cells."""
        c = listed[wp.tid()]
        if is_cell(cells, c):
            cycle = cells.cycle[c]
            slot = cycle % order
            if slot == 0:
                next_block(cells, model, lags, c, cycle)
            begin_with(cells, model, c, cycle + 1, cells.block[4 * slot + 1, c], model.plain)

    return BlockKernels(fabricate, resets, begin_cycles, Lags)
