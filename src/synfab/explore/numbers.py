"""Numbers that the explorer shows: percentiles of features, currents of rows, drift."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from synfab.common.types import FloatArray
from synfab.explore.measurement import Measured
from synfab.explore.stages import Aging, Loops, Readout
from synfab.model.cell_model import FEATURES

# Name to percentiles (5, 50, 95 %), to the least and the largest, or to one number; SI units.
Numbers: TypeAlias = dict[str, list[float] | float]
PERCENTILES = (5.0, 50.0, 95.0)
MAX_BINS = 50


def spread(values: FloatArray) -> list[float]:
    """Return the 5, 50 and 95 % of the finite values; cells that failed have infinite ones."""
    finite = values[np.isfinite(values)]
    return [float(x) for x in np.percentile(finite, PERCENTILES)] if finite.size else []


def numbers(
    loops: Loops, readout: Readout, real: FloatArray, aging: Aging | None, measured: Measured | None
) -> Numbers:
    """Return the numbers of a page; a script of ``script`` prints the same."""
    found: Numbers = {name: spread(loops.features[name]) for name in FEATURES}
    found["currents"] = [float(loops.current.min()), float(loops.current.max())]
    found["row_current"] = float(readout.ideal.mean())
    found["wire_error"] = float(np.abs(real / readout.ideal - 1.0).max())
    if aging is not None:
        for k, (low, middle, high) in enumerate(aging.bands.values()):
            found[f"drift_{k}"] = [float(low[-1]), float(middle[-1]), float(high[-1])]
    if measured is not None:
        for f, name in enumerate(FEATURES):
            found[f"measured_{name}"] = spread(measured.features[:, f])
    return found


def on_axis(name: str, values: FloatArray) -> FloatArray:
    """Return the values of a feature as the axis of its distribution shows them."""
    finite = values[np.isfinite(values)]
    return np.log10(finite[finite > 0.0]) if name == "r_hrs" else finite


def histogram(
    name: str, generated: FloatArray, measured: FloatArray | None
) -> dict[str, FloatArray]:
    """Return the share of the cycles (%) in equal bins: left, right, generated, measured."""
    samples = [on_axis(name, generated.ravel())]
    if measured is not None:
        samples.append(on_axis(name, measured))
    together = np.concatenate(samples)
    if not together.size:
        return dict.fromkeys(("left", "right", "generated", "measured"), np.empty(0))
    # A few far values would leave one bar for all the others.
    low, high = np.quantile(together, [0.002, 0.998]) if len(samples) > 1 else _ends(together)
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 1e-3
    bins = min(MAX_BINS, max(4, int(np.sqrt(min(one.size for one in samples if one.size)))))
    edges = np.linspace(low - margin, high + margin, bins + 1)
    shares = [_share(one, edges) for one in samples]
    return {"left": edges[:-1], "right": edges[1:], "generated": shares[0],
            "measured": shares[1] if measured is not None else np.empty(0)}  # fmt: skip


def _ends(values: FloatArray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _share(values: FloatArray, edges: FloatArray) -> FloatArray:
    counts, _ = np.histogram(values, edges)
    return np.asarray(100.0 * counts / max(values.size, 1))
