"""Memory layout of the cells and of the model in the kernels.

Structure of arrays: the cell is the last axis of every array, so that neighbouring threads access
neighbouring addresses. Rows of two-dimensional arrays are addressed by 64-bit offsets from 32-bit
strides (bytes), which limits the number of cells.
"""

import warp as wp

MAX_CELLS = 2**29 - 1  # 4 bytes per cell: strides below 2**31


@wp.struct
class Cells:
    """State of n cells: ``rules.CellState``, u_set of the current cycle, device parameters."""

    r: wp.array[wp.float32]
    threshold: wp.array[wp.float32]  # V
    steepness: wp.array[wp.float32]  # A/V**eta
    in_hrs: wp.array[wp.bool]
    in_lrs: wp.array[wp.bool]
    cycle: wp.array[wp.int32]
    u_set: wp.array[wp.float32]  # V
    # (4 slots, n): p vectors x*, oldest first, then the averages of a model that has them
    block: wp.array2d[wp.float32]
    parameters: wp.array2d[wp.float32]  # (8, n): mu of the four features, then sigma


@wp.struct
class Model:
    """Model rounded to float32, and the random number keys of its cells."""

    lags: wp.array[wp.mat44]  # (p,)
    innovation: wp.mat44
    couplings: wp.array[wp.mat44]  # (m,), of the averages
    rates: wp.array[wp.float32]  # (m,)
    stationary: wp.array2d[wp.mat44]  # (slots, slots), lower Cholesky factor, newest cycle first
    bounds: wp.array[wp.uint64]  # (K,), ``drawing.component_bounds``
    log_spread: wp.bool  # whether sigma is the exponential of what is drawn
    means: wp.array2d[wp.vec4]  # (K, 2): of mu and sigma
    factors: wp.array2d[wp.mat44]  # (K, 3): mu from z; sigma from z and from z'
    marginals: wp.array3d[wp.float32]  # (4, pieces, degree + 1)
    piecewise: wp.bool
    plain: wp.bool  # features of the published model: the parts below are not used
    scales: wp.array2d[wp.float32]  # (4, 6), as ``numba.parts.Parts``
    wear: wp.array2d[wp.float32]  # (J, 9)
    failure: wp.vec4
    llrs: wp.array[wp.float32]
    hhrs: wp.array[wp.float32]
    g_llrs: wp.float32
    inverse_span: wp.float32
    top: wp.float32
    u_max: wp.float32
    eta: wp.float32
    low: wp.float32
    high: wp.float32
    slope_llrs: wp.float32  # dI/dU at 0 V for r = 0 …
    slope_span: wp.float32  # … and its difference between r = 1 and r = 0
    first: wp.uint64  # number of the first cell
    key_low: wp.uint32
    key_high: wp.uint32
