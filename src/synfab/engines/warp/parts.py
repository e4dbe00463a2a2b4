"""Optional parts of a model in the kernels: scales of features, wear-in, failure."""

import warp as wp

from synfab.engines.numba import parts
from synfab.engines.warp.layout import Model
from synfab.engines.warp.scalar import LN_10, philox, uniform
from synfab.physics import drawing
from synfab.random.streams import Stream

KIND, SIGN, SHIFT = wp.constant(parts.KIND), wp.constant(parts.SIGN), wp.constant(parts.SHIFT)
LOW, HIGH, LEAST = wp.constant(parts.LOW), wp.constant(parts.HIGH), wp.constant(parts.LEAST)
LOG = wp.constant(wp.float32(parts.LOG))
RECIPROCAL = wp.constant(wp.float32(parts.RECIPROCAL))
SCALE, INVERSE_SHAPE = wp.constant(parts.SCALE), wp.constant(parts.INVERSE_SHAPE)
SHARE, STUCK_HRS = wp.constant(parts.SHARE), wp.constant(parts.STUCK_HRS)
NEVER = wp.constant(wp.float32(drawing.NEVER))
FAILURE_INDEX = wp.constant(wp.uint32(drawing.FAILURE_INDEX))
POPULATION = wp.constant(wp.uint32(Stream.POPULATION))


@wp.func
def worn_in(model: Model, f: wp.int32, n: wp.float32, deviation: wp.float32):  # type: ignore[no-untyped-def]
    """Return the deviation of feature ``f`` in cycle ``n`` (``drawing.worn_in``)."""
    shift = wp.float32(0.0)
    log_spread = wp.float32(0.0)
    for j in range(model.wear.shape[0]):
        decay = wp.exp(n * model.wear[j, 0])
        shift = shift + decay * model.wear[j, 1 + f]
        log_spread = log_spread + decay * model.wear[j, 5 + f]
    return deviation * wp.exp(log_spread) + shift


@wp.func
def scaled(model: Model, f: wp.int32, y: wp.float32):  # type: ignore[no-untyped-def]
    """Return feature ``f`` of y (``drawing.scaled``)."""
    kind = model.scales[f, KIND]
    value = y
    if kind == LOG:
        value = wp.exp(LN_10 * y) + model.scales[f, SHIFT]
    if kind == RECIPROCAL:
        value = 1.0 / wp.max(y, model.scales[f, LEAST])
    value = wp.max(model.scales[f, SIGN] * value, model.scales[f, LOW])
    return wp.min(value, model.scales[f, HIGH])


@wp.func
def failed(  # type: ignore[no-untyped-def]
    model: Model, number: wp.uint64, f: wp.int32, n: wp.float32, value: wp.float32
):
    """Return u_set or u_reset in cycle ``n``: out of reach in failed cells (``drawing.failed``)."""
    w0, w1, w2, _w3 = philox(number, FAILURE_INDEX, POPULATION, model.key_low, model.key_high)
    life = wp.exp(wp.log(-wp.log(uniform(w0))) * model.failure[INVERSE_SHAPE])
    result = value
    if n >= life * model.failure[SCALE] and uniform(w1) <= model.failure[SHARE]:
        in_hrs = uniform(w2) <= model.failure[STUCK_HRS]
        if f == 1 and in_hrs:
            result = -NEVER
        if f == 3 and not in_hrs:
            result = NEVER
    return result
