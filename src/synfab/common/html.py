"""Short descriptions of objects as HTML, which notebooks show instead of their ``repr``.

Text, lines and backgrounds have the colours of the notebook, so that both light and dark notebooks
are readable; names are escaped. Large arrays are sampled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from synfab.common.types import Array, FloatArray

MAX_SIDE = 32  # rows and columns of a sampled map
MAX_CELLS = MAX_SIDE**2
MAX_TEXT = 80  # characters of a name
PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
TABLE = "margin:0;color:inherit;font-size:inherit"
LEFT = "text-align:left;vertical-align:top;padding:1px 10px 1px 0"
RIGHT = "text-align:right;vertical-align:top;padding:1px 10px 1px 0"


class Html(str):
    """HTML that is not escaped again."""


def card(kind: str, words: str, facts: Mapping[str, str], *parts: Html) -> str:
    """Return the description of an object.

    Parameters
    ----------
    kind, words
        Name of the class, and what follows it in the title.
    facts
        Names and values of a table; an empty value leaves its row out.
    parts
        HTML that is shown next to the table: pictures, further tables.
    """
    rows = "".join(
        f'<tr><th style="{LEFT};font-weight:normal;opacity:0.75">{_text(name)}</th>'
        f'<td style="{LEFT}">{_text(value, 4 * MAX_TEXT)}</td></tr>'
        for name, value in facts.items()
        if value
    )
    inner = [f'<table style="{TABLE}">{rows}</table>' if rows else "", *parts]
    return (
        f'<div class="synfab"><div style="margin-bottom:4px"><b>{_text(kind)}</b> {_text(words)}'
        '</div><div style="display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start">'
        f"{''.join(f'<div>{part}</div>' for part in inner if part)}</div></div>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """Return a table whose first column is text and whose others are numbers or pictures."""

    def cells(values: Sequence[str], tag: str) -> str:
        styles = [LEFT, *[RIGHT] * (len(values) - 1)]
        return "".join(
            f'<{tag} style="{style}">{v if isinstance(v, Html) else _text(v)}</{tag}>'
            for v, style in zip(values, styles, strict=True)
        )

    head = f"<tr>{cells(header, 'th')}</tr>"
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return Html(f'<table style="{TABLE}">{head}{body}</table>')


def _text(value: str, longest: int = MAX_TEXT) -> str:
    """Return text as HTML, shortened to ``longest`` characters."""
    line = " ".join(value.split())
    return escape(line if len(line) <= longest else line[: longest - 1] + "…")


# ---- numbers ------------------------------------------------------------------------------------


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit and a prefix, such as ``"12.5 uS"``; NaN is ``"none"``."""
    return span((value,), unit)


def span(values: Iterable[float], unit: str) -> str:
    """Return values with one unit for all, such as ``"3.1 … 187 uS"``; NaN are left out."""
    numbers = [float(value) for value in values if not math.isnan(value)]
    if not numbers:
        return "none"
    largest = max((abs(n) for n in numbers if math.isfinite(n)), default=0.0)
    largest = float(f"{largest:.3g}")  # as it is shown: 999.9 nS is 1 uS
    power = 0 if largest == 0.0 else 3 * math.floor(math.log10(largest) / 3 + 1e-9)
    power = min(max(power, min(PREFIXES)), max(PREFIXES)) if unit else 0
    if unit == "V" and power == -3:
        power = 0  # voltages of cells are usual in V
    texts = [f"{number / 10.0**power:.3g}" for number in numbers]
    return f"{' … '.join(dict.fromkeys(texts))} {PREFIXES[power]}{unit}".rstrip()


def counted(number: int, noun: str) -> str:
    """Return a number of things as text, such as ``"1 cell"`` and ``"2 cells"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Return a share as text, such as ``"12 %"``; small shares keep two digits."""
    return f"{100.0 * share:.3g} %" if share < 0.999 or share == 1.0 else f"{100.0 * share:.5g} %"


def middle(values: Array, unit: str) -> str:
    """Return the median and the range of the middle 90 % of values; NaN are left out."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return "none"
    low, half, high = np.quantile(known, [0.05, 0.5, 0.95])
    if low == high:
        return quantity(half, unit)
    return f"{quantity(half, unit)}; 5 to 95 %: {span((low, high), unit)}"


# ---- samples ------------------------------------------------------------------------------------


def sample(shape: tuple[int, ...]) -> Array:
    """Return flat indices of evenly spread elements of an array of a shape, at most ``MAX_CELLS``.

    Those of two-dimensional arrays are a grid of rows and columns, (rows, columns).
    """
    if len(shape) == 2:
        rows, columns = (_spread(count, MAX_SIDE) for count in shape)
        return np.asarray(rows[:, None] * shape[1] + columns)
    return _spread(math.prod(shape), MAX_CELLS)


def sampled(values: Array) -> FloatArray:
    """Return the elements of an array that ``sample`` lists, float64."""
    index = np.unravel_index(sample(values.shape), values.shape)
    return np.asarray(values[index], np.float64)


def sampling(size: int, shown: int) -> str:
    """Return that only some elements were examined, as text; empty if all were."""
    return f"{shown} of {size} cells, evenly spread" if shown < size else ""


def dimensions(shape: Sequence[int]) -> str:
    """Return a shape as text, such as ``"4 x 8"``."""
    return " x ".join(map(str, shape)) or "1"


def _spread(count: int, most: int) -> Array:
    if count <= most:
        return np.arange(count)
    return np.asarray(np.rint(np.linspace(0.0, count - 1.0, most)), np.int64)
