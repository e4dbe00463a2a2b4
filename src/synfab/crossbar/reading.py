"""Reading rows: their currents and noise for many inputs at once, converters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.crossbar.bias import Bias
from synfab.crossbar.network import Cells
from synfab.engines.threads import share
from synfab.errors import InvalidTypeError

if TYPE_CHECKING:
    from synfab.crossbar.array import Crossbar

Array = npt.NDArray[Any]


def sense(
    bar: Crossbar, biases: list[Bias], cells: Cells, noise: tuple[float, float] | None
) -> tuple[Array, Array]:
    """Currents of the rows and, with factors of the ``noise``, its variance, (rows, B) each."""
    shape = (bar.shape[0], len(biases))
    currents, variance = np.empty(shape), np.zeros(shape)

    def work(low: int, high: int) -> None:
        start = None
        for k in range(low, high):
            found = bar.solve_bias(biases[k], cells, start)
            start = (found.column_voltage - biases[k].columns, found.row_voltage)
            currents[:, k] = found.currents
            if noise is None:
                continue
            johnson, shot = noise
            current = np.abs(found.cell_current)
            u = np.abs(found.column_voltage - found.row_voltage)
            with np.errstate(invalid="ignore", divide="ignore"):
                conductance = np.where(u > 0.0, current / u, found.slope)
            variance[:, k] = (johnson * conductance + shot * current).sum(axis=1)

    share(work, len(biases), bar.cells.size * len(biases) if len(biases) > 1 else 0)
    return currents, variance


def converter(name: str, value: Any) -> tuple[float, float, int]:
    """Return (lowest, highest, bits), or say what a converter is."""
    if not isinstance(value, tuple) or len(value) != 3:
        raise InvalidTypeError(f"{name}: expected (lowest, highest, bits), found {value!r}")
    return value
