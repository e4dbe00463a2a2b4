"""Effect of conditions (compliance, stop voltage) on the features: a robust regression.

Within each device, y = mean of the device + sum_i t_i c_i + residual, where t_i is a condition on a
linear, logarithmic or reciprocal scale. The effect is removed before the model is fitted, so that
it is not taken for cycle-to-cycle variability.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array
from synfab.learn.features import FeatureTable, from_y, to_y
from synfab.learn.readers.tables import Table
from synfab.learn.tables import as_features
from synfab.model.cell_model import FEATURES
from synfab.model.conditions import SCALES, UNITS, Conditions, transform
from synfab.model.scale import PUBLISHED, Scale

logger = logging.getLogger(__name__)

MAX_ROWS = 100_000  # rows that decide; whole devices
SCALE_ROWS = 20_000  # rows that decide about the scale
HUBER = 1.345  # residuals above so many standard deviations count less (95 % efficiency)
STEPS = 12
CONSTANT = 1e-3  # relative deviation within a device below which a condition is constant
LAGS = 100
MIN_DEVICES = 8  # for errors from the scatter of devices


@no_array("fit.conditions")
@dataclass(frozen=True)
class ConditionFit:
    """Fitted effect of the conditions.

    Attributes
    ----------
    conditions
        For ``CellModel``; None if no condition matters.
    explained
        Share of the variance within devices that the conditions explain, per feature.
    spread_ratio
        Standard deviation (robust) of the rest above the reference of the first condition, divided
        by that below. The model has one spread for all conditions.
    detected
        Conditions that were not recorded but detected in the loops.
    notes
        Why conditions are not part of the model.
    """

    conditions: Conditions | None = None
    explained: Mapping[str, float] = field(default_factory=dict)
    spread_ratio: Mapping[str, float] = field(default_factory=dict)
    detected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return diagnostics for ``FitResult``, empty if no condition was recorded or detected."""
        found: dict[str, Any] = {}
        if self.conditions is not None:
            found["conditions"] = {
                name: f"{low:.4g} … {high:.4g} {UNITS[name]}, {scale}, median {middle:.4g}"
                + (", detected" if name in self.detected else "")
                for name, (low, high), scale, middle in zip(
                    self.conditions.names, self.conditions.ranges, self.conditions.scales,
                    self.conditions.reference, strict=True,
                )
            }  # fmt: skip
            found["variance_explained_by_conditions"] = dict(self.explained)
            found["spread_ratio_over_conditions"] = dict(self.spread_ratio)
        if self.notes:
            found["conditions_not_used"] = list(self.notes)
        return found


def fit_conditions(
    features: FeatureTable | Table, scales: tuple[Scale, ...] = PUBLISHED
) -> ConditionFit:
    """Return the effect of the conditions in a table of features on the scales of a model.

    The Bayesian information criterion decides for each feature which conditions matter; the number
    of independent cycles is reduced by the autocorrelation of conditions and residuals, and by the
    scatter of the effect over devices.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        It is not a table of features.
    """
    features = as_features("features", features)
    names, notes = _usable(features)
    if not names:
        return ConditionFit(notes=notes)
    rows = _rows(features, names)
    devices = np.unique(features.device[rows], return_inverse=True)[1]
    y = to_y(features.values[rows], scales)
    values = np.stack([features.conditions[name][rows] for name in names])
    reference = np.median(values, axis=1)
    transforms = _choose_scales(y, values, reference, devices)
    x = _transformed(transforms, values, reference)
    coefficients = np.stack([_choose(y[:, f], x, devices) for f in range(len(FEATURES))], axis=1)
    kept = np.flatnonzero(coefficients.any(axis=1))
    notes += tuple(
        f"{name}: has no effect on the features" for k, name in enumerate(names) if k not in kept
    )
    if len(kept) == 0:
        return ConditionFit(notes=notes)
    before = _centred(y, devices)
    after = _centred(y - x.T @ coefficients, devices)
    total = (before**2).mean(axis=0)
    share = 1.0 - (after**2).mean(axis=0) / np.where(total > 0.0, total, np.inf)
    upper = values[kept[0]] > reference[kept[0]]
    every = {name: features.conditions[name][features.complete()] for name in names}
    result = Conditions(
        tuple(names[k] for k in kept),
        reference[kept],
        [[np.nanmin(every[names[k]]), np.nanmax(every[names[k]])] for k in kept],
        tuple(transforms[k] for k in kept),
        coefficients[kept],
    )
    return ConditionFit(
        result,
        dict(zip(FEATURES, map(float, np.where(total > 0.0, share, 0.0)), strict=True)),
        dict(zip(FEATURES, map(float, _spread_ratio(after, upper)), strict=True)),
        tuple(name for name in result.names if name in _noted(features)),
        notes,
    )


