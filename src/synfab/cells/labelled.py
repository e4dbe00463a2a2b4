"""Arrays with names and units: the cells of an array as an xarray dataset or a pandas table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.types import Array, ArrayLike
from synfab.model.cell_model import FEATURES
from synfab.random.arrays import to_numpy

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from synfab.cells.array import CellArray

# Unit and meaning of each variable.
VARIABLES = {
    "r": ("1", "mixing state"),
    "cycle": ("1", "cycle number"),
    "in_hrs": ("1", "completely RESET"),
    "in_lrs": ("1", "SET"),
    "r_hrs": ("ohm", "HRS resistance of this cycle"),
    "u_set": ("V", "SET voltage of this cycle"),
    "r_lrs": ("ohm", "LRS resistance of this cycle"),
    "u_reset": ("V", "RESET voltage of this cycle"),
    "conductance": ("S", "static conductance"),
}


def axis_names(ndim: int) -> tuple[str, ...]:
    """Return the names of the axes of an array of cells."""
    named = {0: (), 1: ("cell",), 2: ("row", "column")}
    return named[ndim] if ndim in named else tuple(f"axis_{i}" for i in range(ndim))


def to_xarray(cells: CellArray[Any], u: float, currents: ArrayLike | None) -> xr.Dataset:
    """Return what ``CellArray.to_xarray`` does."""
    xarray = extras.require("xarray")
    axes = axis_names(cells.ndim)
    with lock_of(cells):  # one moment for all variables
        found = _variables(cells, u)
        variables = {name: (axes, found[name], _described(name)) for name in VARIABLES}
        variables["conductance"][2]["voltage"] = float(u)
        if currents is not None:
            given = _currents(cells, currents)
            named = axes if given.ndim == cells.ndim else ("read", *axes)
            attributes = {"units": "A", "long_name": "current"}
            variables["current"] = (named, given, attributes)
        described = {
            "model": cells.model.name, "seed": str(cells.seed), "order": cells.order,
            "first_cell": str(cells.first_cell),  # as text: netCDF has no integers above 2**63
        }  # fmt: skip
        number = (axes, _numbers(cells), {"units": "1", "long_name": "global number of the cell"})
        result: xr.Dataset = xarray.Dataset(variables, coords={"number": number}, attrs=described)
        return result


def to_pandas(cells: CellArray[Any], u: float) -> pd.DataFrame:
    """Return what ``CellArray.to_pandas`` does."""
    pandas = extras.require("pandas")
    with lock_of(cells):
        places = np.unravel_index(np.arange(cells.size), cells.shape)
        columns = dict(zip(axis_names(cells.ndim), places, strict=True))
        columns |= {name: values.reshape(-1) for name, values in _variables(cells, u).items()}
        index = pandas.Index(_numbers(cells).reshape(-1), name="number")
        result: pd.DataFrame = pandas.DataFrame(columns, index=index)
        return result


def _variables(cells: CellArray[Any], u: float) -> dict[str, Array]:
    own = {name: to_numpy(getattr(cells, name)) for name in ("r", "cycle", "in_hrs", "in_lrs")}
    features = cells.features
    own |= {name: to_numpy(features[name]) for name in FEATURES}
    return own | {"conductance": to_numpy(cells.conductance(u))}


def _numbers(cells: CellArray[Any]) -> Array:
    offsets = np.arange(math.prod(cells.shape), dtype=np.uint64)
    return (offsets + np.uint64(cells.first_cell)).reshape(cells.shape)


def _currents(cells: CellArray[Any], currents: ArrayLike) -> Array:
    given = checks.real_array("currents", currents)
    extra = given.ndim - cells.ndim
    if extra not in (0, 1) or given.shape[extra:] != cells.shape:
        raise InvalidValueError(
            f"currents: expected shape {cells.shape} of the array, or this shape after an axis of "
            f"reads, found {given.shape}"
        )
    return given


def _described(name: str) -> dict[str, Any]:
    unit, meaning = VARIABLES[name]
    return {"units": unit, "long_name": meaning}
