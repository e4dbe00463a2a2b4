"""NPZ archives of measurements: arrays of voltage and current, or of features."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.io.npy_file import open_archive, read_member
from synfab.learn.features import FeatureTable, read_frame
from synfab.learn.readers.columns import (
    INSTEAD,
    SWEEP_COLUMNS,
    Found,
    check_sweep_units,
    find_columns,
    need_sweeps,
    split_name,
    with_current,
)
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.sweeps import Sweeps, sweeps_from_arrays


def read_npz(path: Path, columns: Columns = None) -> Sweeps | FeatureTable:
    """Return loops from arrays voltage and current, or features from arrays r_hrs, r_lrs, ….

    Arrays of loops are (device, cycle, point) or (cycle, point); arrays of features (device, cycle)
    or (row,), with arrays device and cycle if known. ``columns`` is not used.

    Raises
    ------
    FileFormatError, InvalidValueError
        Arrays are missing or empty, or their units cannot be right.
    CapacityError
        The arrays do not fit into memory.
    """
    with open_archive(path) as archive:
        files = [name.removesuffix(".npy") for name in archive.namelist()]
        names = [n for n in files if split_name(n)[0] not in ("device", "cycle", "time")]
        found = find_columns(files)
        if "r_hrs" in found:
            return _features(archive, found)
        need_sweeps(found, names)
        data = {name: _numbers(archive, found[name][0]) * found[name][1]
                for name in (*SWEEP_COLUMNS, *INSTEAD) if name in found}  # fmt: skip
    points = with_current(data)
    check_sweep_units(points["voltage"], points["current"])
    return sweeps_from_arrays(points["voltage"], points["current"])


def _features(archive: zipfile.ZipFile, found: Found) -> FeatureTable:
    import pandas as pd

    arrays = {k: _numbers(archive, column) for k, (column, _) in found.items()}
    shape = arrays["r_hrs"].shape
    data = {k: _scaled(x.ravel(), found[k][1]) for k, x in arrays.items()}
    if len(shape) == 2 and "device" not in found:
        data["device"] = np.repeat(np.arange(shape[0]), shape[1])
        data["cycle"] = np.tile(np.arange(shape[1]), shape[0])
    return read_frame(pd.DataFrame(data))


def _numbers(archive: zipfile.ZipFile, column: str) -> Array:
    # Three copies are held at a time: the stored array, float64, and the scaled one.
    values = read_member(archive, column, 3)
    if not values.size:
        raise FileFormatError(f"{column}: expected one number or more, found shape {values.shape}")
    return values


def _scaled(values: Array, scale: float) -> Array:
    return values if scale == 1.0 else values * scale


register_format("NPZ", read_npz, suffixes=(".npz",))
