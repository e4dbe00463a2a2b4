"""Optional parts of a model in the kernels: scales of features, wear-in, failure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import uint32, uint64

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.intrinsics import at, fma, wide_vectors
from synfab.engines.numba.layout import LN_10
from synfab.engines.numba.scalar import exp, f4, log, philox, uniform
from synfab.model.cell_model import CellModel
from synfab.physics.drawing import FAILURE_INDEX, NEVER

# Columns of ``Parts.scales``; the kinds are the indices of ``scale.KINDS``.
KIND, SIGN, SHIFT, LOW, HIGH, LEAST = range(6)
LINEAR, LOG, RECIPROCAL = 0.0, 1.0, 2.0
# Elements of ``Parts.failure``; a scale of 0 means that cells do not fail.
SCALE, INVERSE_SHAPE, SHARE, STUCK_HRS = range(4)


class Parts(NamedTuple):
    """Optional parts of a model, rounded to float32."""

    scales: Any  # (4, 6)
    wear: Any  # (J, 9): -1 / tau, four shifts, four logarithms of spreads
    failure: Any  # (4,)


def round_parts(model: CellModel) -> Parts | None:
    """Return the optional parts of a model; None if it has the features of the published one."""
    if model.is_plain:
        return None
    kinds = {"linear": LINEAR, "log": LOG, "reciprocal": RECIPROCAL}
    scales = [
        (kinds[s.kind], s.sign, s.shift, s.low, s.high,
         1.0 / s.magnitudes[1] if s.kind == "reciprocal" else 0.0)
        for s in model.scales
    ]  # fmt: skip
    wear, failure = np.zeros((0, 9)), np.zeros(4)
    if (given := model.wear_in) is not None:
        rates = -1.0 / given.cycles[:, None]
        wear = np.concatenate([rates, given.shift, given.log_spread], axis=1)
    if (ends := model.failure) is not None:
        failure = np.array([ends.scale, 1.0 / ends.shape, ends.share, ends.stuck_hrs])
    return Parts(*(np.ascontiguousarray(a, np.float32) for a in (scales, wear, failure)))


@part_njit()
def deviate(x, wear, terms, f, n, width):  # type: ignore[no-untyped-def]
    """Apply the wear-in of feature ``f`` in cycles ``n`` to deviations (``drawing.worn_in``)."""
    wide_vectors()
    for j in range(width):
        shift, log_spread = f4(0.0), f4(0.0)
        for k in range(terms):
            term = at(wear, 9 * k)
            decay = exp(n[j] * term[0])
            shift = fma(decay, term[1 + f], shift)
            log_spread = fma(decay, term[5 + f], log_spread)
        x[j] = fma(x[j], exp(log_spread), shift)


@part_njit()
def rescale(y, scale, width):  # type: ignore[no-untyped-def]
    """Replace values y by features (``drawing.scaled``)."""
    wide_vectors()
    sign, shift, low, high, least = scale[SIGN], scale[SHIFT], scale[LOW], scale[HIGH], scale[LEAST]
    if scale[KIND] == f4(LOG):
        for j in range(width):
            y[j] = exp(LN_10 * y[j]) + shift
    elif scale[KIND] == f4(RECIPROCAL):
        for j in range(width):
            y[j] = f4(1.0) / (y[j] if y[j] > least else least)
    for j in range(width):
        value = sign * y[j]
        value = value if value > low else low
        y[j] = value if value < high else high


@part_njit()
def fail(voltages, failure, pair, n, listed, run, model, count):  # type: ignore[no-untyped-def]
    """Set u_set or u_reset of failed cells to one that they never reach (``drawing.failed``).

    If ``run``, only the first of consecutive cells is listed.
    """
    key, first = model.key, model.first
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    for j in range(count):
        number = first + uint64(listed[0] + j if run else listed[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        w0, w1, w2, _ = philox(low, high, uint32(FAILURE_INDEX), uint32(0), k0, k1)
        life = exp(log(-log(uniform(w0))) * failure[INVERSE_SHAPE]) * failure[SCALE]
        if n[j] >= life and uniform(w1) <= failure[SHARE]:
            in_hrs = uniform(w2) <= failure[STUCK_HRS]
            if pair == 0 and in_hrs:
                voltages[j] = f4(-NEVER)
            if pair == 1 and not in_hrs:
                voltages[j] = f4(NEVER)
