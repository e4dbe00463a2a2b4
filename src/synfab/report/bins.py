"""Bins of histograms: multiples of the voltage step of the sweep where there is one."""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array
from synfab.learn.sweeps import Sweeps

MIN_BINS, MAX_BINS = 12, 60
OUTSIDE = 0.0005  # share of the cycles beyond each end of the bins


def voltage_step(sweeps: Sweeps | None) -> float | None:
    """Return the typical step (V) between the points of the first measured device, if known."""
    if sweeps is None:
        return None
    voltage = next(iter(sweeps.devices())).voltage
    steps = np.abs(np.diff(voltage[np.isfinite(voltage)]))
    steps = steps[steps > 0.0]
    return float(np.median(steps)) if len(steps) else None


def bin_edges(values: Array, step: float | None = None) -> Array:
    """Return edges of equal bins for measured values, (bins + 1,).

    With ``step``, the width is a multiple of it, and the values that a sweep with this step can
    have lie in the middle of their bins. Other bins would hold different numbers of these values,
    so that the histogram would show peaks which the devices do not have.
    """
    low, high = (float(x) for x in np.quantile(values, [OUTSIDE, 1.0 - OUTSIDE]))
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 1e-3
    low, high = low - margin, high + margin
    if step is None or step > high - low:
        return np.linspace(low, high, _bin_count(values, high - low) + 1)
    multiple = max(round((high - low) / step / _bin_count(values, high - low)), 1)
    # Mean place of the values within a step: a circular mean, because the steps are periodic.
    phase = np.angle(np.exp(2j * np.pi * values / step).mean()) / (2.0 * np.pi)
    first = step * (phase - 0.5 + np.floor(low / step - phase))
    width = multiple * step
    return np.asarray(first + width * np.arange(np.ceil((high - first) / width) + 1.0))


def _bin_count(values: Array, extent: float) -> int:
    """Return a number of bins by the rule of Freedman and Diaconis (1981), within limits."""
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2.0 * float(np.ptp(quartiles)) / len(values) ** (1.0 / 3.0)
    return int(np.clip(extent / width if width > 0.0 else MAX_BINS, MIN_BINS, MAX_BINS))