def _noted(features: FeatureTable) -> list[object]:
    """Return the conditions that ``extract_features`` detected."""
    noted = features.notes.get("detected_conditions")
    return noted if isinstance(noted, list) else []


def without_conditions(
    features: FeatureTable, scales: tuple[Scale, ...] = PUBLISHED
) -> tuple[FeatureTable, ConditionFit]:
    """Return features as they would be at the reference conditions, and the effect removed."""
    found = fit_conditions(features, scales) if features.conditions else ConditionFit()
    for note in found.notes:
        logger.info("%s", note)
    return at_reference(features, found.conditions, scales), found


def at_reference(
    features: FeatureTable, conditions: Conditions | None, scales: tuple[Scale, ...] = PUBLISHED
) -> FeatureTable:
    """Return features as they would be at the reference of known conditions.

    ``scales`` are those of the model that the conditions belong to.

    Features of cycles whose condition is unknown or outside the range of the model become NaN; a
    warning is logged. Conditions that the table does not have are at their reference.

    Raises
    ------
    InvalidValueError
        All cycles are outside the range.
    """
    checks.optional("conditions", conditions, Conditions)
    known = {} if conditions is None else {
        name: features.conditions[name] for name in conditions.names if name in features.conditions
    }  # fmt: skip
    if conditions is None or not known:
        return features
    inside = np.all([conditions.inside(name, values) for name, values in known.items()], axis=0)
    if not inside.any():
        raise InvalidValueError(
            f"features: {' and '.join(known)} of all cycles are outside the range of the model"
        )
    if not inside.all():
        logger.warning(
            "%d of %d cycles are left out: %s unknown, or outside the range of the model",
            int((~inside).sum()), len(inside), " or ".join(known),
        )  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        values = from_y(to_y(features.values, scales) - conditions.shift(known), scales)
    return replace(features, values=np.where(inside[:, None], values, np.nan))


def _usable(features: FeatureTable) -> tuple[list[str], tuple[str, ...]]:
    """Return the conditions that vary within devices, and why others cannot be used."""
    names, notes, complete = [], [], features.complete()
    for name, column in features.conditions.items():
        good = complete & np.isfinite(column)
        if good.sum() < 0.5 * complete.sum():
            notes.append(f"{name}: unknown in most cycles")
            continue
        values, devices = column[good], features.device[good]
        size = float(np.median(values))
        if np.ptp(values) <= CONSTANT * size:
            continue
        codes = np.unique(devices, return_inverse=True)[1]
        if np.abs(_centred(values[:, None], codes)).max() > CONSTANT * size:
            names.append(name)
            continue
        notes.append(
            f"{name}: differs between devices but not within any, so that its effect cannot be "
            "separated from the variability between devices"
        )
        logger.warning("%s", notes[-1])
    return names, tuple(notes)


