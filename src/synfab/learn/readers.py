"""Files of measurements: CSV, TSV, Excel, Parquet, HDF5, NPZ, and pickles when asked for."""

from __future__ import annotations

import csv
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.errors import FileFormatError, InvalidValueError
from synfab.learn.columns import find_columns, need, split_name
from synfab.learn.features import FeatureTable, numeric, read_frame
from synfab.learn.sweeps import (
    DeviceSweeps,
    Sweeps,
    loops_by_cycle,
    split_loops,
    sweeps_from_arrays,
)
from synfab.learn.text import read_text

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
Columns = Mapping[str, str] | None

TEXT = (".csv", ".tsv", ".txt", ".dat")
EXCEL = (".xlsx", ".xls", ".ods")
PARQUET = (".parquet", ".pq")
HDF5 = (".h5", ".hdf5", ".hdf")
PICKLE = (".pkl", ".pickle", ".df", ".s")
READABLE = (*TEXT, *EXCEL, *PARQUET, *HDF5, ".npz", *PICKLE)

# What readers raise on files that are not what their names say.
BROKEN = (
    OSError, ValueError, KeyError, EOFError, ImportError, AttributeError, csv.Error,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


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
        A file, or a pandas frame. Parquet and HDF5 are streamed, a device at a time.
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
    if not isinstance(source, (str, os.PathLike)):
        return _from_frame(source, columns, u_set, u_reset)
    path = Path(source)
    kind = path.suffix.lower()
    if kind not in READABLE:
        raise FileFormatError(f"{path}: expected a file that ends in {', '.join(READABLE)}")
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file")
    if kind in PICKLE and not allow_pickle:
        raise FileFormatError(
            f"{path}: a pickle can run any program when it is opened; if you trust it, allow it "
            "(allow_pickle=True, --allow-pickle), or save the data as Parquet"
        )
    try:
        if kind in PARQUET:
            return _from_parquet(path, columns, u_set, u_reset)
        if kind in HDF5:
            return _from_hdf5(path)
        if kind == ".npz":
            return _from_npz(path)
        return _from_frame(_frame(path, kind, columns), columns, u_set, u_reset)
    except (InvalidValueError, FileFormatError) as error:
        raise type(error)(f"{path}: {error}") from None
    except BROKEN as error:
        text = " ".join(str(error).split())
        raise FileFormatError(f"{path}: cannot be read as {kind[1:]}: {text}") from None


def _frame(path: Path, kind: str, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    if kind in TEXT:
        return read_text(path, columns)
    if kind in EXCEL:
        try:
            table: pd.DataFrame = pd.read_excel(path)
            return table
        except ImportError:
            raise FileFormatError('Excel files need: pip install "synfab[learn]"') from None
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
    labels = np.zeros(len(frame), "U1") if "device" not in found else np.asarray(
        frame[found["device"][0]]).astype(str)  # fmt: skip
    _check_sweep_units(data["voltage"], data["current"])

    def devices() -> Iterator[DeviceSweeps]:
        names, first = np.unique(labels, return_index=True)
        for name in names[np.argsort(first)]:
            mine = labels == name
            yield _device(str(name) or "0", {k: x[mine] for k, x in data.items()})

    return Sweeps(devices)


def _device(name: str, data: dict[str, Array]) -> DeviceSweeps:
    if "cycle" in data:
        return loops_by_cycle(name, data["cycle"], data["voltage"], data["current"])
    return split_loops(name, data["voltage"], data["current"])


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
    labels = (
        np.asarray(frame[found["device"][0]]).astype(str)
        if "device" in found
        else np.full(len(frame), "0")
    )
    cycles = (
        np.asarray(frame[found["cycle"][0]], np.int64)
        if "cycle" in found
        else frame.groupby(labels).cumcount().to_numpy()
    )

    def devices() -> Iterator[DeviceSweeps]:
        for name in dict.fromkeys(labels):
            mine = np.flatnonzero(labels == name)
            mine = mine[np.argsort(cycles[mine], kind="stable")]
            v = [np.asarray(frame[v_column].iloc[k], np.float64) * v_scale for k in mine]
            i = [np.asarray(frame[i_column].iloc[k], np.float64) * i_scale for k in mine]
            offsets = np.concatenate([[0], np.cumsum([len(x) for x in v])])
            if [len(x) for x in i] != [len(x) for x in v]:
                raise InvalidValueError(f"device {name}: voltage and current differ in length")
            yield DeviceSweeps(str(name), cycles[mine], offsets, np.concatenate(v),
                               np.concatenate(i))  # fmt: skip

    return Sweeps(devices)


def _from_parquet(path: Path, columns: Columns, u_set: Any, u_reset: Any) -> Sweeps | FeatureTable:
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    found = find_columns(names, columns)
    if "r_hrs" in found or "voltage" not in found or "device" not in found:
        return _from_frame(pq.read_table(path).to_pandas(), columns, u_set, u_reset)
    need(found, ("voltage", "current"), names)
    field = pq.read_schema(path).field(found["voltage"][0])
    if str(field.type).startswith(("list", "large_list", "fixed_size_list")):
        return _from_frame(pq.read_table(path).to_pandas(), columns, u_set, u_reset)
    kept = ("device", "cycle", "voltage", "current")
    wanted: dict[str, tuple[str, float]] = {k: found[k] for k in kept if k in found}
    return Sweeps(lambda: _parquet_devices(path, wanted))


def _parquet_devices(path: Path, wanted: dict[str, tuple[str, float]]) -> Iterator[DeviceSweeps]:
    """Yield devices as they come; the rows of one must stand together."""
    import pyarrow.parquet as pq

    held: list[dict[str, Array]] = []
    current: Any = None
    done: set[Any] = set()

    def flush() -> DeviceSweeps:
        data = {k: np.concatenate([part[k] for part in held]) for k in held[0]}
        return _device(str(current), data)

    columns = [column for column, _ in wanted.values()]
    for batch in pq.ParquetFile(path).iter_batches(batch_size=2**20, columns=columns):
        device = batch.column(wanted["device"][0]).to_numpy(zero_copy_only=False)
        data = {
            k: batch.column(column).to_numpy(zero_copy_only=False) * np.float32(scale)
            if scale != 1.0 else batch.column(column).to_numpy(zero_copy_only=False)
            for k, (column, scale) in wanted.items() if k != "device"
        }  # fmt: skip
        edges = np.concatenate([[0], np.flatnonzero(device[1:] != device[:-1]) + 1, [len(device)]])
        for low, high in pairwise(edges):
            name = device[low]
            if held and name != current:
                yield flush()
                done.add(current)
                held.clear()
            if name in done:
                raise InvalidValueError(
                    f"device: rows of device {name} do not stand together; sort the file by "
                    "device and cycle"
                )
            current = name
            held.append({k: x[low:high] for k, x in data.items()})
    if held:
        yield flush()


def _from_hdf5(path: Path) -> Sweeps:
    """Datasets voltage and current (device, cycle, point), or such datasets in a group a device."""
    try:
        import h5py
    except ImportError:
        raise FileFormatError('HDF5 files need: pip install "synfab[learn]"') from None

    with h5py.File(path) as file:
        groups = [k for k in file if isinstance(file[k], h5py.Group)]
        top = [k for k in file if isinstance(file[k], h5py.Dataset)]
        inner = list(file[groups[0]]) if groups else []
    found = find_columns(top or inner)
    need(found, ("voltage", "current"), top or inner)
    (v_name, v_scale), (i_name, i_scale) = found["voltage"], found["current"]

    def devices() -> Iterator[DeviceSweeps]:
        with h5py.File(path) as file:
            if not top:
                for group in groups:
                    v, i = file[group][v_name][()] * v_scale, file[group][i_name][()] * i_scale
                    for device in sweeps_from_arrays(v, i).open_devices():
                        yield device._replace(name=group)
                return
            v_set, i_set = file[v_name], file[i_name]
            if i_set.ndim < 3:
                yield from sweeps_from_arrays(
                    v_set[()] * v_scale, i_set[()] * i_scale
                ).open_devices()
                return
            for k in range(len(i_set)):
                v = v_set[k] if v_set.ndim == 3 else v_set[()]
                one = sweeps_from_arrays(v * v_scale, i_set[k] * i_scale)
                for device in one.open_devices():
                    yield device._replace(name=str(k))

    return Sweeps(devices)


def _from_npz(path: Path) -> Sweeps | FeatureTable:
    with np.load(path, allow_pickle=False) as archive:
        names = [n for n in archive.files if split_name(n)[0] not in ("device", "cycle", "time")]
        found = find_columns(archive.files)
        if "r_hrs" in found:
            import pandas as pd

            shape = archive[found["r_hrs"][0]].shape
            data = {k: scale * archive[column].ravel() for k, (column, scale) in found.items()}
            if len(shape) == 2 and "device" not in found:
                data["device"] = np.repeat(np.arange(shape[0]), shape[1])
                data["cycle"] = np.tile(np.arange(shape[1]), shape[0])
            return read_frame(pd.DataFrame(data))
        need(found, ("voltage", "current"), names)
        v = archive[found["voltage"][0]] * found["voltage"][1]
        i = archive[found["current"][0]] * found["current"][1]
    return sweeps_from_arrays(v, i)
