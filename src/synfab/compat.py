"""API of the published package ``synaptogen``, implemented with ``CellArray``.

Its example runs with only the import line changed. In that package, arrays are one-dimensional,
``@`` reads them in column-major order, and there is no seed. Here arrays are numbered 0, 1, 2, …
in order of creation, and the number is the seed, so scripts are reproducible.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np

from synfab.cells.array import CellArray as _CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.physics.readout import adc

__all__ = [
    "ADC",
    "HRS",
    "LRS",
    "UR",
    "US",
    "CellArrayCPU",
    "I",
    "Iread",
    "applyVoltage",
    "default_params",
    "load_params",
]

default_params = "published"
_numbers = itertools.count()


@no_array("Iread(cells, u)")
class CellArrayCPU:
    """One-dimensional array of M cells; ``@`` reads them as a crossbar in column-major order."""

    def __init__(
        self, M: int, params: CellModel | str = default_params, *, seed: int | None = None
    ) -> None:
        number = next(_numbers) if seed is None else seed
        if isinstance(params, tuple) and len(params) != 2:
            raise InvalidValueError(f"params: expected what load_params gives, found {params!r}")
        model, order = params if isinstance(params, tuple) else (params, None)
        self.cells = _CellArray(model, checks.count("M", M), seed=number, order=order)

    def __len__(self) -> int:
        return len(self.cells)

    def __matmul__(self, v: ArrayLike) -> Array:
        voltages = checks.real_array("v", v)
        if voltages.ndim != 1:
            raise InvalidValueError(f"v: expected one voltage a column, found {voltages.shape}")
        columns = len(voltages)
        if columns == 0 or len(self) % columns:
            raise InvalidValueError(
                f"v: {len(self)} cells do not divide into {columns} columns of equal length"
            )
        currents = self.cells.read(np.repeat(voltages, len(self) // columns))
        return np.asarray(currents.reshape(columns, -1).sum(axis=0))


def _cells(c: CellArrayCPU) -> _CellArray:
    return checks.instance("c", c, CellArrayCPU).cells


def load_params(param_fp: str | os.PathLike[str] = "published", p: int = 10) -> Any:
    """Load the model parameters of order ``p``; raises if the file has no such order."""
    model = load_model(param_fp)
    return model, model.history(checks.integer("p", p)).order


def applyVoltage(c: CellArrayCPU, Ua: ArrayLike) -> CellArrayCPU:  # noqa: N802
    """Apply voltages (V) to the cells and return the array."""
    _cells(c).apply_voltage(Ua)
    return c


def Iread(c: CellArrayCPU, U: ArrayLike = 0.2, BW: float = 1e8) -> Array:  # noqa: N802
    """Return read currents (A) with noise at ``U`` (V); ``BW`` is the bandwidth (Hz)."""
    return np.asarray(_cells(c).read(U, bandwidth=BW))


def I(c: CellArrayCPU, U: ArrayLike) -> Array:  # noqa: N802, E743
    """Return the currents (A) at ``U`` (V) without noise."""
    return np.asarray(_cells(c).current(U))


def HRS(c: CellArrayCPU) -> Array:  # noqa: N802
    """Return the HRS resistances of the present cycle, ohm."""
    return np.asarray(_cells(c).features["r_hrs"])


def LRS(c: CellArrayCPU) -> Array:  # noqa: N802
    """Return the LRS resistances of the present cycle, ohm."""
    return np.asarray(_cells(c).features["r_lrs"])


def US(c: CellArrayCPU) -> Array:  # noqa: N802
    """Return the SET voltages of the present cycle, V."""
    return np.asarray(_cells(c).features["u_set"])


def UR(c: CellArrayCPU) -> Array:  # noqa: N802
    """Return the RESET thresholds of the present cycle, V."""
    return np.asarray(_cells(c).features["u_reset"])


def ADC(  # noqa: N802
    v: ArrayLike, vmin: float = 1e-6, vmax: float = 5e-5, nbits: int = 4
) -> Array:
    """Return values quantised to 2**nbits levels, clipped at both ends."""
    return adc(v, vmin, vmax, nbits)
