"""Data of single devices in a report: switching voltages of loops, and features over cycles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.data import Data
from synfab.learn.comparison.loops import Loops

MAX_LOOPS = 10
MAX_BLOCKS = 100


class Series(NamedTuple):
    """Features in blocks of cycles: mean cycle (B,); median, 10 % and 90 % quantiles (B, 4)."""

    cycle: FloatArray
    median: FloatArray
    low: FloatArray
    high: FloatArray


class Marks(NamedTuple):
    """Switching voltages of the loops of one device: V, and the current (A) there, (N,) each."""

    voltage: FloatArray
    current: FloatArray
    loop: FloatArray


def switching_marks(loops: Loops, cycles: Array, y: Array) -> dict[str, Marks]:
    """Return where SET and RESET were found on the loops that have features y (T, 4)."""
    found: dict[str, list[tuple[float, float, float]]] = {"set": [], "reset": []}
    for row, cycle in enumerate(loops.cycle):
        at = int(np.searchsorted(cycles, cycle))
        if at == len(cycles) or cycles[at] != cycle:
            continue
        v, i = loops.voltage[row], loops.current[row]
        low = int(np.nanargmin(v))
        high = low + int(np.nanargmax(v[low:]))
        # On the way out, where the magnitude of the voltage rises.
        for name, part, sign, u in (
            ("set", slice(0, low + 1), -1.0, y[at, 1]),
            ("reset", slice(low, high + 1), 1.0, y[at, 3]),
        ):
            out = np.maximum.accumulate(sign * v[part])
            found[name].append((float(u), float(np.interp(sign * u, out, i[part])), row + 1.0))
    return {
        name: Marks(*np.array(rows, np.float64).reshape(-1, 3).T) for name, rows in found.items()
    }


def device_series(data: Data, index: int) -> Series:
    """Return medians and deciles of the features of a device in blocks of cycles."""
    cycles, y = data.devices[index]
    blocks = min(MAX_BLOCKS, len(cycles))
    pieces = np.array_split(np.arange(len(cycles)), blocks)
    quantiles = np.array([np.quantile(y[piece], [0.1, 0.5, 0.9], axis=0) for piece in pieces])
    middle = np.array([cycles[piece].mean() for piece in pieces], np.float64)
    return Series(middle, quantiles[:, 1], quantiles[:, 0], quantiles[:, 2])


def block_length(found: Comparison) -> int:
    """Return the number of cycles per block in the longest record."""
    longest = max(len(cycles) for cycles, _ in found.measured.devices)
    return -(-longest // min(MAX_BLOCKS, longest))
