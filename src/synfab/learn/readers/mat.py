"""MATLAB files (.mat) of measurements: of versions 4 to 7, and of 7.3, which is HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.types import Array
from synfab.io.limits import one_line_errors
from synfab.learn.readers.columns import (
    Found,
    check_sweep_units,
    find_columns,
    need_sweeps,
    with_current,
)
from synfab.learn.readers.hdf5 import read_hdf5
from synfab.learn.readers.matlab_arrays import Content, read_arrays
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.sweeps import Sweeps, sweeps_from_arrays

if TYPE_CHECKING:
    import pandas as pd


def recognises(path: Path) -> bool:
    """Return True for version 7.3, which is HDF5."""
    with path.open("rb") as file:
        return file.read(10) == b"MATLAB 7.3"


def read_mat(path: Path, columns: Columns = None) -> pd.DataFrame | Sweeps:
    """Return loops from arrays voltage and current, or the table of vectors of equal length.

    Arrays are (point, cycle) or (point, cycle, device), as MATLAB orders them, or reversed; the
    points lie along the axis in which the voltage changes. They can be fields of one structure.
    ``columns`` is used for a table only.

    Raises
    ------
    FileFormatError, InvalidValueError
        It is damaged, or voltage and current are missing.
    CapacityError
        The arrays do not fit into memory.
    """
    import pandas as pd

    with one_line_errors("cannot be read as mat"):
        arrays = _numbers(read_arrays(path))
    if not arrays:
        raise FileFormatError("expected arrays of numbers, found none")
    vectors = {name: values for name, values in arrays.items() if values.ndim == 1}
    found = find_columns(arrays)
    if "r_hrs" not in found:
        need_sweeps(found, arrays)
    used = [column for column, _ in found.values()]
    if all(column in vectors for column in used):
        lengths = {name: len(vectors[name]) for name in used}
        if len(set(lengths.values())) > 1:
            raise InvalidValueError(f"expected vectors of equal length, found {lengths}")
        return pd.DataFrame({name: vectors[name] for name in used})
    if "r_hrs" in found:
        raise FileFormatError("r_hrs: expected vectors r_hrs, r_lrs, … with one value per cycle")
    return _loops(arrays, found)


def _numbers(content: Content) -> dict[str, Array]:
    """Return the arrays in a file, or in its first structure with arrays; vectors have one axis."""
    found = {name: values.ravel() if max(values.shape, default=0) == values.size else values
             for name, values in content.items()
             if isinstance(values, np.ndarray) and values.size > 1}  # fmt: skip
    if not found:
        inner = [part for part in content.values() if isinstance(part, dict)]
        return next(filter(None, map(_numbers, inner)), {})
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def _loops(arrays: dict[str, Array], found: Found) -> Sweeps:
    names = [name for name in found if name not in ("device", "cycle", "time")]
    data = {name: arrays[found[name][0]] * found[name][1] for name in names}
    v = data["voltage"]
    largest = max(data.values(), key=np.ndim)
    if largest.ndim > 3:
        raise FileFormatError(f"expected up to 3 axes, found shape {largest.shape}")
    if v.ndim == 1:
        if len(v) not in (largest.shape[0], largest.shape[-1]):
            raise InvalidValueError(f"voltage: {len(v)} values, but current {largest.shape}")
        first = len(v) == largest.shape[0]
    else:
        first = _roughness(v, 0) > _roughness(v, -1)
    if first:
        data = {name: values.T for name, values in data.items()}
    shape = np.broadcast_shapes(*(values.shape for values in data.values()))
    points = with_current({name: np.broadcast_to(x, shape) for name, x in data.items()})
    check_sweep_units(points["voltage"], points["current"])
    return sweeps_from_arrays(points["voltage"], points["current"])


def _roughness(values: Array, axis: int) -> float:
    steps = np.abs(np.diff(values, axis=axis))
    return float(np.nanmean(steps)) if steps.size else 0.0


register_format(
    "MATLAB 7.3", read_hdf5, suffixes=(".mat",), recognises=recognises, packages=("h5py",)
)
register_format("MATLAB", read_mat, suffixes=(".mat",))
