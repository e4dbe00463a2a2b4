"""The axes of a figure: those of the caller, or new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from synfab.common import extras
from synfab.common.checks import kind_of
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    # Axes of the caller to draw on, in rows; None: a new figure.
    GivenAxes: TypeAlias = Axes | Sequence[Axes] | Array | None


def new_figure(
    rows: int,
    columns: int,
    size: tuple[float, float],
    axes: GivenAxes = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """Return a figure and its axes, (rows, columns).

    Parameters
    ----------
    size
        Width and height of a new figure, in inches.
    axes
        As many ``Axes`` of Matplotlib as the figure has, in rows; None: those of a new figure,
        which notebooks show when a cell returns it, and which pyplot does not know.
    options
        Options of ``Figure.subplots`` for new axes.

    Raises
    ------
    ToolError
        Matplotlib is not installed.
    InvalidTypeError, InvalidValueError
        ``axes`` are not ``Axes``, or another number.
    """
    extras.check("matplotlib")
    if axes is None:
        from synfab.figures.inline import InlineFigure

        figure = InlineFigure(size)
        return figure, figure.subplots(rows, columns, squeeze=False, **options)
    given = given_axes("axes", axes, rows * columns)
    return given[0].figure.figure, given.reshape(rows, columns)


def given_axes(name: str, value: object, count: int) -> Array:
    """Return ``count`` checked axes of the caller, (count,)."""
    from matplotlib.axes import Axes

    found = np.empty(1, object)
    if isinstance(value, (list, tuple, np.ndarray)):
        found = np.array(value, object).reshape(-1)
    else:
        found[0] = value
    for one in found:
        if not isinstance(one, Axes):
            raise InvalidTypeError(f"{name}: expected Axes of Matplotlib, found {kind_of(one)}")
    if len(found) != count:
        raise InvalidValueError(f"{name}: expected {count} Axes, found {len(found)}")
    return found