def _rows(features: FeatureTable, names: list[str]) -> Array:
    """Return the rows of at most ``MAX_ROWS`` complete cycles, or of one device if it has more."""
    good = features.complete()
    for name in names:
        good &= np.isfinite(features.conditions[name])
    rows = np.flatnonzero(good)
    step = -(-len(rows) // MAX_ROWS)
    kept = np.unique(features.device[rows])[::step]
    return rows[np.isin(features.device[rows], kept)]


def _choose_scales(y: Array, values: Array, reference: Array, devices: Array) -> tuple[str, ...]:
    """Return the scales with which the conditions explain most of all features together."""
    step = -(-len(y) // SCALE_ROWS)
    y, values, devices = y[::step], values[:, ::step], devices[::step]
    widths = _robust_spread(_centred(y, devices))

    def loss(scales: tuple[str, ...]) -> float:
        x = _transformed(scales, values, reference)
        total = 0.0
        for f in np.flatnonzero(widths > 0.0):
            _, rest = robust_slopes(y[:, f], x, devices)
            total += np.log(max(_loss(rest, widths[f]), 1e-300))
        return float(total)

    return min(product(SCALES, repeat=len(values)), key=loss)


def _choose(y: Array, x: Array, devices: Array) -> Array:
    """Return the slopes of one feature, 0 for conditions that do not matter, (k,)."""
    count = len(x)
    slopes, rest = robust_slopes(y, x, devices)
    width = float(_robust_spread(rest[:, None])[0])
    if width <= 0.0:
        width = float(rest.std()) or 1.0
    inflation = 1.0
    for one, slope in zip(x, slopes, strict=True):
        # Without the condition: the residuals of the hypothesis that it does not matter.
        inflation = max(inflation, _inflation(one, rest + slope * one, devices),
                        _cluster_inflation(one, rest, devices))  # fmt: skip
    cycles = len(y) / inflation
    subsets: list[tuple[int, ...]] = []
    for size in range(count + 1):
        subsets += combinations(range(count), size)
    scores = []
    for some in subsets:
        left = rest if len(some) == count else robust_slopes(y, x[list(some)], devices)[1]
        loss = max(_loss(left, width), 1e-300)
        scores.append(cycles * np.log(loss) + len(some) * np.log(cycles))
    best = list(subsets[int(np.argmin(scores))])
    result = np.zeros(count)
    result[best] = slopes if len(best) == count else robust_slopes(y, x[best], devices)[0]
    return result


def robust_slopes(y: Array, x: Array, devices: Array) -> tuple[Array, Array]:
    """Return slopes (k,) and residuals (N,) of a regression with a mean for each device.

    Residuals beyond ``HUBER`` standard deviations count less (iteratively reweighted least squares,
    Huber 1964).

    Parameters
    ----------
    y
        (N,).
    x
        (k, N); k can be 0.
    devices
        Number of the device, 0 … D - 1, (N,).
    """
    weights: Array = np.ones(len(y))
    slopes: Array = np.zeros(len(x))
    rest = y
    for _ in range(STEPS):
        columns = _centred(np.column_stack([y, *x]), devices, weights)
        before, left = slopes, columns[:, 1:]
        if len(x):
            moments = (left * weights[:, None]).T @ columns
            slopes = np.linalg.lstsq(moments[:, 1:], moments[:, 0], rcond=1e-10)[0]
        rest = columns[:, 0] - left @ slopes
        width = float(_robust_spread(rest[:, None])[0])
        if width <= 0.0:
            break
        weights = np.minimum(1.0, HUBER * width / np.maximum(np.abs(rest), 1e-300))
        if len(x) and np.allclose(slopes, before, rtol=1e-6, atol=0.0):
            break
    return slopes, rest


def _transformed(scales: tuple[str, ...], values: Array, reference: Array) -> Array:
    return np.stack(
        [transform(s, v, float(r)) for s, v, r in zip(scales, values, reference, strict=True)]
    )


def _centred(columns: Array, devices: Array, weights: Array | None = None) -> Array:
    """Return columns (N, c) minus the mean of the device, with the weights (N,) of the rows."""
    total = np.maximum(np.bincount(devices, weights), 1e-300)
    means = [
        np.bincount(devices, column if weights is None else weights * column) / total
        for column in columns.T
    ]
    return np.asarray(columns - np.stack(means, axis=1)[devices])


def _robust_spread(columns: Array) -> Array:
    """Return the standard deviations (c,) of columns (N, c) from the median magnitudes."""
    return np.asarray(1.4826 * np.median(np.abs(columns), axis=0))


def _loss(rest: Array, width: float) -> float:
    """Return the mean of Huber's loss of residuals, in squares of ``width``."""
    size, bound = np.abs(rest) / width, HUBER
    return float(np.where(size < bound, size**2, bound * (2.0 * size - bound)).mean())


def _inflation(x: Array, rest: Array, devices: Array) -> float:
    """Return the factor on the variance of a slope by autocorrelation (Bartlett 1935)."""
    one, two = (_centred(v[:, None], devices)[:, 0] for v in (x, rest))
    scale = float(one @ one) * float(two @ two)
    total = 0.0
    for lag in range(1, min(LAGS, len(x) - 1) + 1):
        same = devices[lag:] == devices[:-lag]
        total += float((one[lag:] * one[:-lag])[same].sum() * (two[lag:] * two[:-lag])[same].sum())
    return max(1.0 + 2.0 * total / scale, 1.0) if scale > 0.0 else 1.0


def _cluster_inflation(x: Array, rest: Array, devices: Array) -> float:
    """Return the factor on the variance of a slope from the scatter of devices, 1 for few.

    The cluster-robust variance (Liang and Zeger 1986), with devices as clusters: memory of any
    length and effects that differ between devices count.
    """
    one, two = (_centred(v[:, None], devices)[:, 0] for v in (x, rest))
    count = int(devices.max()) + 1
    plain = float(two @ two) / len(two) * float(one @ one)
    if count < MIN_DEVICES or plain <= 0.0:
        return 1.0
    scores = np.bincount(devices, one * two)
    return max(float(scores @ scores) * count / (count - 1) / plain, 1.0)


def _spread_ratio(rest: Array, upper: Array) -> Array:
    if upper.all() or not upper.any():
        return np.ones(rest.shape[1])
    high, low = _robust_spread(rest[upper]), _robust_spread(rest[~upper])
    return np.where(low > 0.0, high / np.where(low > 0.0, low, 1.0), 1.0)
