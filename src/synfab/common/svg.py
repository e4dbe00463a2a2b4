"""Small pictures for notebooks as SVG: maps, histograms, curves and bars.

Lines and text are drawn in ``currentColor``, the colour of the text around the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from synfab.common.html import Html, quantity
from synfab.common.types import Array, FloatArray

# Of Okabe and Ito; both have a contrast of at least 3 to white and to dark grey.
FIRST, SECOND = "#0072B2", "#D55E00"
# Eight colours of viridis, from low to high.
VIRIDIS = (
    "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725",
)  # fmt: skip
WIDTH, HEIGHT = 200, 96
MAP_SIDE = 168.0
BINS = 24
TEXT = 'font-size="10" fill="currentColor"'


def heat_map(values: FloatArray, label: str, unit: str, low: float, high: float) -> Html:
    """Return a map of values (rows, columns) with a colour bar; NaN is left empty.

    Parameters
    ----------
    label, unit
        What is shown, and its SI unit.
    low, high
        Ends of the colour scale; values beyond them have its last colours.
    """
    rows, columns = values.shape
    side = min(12.0, MAP_SIDE / max(rows, columns))
    wide, tall = max(columns * side, 1.0), max(rows * side, 1.0)
    levels = _levels(values, low, high)
    paths = "".join(
        f'<path stroke="{colour}" d="{_runs(levels == level)}"/>'
        for level, colour in enumerate(VIRIDIS)
    )
    scale = (
        f'<svg x="0" y="0" width="{wide:.6g}" height="{tall:.6g}" viewBox="0 0 {columns} {rows}" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges">{paths}</svg>'
    )
    step = WIDTH / len(VIRIDIS)
    colours = "".join(
        f'<rect x="{k * step:g}" y="{tall + 18:.6g}" width="{step:g}" height="6" fill="{colour}"/>'
        for k, colour in enumerate(VIRIDIS)
    )
    words = _words(0, tall + 13, label) + _ends(tall + 35, low, high, unit)
    return _picture(WIDTH, tall + 38, label, scale + colours + words)


def histogram(values: Array, label: str, unit: str) -> Html:
    """Return a histogram of the finite values; there must be one."""
    known = _known(values)
    base = HEIGHT - 30
    heights = _counts(known) * (base - 2.0)
    step = WIDTH / BINS
    bars = "".join(
        f"M{k * step:.4g} {base}v-{height:.4g}h{step:.4g}V{base}z"
        for k, height in enumerate(heights)
        if height > 0.0
    )
    ends = _ends(base + 11, float(known.min()), float(known.max()), unit)
    drawn = f'<path fill="{FIRST}" d="{bars}"/>{_line(base)}{ends}{_words(0, base + 24, label)}'
    return _picture(WIDTH, HEIGHT, label, drawn)


def sparkline(values: Array, label: str) -> Html:
    """Return a histogram of the height of a line of text, for tables."""
    heights = 16.0 * _counts(_known(values))
    bars = "".join(f"M{3 * k} 17v-{h:.3g}h3V17z" for k, h in enumerate(heights) if h > 0.0)
    return _picture(3 * BINS, 18, label, f'<path fill="{FIRST}" d="{bars}"/>')


def curves(x: FloatArray, unit: str, lines: Mapping[str, FloatArray], label: str) -> Html:
    """Return one or two curves over the same ``x`` (in ``unit``), with their names."""
    base = HEIGHT - 30
    low = min(float(np.min(y)) for y in lines.values())
    high = max(float(np.max(y)) for y in lines.values())
    across = (x - x[0]) / ((x[-1] - x[0]) or 1.0) * WIDTH
    drawn = _line(base)
    for k, ((name, y), colour) in enumerate(zip(lines.items(), (FIRST, SECOND), strict=False)):
        up = base - (y - low) / ((high - low) or 1.0) * (base - 2.0)
        points = " ".join(f"{a:.4g},{b:.4g}" for a, b in zip(across, up, strict=True))
        drawn += (
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
            f'<rect x="2" y="{4 + 13 * k}" width="8" height="8" fill="{colour}"/>'
            + _words(14, 12 + 13 * k, name)
        )
    ends = _ends(base + 11, float(x[0]), float(x[-1]), unit)
    return _picture(WIDTH, HEIGHT, label, drawn + ends + _words(0, base + 24, label))


def bar(share: float, mark: float | None = None, label: str = "") -> Html:
    """Return a bar of a share of the full width, 0 … 1, with an optional mark; for tables."""
    wide = 72.0 * min(max(share, 0.0), 1.0)
    colour = FIRST if mark is None or share <= mark else SECOND
    drawn = f'<rect y="3" width="{wide:.3g}" height="10" fill="{colour}"/>'
    if mark is not None:
        drawn += f'<path stroke="currentColor" d="M{72.0 * mark:.4g} 0v16"/>'
    return _picture(72, 16, label, drawn)


# ---- parts --------------------------------------------------------------------------------------


def _picture(width: float, height: float, label: str, inner: str) -> Html:
    # The colour of the text also where a notebook sets none for pictures.
    return Html(
        f'<svg width="{width:.6g}" height="{height:.6g}" viewBox="0 0 {width:.6g} {height:.6g}" '
        f'role="img" aria-label="{escape(label)}" style="color:inherit">{inner}</svg>'
    )


def _known(values: Array) -> FloatArray:
    flat = np.asarray(values, np.float64).reshape(-1)
    return np.asarray(flat[np.isfinite(flat)])


def _levels(values: FloatArray, low: float, high: float) -> Array:
    """Return the colour of each value, 0 … 7; -1: none."""
    known = np.isfinite(values)
    scaled = np.where(known, (values - low) / ((high - low) or 1.0), 0.0)
    levels = np.clip((len(VIRIDIS) * scaled).astype(np.int64), 0, len(VIRIDIS) - 1)
    return np.where(known, levels, -1)


def _runs(mask: Array) -> str:
    """Return the path of horizontal lines that cover a mask, one for each run of elements."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    return "".join(
        f"M{start} {row}.5h{stop - start}"
        for row, start, stop in zip(rows.tolist(), starts.tolist(), stops.tolist(), strict=True)
    )


def _counts(known: FloatArray) -> FloatArray:
    """Return the counts of bins, relative to the largest."""
    if known.size == 0:
        return np.zeros(BINS)
    counts, _ = np.histogram(known, BINS)
    return np.asarray(counts / counts.max())


def _line(y: float) -> str:
    return f'<path stroke="currentColor" opacity="0.6" d="M0 {y}.5h{WIDTH}"/>'


def _words(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:.6g}" {TEXT}>{escape(text)}</text>'


def _ends(y: float, low: float, high: float, unit: str) -> str:
    """Return the ends of an axis as text."""
    left, right = (escape(quantity(value, unit)) for value in (low, high))
    return (
        f'<text x="0" y="{y:.6g}" {TEXT}>{left}</text>'
        f'<text x="{WIDTH}" y="{y:.6g}" text-anchor="end" {TEXT}>{right}</text>'
    )
