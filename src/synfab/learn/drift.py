"""Drift over cycles (wear-in, ageing), which a stationary model cannot represent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from synfab.learn.features import FeatureTable, from_y, to_y
from synfab.learn.readers.tables import Table
from synfab.learn.tables import as_features
from synfab.model.cell_model import FEATURES

# Smallest reported change over the record, in sigma.
MIN_CHANGE = 0.25
SIGNIFICANT = 4.0  # standard errors
MIN_DEVICES = 8  # for an error from the scatter of devices
# Factor on errors from one device: correlations longer than a tenth of the record are not seen.
LONG_MEMORY = 2.0


class Drift(TypedDict):
    """Drift of a feature, in sigma of a device.

    ``change``: slope times the length of the record; ``early``: mean of the first tenth minus that
    of the rest; ``errors``: the larger of both in standard errors; ``drifts``: large and
    significant.
    """

    change: float
    early: float
    errors: float
    drifts: bool


def find_drift(features: FeatureTable | Table) -> dict[str, Drift]:
    """Return the drift of each feature over the record, in sigma of a device.

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> sorted(sf.learn.find_drift(table))
    ['r_hrs', 'r_lrs', 'u_reset', 'u_set']
    """
    features = as_features("features", features)
    changes, early = [], []
    for _, cycles, values in features.devices():
        good = np.isfinite(values).all(axis=1)
        if good.sum() < 20:
            continue
        y = to_y(values[good])
        t = cycles[good].astype(np.float64)
        spread = y.std(axis=0)
        spread[spread == 0.0] = np.inf
        t = (t - t.mean()) / max(np.ptp(t), 1.0)
        blocks = np.array_split(np.arange(len(t)), 10)
        slope = (t @ (y - y.mean(axis=0))) / (t @ t) / spread
        start = (y[blocks[0]].mean(axis=0) - y[len(blocks[0]) :].mean(axis=0)) / spread
        # The scatter of the tenths about the line includes the correlation between cycles.
        means = np.array([y[b].mean(axis=0) for b in blocks]) / spread
        middles = np.array([t[b].mean() for b in blocks])
        line = means - means.mean(axis=0) - np.outer(middles, slope)
        noise = line.std(axis=0, ddof=2)
        changes.append((slope, noise * 3.3 / np.sqrt(10.0)))
        early.append((start, noise * np.sqrt(1.0 + 1.0 / 9.0)))
    result: dict[str, Drift] = {}
    for f, name in enumerate(FEATURES):
        if not changes:
            result[name] = {"change": 0.0, "early": 0.0, "errors": 0.0, "drifts": False}
            continue
        numbers = []
        for kind in (changes, early):
            value = float(np.mean([v[f] for v, _ in kind]))
            error = LONG_MEMORY * float(np.sqrt(np.mean([e[f] ** 2 for _, e in kind]) / len(kind)))
            if len(kind) >= MIN_DEVICES:  # devices are independent, cycles are not
                error = float(np.std([v[f] for v, _ in kind], ddof=1) / np.sqrt(len(kind)))
            numbers.append((value, abs(value) / error if error > 0.0 else 0.0))
        drifts = any(abs(v) > MIN_CHANGE and z > SIGNIFICANT for v, z in numbers)
        result[name] = {
            "change": numbers[0][0],
            "early": numbers[1][0],
            "errors": max(z for _, z in numbers),
            "drifts": drifts,
        }
    return result


def detrended(features: FeatureTable | Table) -> FeatureTable:
    """Return features without their linear trend over the cycles; means of devices are kept.

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> sf.learn.detrended(table).values.shape
    (480, 4)
    """
    features = as_features("features", features)
    parts = []
    for _, cycles, values in features.devices():
        with np.errstate(invalid="ignore"):
            y = to_y(values)
        for f in range(4):
            good = np.isfinite(y[:, f])
            if good.sum() > 2 and np.ptp(cycles[good]) > 0:
                t = cycles - cycles[good].mean()
                slope = np.polyfit(t[good], y[good, f], 1)[0]
                y[:, f] -= slope * t
        parts.append(from_y(y))
    return FeatureTable(
        features.names, features.device, features.cycle, np.concatenate(parts), features.rejected,
        {**features.notes, "detrended": True}, features.conditions,
    )  # fmt: skip


def drift_text(drift: Mapping[str, Drift]) -> str:
    """Return a description of the features that drift, or "none found"."""
    lines = [
        f"{name}: {facts['change']:+.2f} sigma over the record, {facts['early']:+.2f} at its start"
        for name, facts in drift.items()
        if facts["drifts"]
    ]
    return "; ".join(lines) + (
        " (see --skip and --detrend, or skip= and detrend=)" if lines else "none found"
    )
