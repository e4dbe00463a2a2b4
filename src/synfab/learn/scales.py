"""Choice of the scale of each feature: linear, logarithmic, reciprocal or shifted logarithmic."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.features import FeatureTable
from synfab.model.cell_model import FEATURES
from synfab.model.scale import PUBLISHED, Scale

# Mean log-likelihood per cycle by which another scale must be better than that of the published
# model, and a shifted logarithm better than all scales without a free parameter.
GAIN, SHIFT_GAIN = 0.005, 0.02
MIN_CYCLES = 3  # of a device whose cycles are used
MOST = 400_000  # cycles used
# Shifts that are tried: in units of the smallest magnitude, and of the median.
SHIFTS = ((0.5, 0.8, 0.95), (-0.5, -2.0))
# Draws reach beyond the measured range by this fraction of it, on the scale of the feature.
BEYOND = 0.5
# Smallest magnitude that a linear scale can draw, relative to the smallest measured one.
LEAST = 0.1
# A linear scale is not used if more than this share of the devices have a mean of less than this
# many standard deviations.
FEW, FAR = 0.01, 5.0


class ScaleChoice(NamedTuple):
    """The chosen scales, and the mean log-likelihood per cycle of each that was tried."""

    scales: tuple[Scale, ...]
    likelihoods: dict[str, dict[str, float]]


def choose_scales(features: FeatureTable, whole: FeatureTable | None = None) -> ScaleChoice:
    """Return the scale of each feature on which devices differ only by mean and spread.

    The likelihood is that of the model: each device has its own mean and standard deviation, and
    all share one distribution of the standardised values, whose entropy is estimated from spacings
    (Vasicek 1976). The range of each scale is that of the measurement, extended by half of it, but
    never across 0; ``whole`` is the measurement if ``features`` were converted to one condition.
    """
    chosen, tried = [], {}
    for f, name in enumerate(FEATURES):
        devices = _columns(features, f)
        scale, tried[name] = _choose(f, devices)
        measured = devices if whole is None else _columns(whole, f)
        chosen.append(_limited(scale, np.concatenate(measured)))
    return ScaleChoice(tuple(chosen), tried)


def describe_scale(scale: Scale) -> str:
    """Return a scale in words: "linear", "log", "reciprocal" or "log, shifted by …"."""
    return f"log, shifted by {scale.shift:.4g}" if scale.shift else scale.kind


def _columns(features: FeatureTable, f: int) -> list[Array]:
    """Return the finite values of a feature of each device with enough of them, or of all."""
    found = [v[np.isfinite(v).all(axis=1), f] for _, _, v in features.devices()]
    enough = [column for column in found if len(column) >= MIN_CYCLES]
    return enough or [column for column in found if len(column)]


def _choose(f: int, devices: list[Array]) -> tuple[Scale, dict[str, float]]:
    thin = max(1, -(-sum(map(len, devices)) // MOST))
    used = [column[::thin] for column in devices]
    values = np.concatenate(used)
    usual = PUBLISHED[f]
    if not len(values) or np.ptp(values) <= 1e-9 * np.abs(values).max():
        return usual, {}
    sign = 1.0 if float(np.median(values)) > 0.0 else -1.0
    magnitude = sign * values
    candidates = [Scale()]
    if magnitude.min() > 0.0:
        if _reaches_zero(used):
            candidates.clear()
        candidates.append(Scale("log", sign=sign))
        if f in (0, 2):
            candidates.append(Scale("reciprocal", low=magnitude.min(), high=2 * magnitude.max()))
    scores = {describe_scale(scale): _likelihood(scale, used) for scale in candidates}
    by_name = {describe_scale(scale): scale for scale in candidates}
    best = max(scores, key=lambda name: scores[name])
    if (
        usual.kind in scores
        and not by_name[best].shift
        and scores[best] < scores[usual.kind] + GAIN
    ):
        best = usual.kind
    shifted = [
        Scale("log", sign=sign, shift=shift)
        for shift in (*(s * float(magnitude.min()) for s in SHIFTS[0]),
                      *(s * float(np.median(magnitude)) for s in SHIFTS[1]))
        if float(magnitude.min()) > shift
    ]  # fmt: skip
    for scale in shifted:
        score = _likelihood(scale, used)
        if score > scores[best] + (0.0 if by_name[best].shift else SHIFT_GAIN):
            best = describe_scale(scale)
            scores[best], by_name[best] = score, scale
    return by_name[best], scores


def _reaches_zero(devices: list[Array]) -> bool:
    """Tell whether some devices would draw values near or beyond 0 on a linear scale."""
    near = [abs(c.mean()) < FAR * c.std(ddof=1) for c in devices if len(c) >= MIN_CYCLES]
    return bool(near) and float(np.mean(near)) > FEW


def _likelihood(scale: Scale, devices: list[Array]) -> float:
    """Return the mean log-likelihood per cycle of values on a scale."""
    total, jacobian, x, count = 0.0, 0.0, [], 0
    for column in devices:
        y = scale.y(column)
        spread = float(y.std(ddof=1)) if len(y) > 1 else 0.0
        if not spread > 0.0:
            continue
        total -= len(y) * math.log(spread)
        jacobian -= float(np.log(scale.slope(y)).sum())
        # The variance about the mean of few cycles is too small.
        x.append((y - y.mean()) / spread * math.sqrt(len(y) / (len(y) - 1.0)))
        count += len(y)
    return (total + jacobian) / count - _entropy(np.concatenate(x)) if count else -math.inf


def _entropy(x: Array) -> float:
    """Return the differential entropy of a sample from its spacings (Vasicek 1976)."""
    count = len(x)
    m = max(1, round(math.sqrt(count) / 2.0))
    ordered = np.sort(x)
    index = np.arange(count)
    high = ordered[np.minimum(index + m, count - 1)]
    low = ordered[np.maximum(index - m, 0)]
    steps = np.minimum(index + m, count - 1) - np.maximum(index - m, 0)
    gap = np.maximum(high - low, 1e-12)
    return float(np.mean(np.log(count * gap / steps)))


def _limited(scale: Scale, values: Array) -> Scale:
    """Return the scale with the range that draws may reach, on one side of 0."""
    sign = 1.0 if float(np.median(values)) > 0.0 else -1.0
    right = np.abs(values[sign * values > 0.0])  # noise can leave a few values on the wrong side
    ends = np.array([right.min(), right.max()])
    if ends[0] == ends[1]:  # a constant
        edges = ends * [0.5, 1.5]
    elif scale.kind == "reciprocal":
        y = 1.0 / ends[::-1]
        low, high = y + BEYOND * np.ptp(y) * np.array([-1.0, 1.0])
        edges = 1.0 / np.array([high, max(low, LEAST * y[0])])
    else:
        of_magnitude = Scale(scale.kind, shift=scale.shift)
        y = of_magnitude.y(ends)
        edges = of_magnitude.feature(y + BEYOND * np.ptp(y) * np.array([-1.0, 1.0]))
    bottom, top = max(float(edges[0]), LEAST * float(ends[0])), float(edges[1])
    low, high = (bottom, top) if sign > 0.0 else (-top, -bottom)
    return Scale(scale.kind, sign=scale.sign, shift=scale.shift, low=low, high=high)
