"""Files of measurements: CSV, TSV, Excel, Parquet, HDF5, NPZ, and pickles when asked for."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.io.limits import told
from synfab.io.npy_file import open_archive, read_member
from synfab.learn.features import FeatureTable, numeric, read_frame, voltage_of
from synfab.learn.readers.columns import find_columns, need, split_name
from synfab.learn.readers.excel import read_excel
from synfab.learn.readers.folder import measured_files, read_folder
from synfab.learn.readers.hdf5 import read_hdf5
from synfab.learn.readers.labels import index_labels, rows_of
from synfab.learn.readers.parquet import parquet_devices, streamed_columns, whole_table
from synfab.learn.readers.text import read_text
from synfab.learn.readers.wide import sweeps_in_columns
from synfab.learn.sweeps import DeviceSweeps, Sweeps, device_sweeps, sweeps_from_arrays

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
Columns = Mapping[str, str] | None

TEXT = (".csv", ".tsv", ".txt", ".dat")
EXCEL = (".xlsx",)
PARQUET = (".parquet", ".pq")
HDF5 = (".h5", ".hdf5", ".hdf")
PICKLE = (".pkl", ".pickle", ".df", ".s")
READABLE = (*TEXT, *EXCEL, *PARQUET, *HDF5, ".npz", *PICKLE)


def read_sweeps(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    columns: Columns = None,
    allow_pickle: bool = False,
) -> Sweeps:
    """Read I-V loops: a tidy table (device, cycle, voltage, current), arrays, or loops in rows.

    Parameters
    ----------
    source
        A file, a folder of files (one a device, or one a loop), or a pandas frame. Parquet and
        HDF5 are streamed, a device at a time.
    columns
        Quantity to column name, where the names are not known ones.
    allow_pickle
        Open pickles; only for files you trust, as a pickle can run any program.

    Raises
    ------
    FileFormatError, InvalidValueError
        One line that says what was found and what to do.
    """
    found = read_any(source, columns=columns, allow_pickle=allow_pickle)
    if not isinstance(found, Sweeps):
        raise InvalidValueError("sweeps: the file holds features; use read_features")
    return found


def read_features(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    columns: Columns = None,
    u_set: Any = None,
    u_reset: Any = None,
    allow_pickle: bool = False,
) -> FeatureTable:
    """Read a table of features: device, cycle, r_hrs, r_lrs and, if measured, u_set and u_reset.

    ``u_set`` and ``u_reset`` stand in for columns that are not there: a constant in V, or
    (mean, standard deviation). Other arguments as in ``read_sweeps``.
    """
    found = read_any(
        source, columns=columns, u_set=u_set, u_reset=u_reset, allow_pickle=allow_pickle
    )
    if not isinstance(found, FeatureTable):
        raise InvalidValueError("features: the file holds I-V sweeps; use read_sweeps")
    return found


def read_any(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    columns: Columns = None,
    u_set: Any = None,
    u_reset: Any = None,
    allow_pickle: bool = False,
) -> Sweeps | FeatureTable:
    """Read whichever of the two a source holds."""
    checks.flag("allow_pickle", allow_pickle)
    for name, value in (("u_set", u_set), ("u_reset", u_reset)):
        if value is not None:
            voltage_of(name, value)
    if columns is not None:
        given = checks.mapping("columns", columns).items()
        columns = {checks.text("columns", k): checks.text("columns", v) for k, v in given}
    if not isinstance(source, (str, os.PathLike)):
        return _from_frame(_frame_of(source), columns, u_set, u_reset)
    path = checks.path("source", source)
    if path.is_dir():
        endings = tuple(e for e in READABLE if allow_pickle or e not in PICKLE)
        options = {"columns": columns, "u_set": u_set, "u_reset": u_reset}
        reader = partial(read_any, **options, allow_pickle=allow_pickle)
        return _from_files(path, read_folder(path, endings, reader))
    kind = path.suffix.lower()
    if kind not in READABLE:
        raise FileFormatError(
            f"{path}: expected a file that ends in {', '.join(READABLE)}, or a folder of such"
        )
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file")
    if kind in PICKLE and not allow_pickle:
        raise FileFormatError(
            f"{path}: a pickle can run any program when it is opened; if you trust it, allow it "
            "(allow_pickle=True, --allow-pickle), or save the data as Parquet"
        )
    try:
        with told(f"{path}: cannot be read as {kind[1:]}"):
            return _from_files(path, _from_file(path, kind, columns, u_set, u_reset))
    except SynfabError as error:
        text = " ".join(str(error).split())
        raise type(error)(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


def _from_files(path: Path, found: Sweeps | FeatureTable) -> Sweeps | FeatureTable:
    """Note which files sweeps come from; they may be read again, so no output replaces them."""
    return replace(found, files=tuple(files_read(path))) if isinstance(found, Sweeps) else found


def files_read(source: Any) -> list[Path]:
    """Return the files that ``read_any`` may read for a source, which no output may replace."""
    if not isinstance(source, (str, os.PathLike)):
        return []
    try:
        return measured_files(Path(source), READABLE)
    except OSError as error:  # whoever reads it says what is wrong
        pass_on(error)
        return []


def _frame_of(source: object) -> pd.DataFrame:
    """Return a pandas frame as it is."""
    import pandas as pd

    return checks.instance("source", source, pd.DataFrame, "a path or a pandas frame")


def _from_file(
    path: Path, kind: str, columns: Columns, u_set: Any, u_reset: Any
) -> Sweeps | FeatureTable:
    if kind in PARQUET:
        return _from_parquet(path, columns, u_set, u_reset)
    if kind in HDF5:
        return read_hdf5(path)
    if kind == ".npz":
        return _from_npz(path)
    return _from_frame(_frame(path, kind, columns), columns, u_set, u_reset)


def _frame(path: Path, kind: str, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    if kind in TEXT:
        return read_text(path, columns)
    if kind in EXCEL:
        return read_excel(path)
    frame: Any = pd.read_pickle(path)  # only when the caller allows it
    if isinstance(frame, pd.Series):
        frame = frame.to_frame().T
    if not isinstance(frame, pd.DataFrame):
        raise InvalidValueError(f"expected a pandas frame, found {type(frame).__name__}")
    return frame


def _from_frame(
    frame: pd.DataFrame, columns: Columns, u_set: Any, u_reset: Any
) -> Sweeps | FeatureTable:
    if len(frame) == 0:
        raise InvalidValueError("found a header and no rows")
    columns = {k: k if str(v).isdigit() else v for k, v in (columns or {}).items()}
    if not columns and (wide := sweeps_in_columns(frame)) is not None:
        return wide
    found = find_columns(map(str, frame.columns), columns)
    frame = frame.rename(columns=str)
    if "r_hrs" in found or "r_lrs" in found:
        return read_frame(frame, columns, u_set=u_set, u_reset=u_reset)
    need(found, ("voltage", "current"), frame.columns)
    cells = frame[found["voltage"][0]].iloc[0]
    if np.ndim(cells) == 1 and not isinstance(cells, (str, bytes)):
        return _from_rows(frame, found)
    data = {name: scale * numeric(frame[column], column)
            for name, (column, scale) in found.items() if name not in ("device",)}  # fmt: skip
    names, rows = _devices_of(frame, found)
    _check_sweep_units(data["voltage"], data["current"])

    def devices() -> Iterator[DeviceSweeps]:
        for name, mine in zip(names, rows, strict=True):
            yield device_sweeps(name or "0", {k: x[mine] for k, x in data.items()})

    return Sweeps(devices)


def _devices_of(
    frame: pd.DataFrame, found: dict[str, tuple[str, float]]
) -> tuple[list[str], list[Array]]:
    """Names of the devices in the order of their first rows, and the rows of each."""
    if "device" not in found:
        return ["0"], [np.arange(len(frame))]
    names, codes = index_labels(frame[found["device"][0]])
    rows = rows_of(codes, len(names))
    order = np.argsort([mine[0] for mine in rows])
    return [names[k] for k in order], [rows[k] for k in order]


def _check_sweep_units(voltage: Array, current: Array) -> None:
    largest = np.nanmax(np.abs(voltage), initial=0.0)
    if not 0.0 < largest < 100.0:
        raise InvalidValueError(
            f"voltage: largest magnitude {largest:.3g} V; expected up to 100 V: if it is in mV, "
            "call the column 'voltage [mV]'"
        )
    if np.nanmax(np.abs(current), initial=0.0) > 10.0 and largest < 10.0:
        raise InvalidValueError(
            f"current: largest magnitude {np.nanmax(np.abs(current)):.3g} A; if it is in uA, call "
            "the column 'current [uA]'"
        )


def _from_rows(frame: pd.DataFrame, found: dict[str, tuple[str, float]]) -> Sweeps:
    """One loop a row, arrays in the cells."""
    v_column, v_scale = found["voltage"]
    i_column, i_scale = found["current"]
    names, rows = _devices_of(frame, found)
    if "cycle" in found:
        cycles = np.asarray(frame[found["cycle"][0]], np.int64)
    else:
        cycles = np.zeros(len(frame), np.int64)
        for mine in rows:
            cycles[mine] = np.arange(len(mine))

    def devices() -> Iterator[DeviceSweeps]:
        for name, unsorted in zip(names, rows, strict=True):
            mine = unsorted[np.argsort(cycles[unsorted], kind="stable")]
            v = [np.asarray(frame[v_column].iloc[k], np.float64) * v_scale for k in mine]
            i = [np.asarray(frame[i_column].iloc[k], np.float64) * i_scale for k in mine]
            offsets = np.concatenate([[0], np.cumsum([len(x) for x in v])])
            if [len(x) for x in i] != [len(x) for x in v]:
                raise InvalidValueError(f"device {name}: voltage and current differ in length")
            yield DeviceSweeps(str(name), cycles[mine], offsets, np.concatenate(v),
                               np.concatenate(i))  # fmt: skip

    return Sweeps(devices)


def _from_parquet(path: Path, columns: Columns, u_set: Any, u_reset: Any) -> Sweeps | FeatureTable:
    wanted = streamed_columns(path, columns)
    if wanted is None:
        return _from_frame(whole_table(path, columns), columns, u_set, u_reset)
    return Sweeps(lambda: parquet_devices(path, wanted))


def _from_npz(path: Path) -> Sweeps | FeatureTable:
    with open_archive(path) as archive:
        files = [name.removesuffix(".npy") for name in archive.namelist()]
        names = [n for n in files if split_name(n)[0] not in ("device", "cycle", "time")]
        found = find_columns(files)
        if "r_hrs" in found:
            return _features_of(archive, found)
        need(found, ("voltage", "current"), names)
        v = _numbers(archive, found["voltage"][0]) * found["voltage"][1]
        i = _numbers(archive, found["current"][0]) * found["current"][1]
    _check_sweep_units(v, i)
    return sweeps_from_arrays(v, i)


def _features_of(archive: zipfile.ZipFile, found: dict[str, tuple[str, float]]) -> FeatureTable:
    import pandas as pd

    arrays = {k: _numbers(archive, column) for k, (column, _) in found.items()}
    shape = arrays["r_hrs"].shape
    data = {k: _scaled(x.ravel(), found[k][1]) for k, x in arrays.items()}
    if len(shape) == 2 and "device" not in found:
        data["device"] = np.repeat(np.arange(shape[0]), shape[1])
        data["cycle"] = np.tile(np.arange(shape[1]), shape[0])
    return read_frame(pd.DataFrame(data))


def _numbers(archive: zipfile.ZipFile, column: str) -> Array:
    # In memory as it is, as float64, and scaled.
    values = read_member(archive, column, 3)
    if not values.size:
        raise FileFormatError(f"{column}: expected one number or more, found shape {values.shape}")
    return values


def _scaled(values: Array, scale: float) -> Array:
    return values if scale == 1.0 else values * scale
