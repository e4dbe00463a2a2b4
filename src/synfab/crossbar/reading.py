"""Reading rows: their currents and noise for many inputs at once, converters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.arrays import to_numpy
from synfab.crossbar.bias import Bias, make_bias
from synfab.crossbar.network import Cells
from synfab.engines.threads import share
from synfab.errors import InvalidTypeError
from synfab.readout import noise_factors

if TYPE_CHECKING:
    from synfab.crossbar.array import Crossbar

Array = npt.NDArray[Any]


def read_rows(
    bar: Crossbar,
    voltages: Array,
    noise: bool,
    bandwidth: float,
    number: int | None,
    linear: bool,
    floating_columns: Any,
    gates: Array | None,
) -> Array:
    """Currents of the rows for ``voltages`` (columns,) or (columns, B); see ``Crossbar.read``."""
    bare = bar.wires is None and bar.access is None and bar.stuck is None
    if bare and floating_columns is None and not linear:
        return to_numpy(bar.cells.matvec(voltages, noise=noise, bandwidth=bandwidth, number=number))
    batch = voltages.reshape(len(voltages), -1).T
    biases = [make_bias(bar.shape, u, 0.0, floating_columns, None, gates) for u in batch]
    factors = noise_factors(bandwidth) if noise else None
    currents, variance = sense(bar, biases, bar.conducting(linear, gates), factors)
    if noise:
        currents += np.sqrt(variance) * to_numpy(bar.cells.readout_noise(len(batch), number))
    return currents[:, 0] if voltages.ndim == 1 else currents


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

    cells_read = bar.cells.size * len(biases) if len(biases) > 1 else 0
    share(work, len(biases), cells_read, discardable=True)
    return currents, variance


def converter(name: str, value: Any) -> tuple[float, float, int]:
    """Return (lowest, highest, bits), or say what a converter is."""
    if not isinstance(value, tuple) or len(value) != 3:
        raise InvalidTypeError(f"{name}: expected (lowest, highest, bits), found {value!r}")
    return value
