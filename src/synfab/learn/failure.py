"""Failure of devices: from which cycle on their window stays closed, and the hazard per cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.features import FeatureTable
from synfab.model.wear import Failure

# A cycle is closed if ln(R_HRS / R_LRS) is below this share of the device's own median.
CLOSED = 0.25
MIN_WORKING = 3  # cycles that show what a working device is
# A device failed if it is closed to the end of its record, for at least so many cycles.
MIN_CLOSED, SHARE_CLOSED = 3, 0.02
MIN_FAILURES = 5  # fewer do not show a hazard


class Failures(NamedTuple):
    """Failed devices of a table.

    Attributes
    ----------
    devices
        Names of the failed devices.
    lives
        Cycles from the first one of the table to the failure, or to the end of the record, of
        every device.
    failed
        Mask of the failed devices.
    stuck_hrs
        Share of the failed devices that are stuck in the HRS; NaN if none shows it.
    model
        Weibull distribution of the lives; None with too few failures.
    """

    devices: tuple[str, ...]
    lives: Array
    failed: Array
    stuck_hrs: float
    model: Failure | None


def find_failures(features: FeatureTable) -> tuple[Failures, FeatureTable]:
    """Return the failures, and the table without the cycles from each failure on."""
    first = int(features.cycle.min())
    lives, failed, in_hrs = [], [], []
    keep = np.ones(len(features), np.bool_)
    start = 0
    for _, cycles, values in features.devices():
        begin, level = _failure(cycles, values)
        keep[start + begin : start + len(cycles)] = False
        start += len(cycles)
        failed.append(begin < len(cycles))
        in_hrs.append(level)
        if len(cycles):
            end = cycles[begin] if begin < len(cycles) else cycles[-1] + 1
            lives.append(max(int(end) - first, 1))
        else:
            lives.append(1)
    dead = np.array(failed)
    levels = np.array(in_hrs)[dead]
    known = levels[np.isfinite(levels)]
    stuck = float(known.mean()) if len(known) else float("nan")
    found = Failures(
        tuple(n for n, d in zip(features.names, failed, strict=True) if d),
        np.array(lives, np.float64), dead, stuck, _weibull(np.array(lives, float), dead, stuck),
    )  # fmt: skip
    if not dead.any():
        return found, features
    working = replace(
        features, device=features.device[keep], cycle=features.cycle[keep],
        values=features.values[keep],
        conditions={name: values[keep] for name, values in features.conditions.items()},
        notes={**features.notes, "cycles_after_failure": int((~keep).sum())},
    )  # fmt: skip
    return found, working


def _failure(cycles: Array, values: Array) -> tuple[int, float]:
    """Return the row of the failure, or the number of rows, and 1 if stuck in HRS, 0 in LRS."""
    count = len(cycles)
    with np.errstate(invalid="ignore", divide="ignore"):
        window = np.log(values[:, 0] / values[:, 2])
    finite = np.isfinite(window)
    if finite.sum() < MIN_WORKING + MIN_CLOSED:
        return count, float("nan")
    usual = float(np.median(window[finite]))
    # If most of the record is closed, the median is not that of the working cycles.
    usual = max(usual, float(np.quantile(window[finite], 0.98)) / 2.0)
    closed = ~finite | (window < CLOSED * usual)
    open_rows = np.flatnonzero(~closed)
    begin = int(open_rows[-1]) + 1 if len(open_rows) else 0
    if begin < MIN_WORKING or count - begin < max(MIN_CLOSED, SHARE_CLOSED * count):
        return count, float("nan")
    after, before = values[begin:], values[:begin]
    r = after[:, [0, 2]][np.isfinite(after[:, [0, 2]])]
    if not len(r):
        return begin, float("nan")
    logs = np.log(np.abs(before[:, [0, 2]]))
    hrs, lrs = np.nanmedian(logs, axis=0)
    return begin, float(np.median(np.log(np.abs(r))) > 0.5 * (hrs + lrs))


def _weibull(lives: Array, failed: Array, stuck_hrs: float) -> Failure | None:
    """Return the most likely Weibull distribution of lives, of which some are censored."""
    if failed.sum() < MIN_FAILURES:
        return None
    from scipy.stats import CensoredData, weibull_min

    data = CensoredData.right_censored(lives, ~failed)
    shape, _, scale = weibull_min.fit(data, floc=0.0)
    known = stuck_hrs if np.isfinite(stuck_hrs) else 0.5
    return Failure(float(scale), float(shape), stuck_hrs=known)
