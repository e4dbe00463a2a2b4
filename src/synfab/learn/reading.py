"""Reading measurements: a file of any registered format, a folder of files, or a data frame."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.io.compressed import PACKED, unpacked
from synfab.io.limits import one_line_errors
from synfab.learn.features import AssumedVoltage, FeatureTable, assumed_voltage

# Importing one of these modules registers its format.
from synfab.learn.readers import (  # noqa: F401
    easyexpert,
    event_log,
    excel,
    hdf5,
    mat,
    npz,
    ods,
    parquet,
    pickled,
    tdms,
    text,
)
from synfab.learn.readers.folder import measured_files, read_folder
from synfab.learn.readers.frames import from_frame
from synfab.learn.readers.registry import Columns, find_format, readable_suffixes, suffix_of
from synfab.learn.readers.tables import Table, to_frame
from synfab.learn.sweeps import Sweeps

# Notes about the reading, in the order in which they are shown.
READING = (
    *("files", "folders", "sheets", "groups", "lines_of_text", "renamed_columns", "columns"),
    *("blocks", "devices", "pulses"),
)

if TYPE_CHECKING:
    import pandas as pd


def read_sweeps(
    source: str | os.PathLike[str] | Table,
    *,
    columns: Columns = None,
    allow_pickle: bool = False,
) -> Sweeps:
    """Return I-V loops from a table of points or loops, or from arrays in a file.

    Parameters
    ----------
    source
        A file; a folder of files (one per device or one per loop); or a table (pandas,
        Polars, Arrow, or any other with the Arrow PyCapsule interface) with the columns device,
        cycle, voltage and current. The index of a pandas frame is ignored. Parquet and HDF5 files
        are streamed, one device at a time.
    columns
        Quantity to column, for columns with other names: ``{"current": "I meas [uA]"}``; or the
        names of all columns in order, for tables without names: ``["voltage", "current [uA]"]``.
    allow_pickle
        Open pickles. Only for files you trust: opening a pickle can execute any code.

    Raises
    ------
    FileFormatError, InvalidValueError
        The source cannot be read, or does not hold I-V loops.

    Examples
    --------
    >>> u = np.concatenate([np.linspace(0, -1.5, 60), np.linspace(-1.5, 1.5, 120)])
    >>> cell = sf.CellArray("published", 1, seed=1)
    >>> i = cell.apply_program(np.tile(u, 30), read="pulse")[:, 0]
    >>> np.savetxt("iv.csv", np.c_[np.tile(u, 30), i], delimiter=",", header="V,I", comments="")
    >>> len(sf.learn.extract_features(sf.learn.read_sweeps("iv.csv"))) > 25
    True
    """
    found = read_any(source, columns=columns, allow_pickle=allow_pickle)
    if not isinstance(found, Sweeps):
        raise InvalidValueError("sweeps: the file holds features; use read_features")
    return found


def read_features(
    source: str | os.PathLike[str] | Table,
    *,
    columns: Columns = None,
    u_set: AssumedVoltage = None,
    u_reset: AssumedVoltage = None,
    allow_pickle: bool = False,
) -> FeatureTable:
    """Return a table of features: device, cycle, r_hrs, r_lrs and, if measured, u_set and u_reset.

    ``u_set`` and ``u_reset`` replace missing columns: a constant in V, or (mean, standard
    deviation). Other arguments and errors as in ``read_sweeps``.

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> table.to_pandas().to_csv("features.csv", index=False)
    >>> len(sf.learn.read_features("features.csv"))
    480
    """
    found = read_any(
        source, columns=columns, u_set=u_set, u_reset=u_reset, allow_pickle=allow_pickle
    )
    if not isinstance(found, FeatureTable):
        raise InvalidValueError("features: the file holds I-V sweeps; use read_sweeps")
    return found


def read_any(
    source: str | os.PathLike[str] | Table,
    *,
    columns: Columns = None,
    u_set: AssumedVoltage = None,
    u_reset: AssumedVoltage = None,
    allow_pickle: bool = False,
) -> Sweeps | FeatureTable:
    """Return the I-V loops or the features that a source holds.

    Arguments and errors as in ``read_sweeps`` and ``read_features``.
    """
    checks.flag("allow_pickle", allow_pickle)
    for name, value in (("u_set", u_set), ("u_reset", u_reset)):
        if value is not None:
            assumed_voltage(name, value)
    columns = _checked(columns)
    if not isinstance(source, (str, os.PathLike)):
        return from_frame(_frame(source, "source"), columns, u_set, u_reset)
    path = checks.path("source", source)
    if path.is_dir():
        reader = partial(_read_file, columns=columns, u_set=u_set, u_reset=u_reset,
                         allow_pickle=allow_pickle)  # fmt: skip
        found = read_folder(path, readable_suffixes(trusted=allow_pickle), reader)
    else:
        found = _read_file(path, columns, u_set, u_reset, allow_pickle)
    # Loops may be read again later, so no output may replace their files.
    return replace(found, files=tuple(source_files(path))) if isinstance(found, Sweeps) else found


def _checked(columns: object) -> Columns:
    if columns is None:
        return None
    if isinstance(columns, (list, tuple)):
        return checks.texts("columns", columns, len(columns))
    given = checks.mapping("columns", columns).items()
    return {checks.text("columns", k): checks.text("columns", v) for k, v in given}


def reading_notes(notes: Mapping[str, object]) -> list[str]:
    """Return what was decided when a measurement was read, one text per decision."""
    return [f"{name.replace('_', ' ')}: {notes[name]}" for name in READING if name in notes]


def source_files(source: object) -> list[Path]:
    """Return the files that ``read_any`` reads for a source, none for one that is not a path."""
    if not isinstance(source, (str, os.PathLike)):
        return []
    try:
        return measured_files(Path(source), readable_suffixes())
    except OSError as error:  # read_any reports it
        pass_on(error)
        return []


def _read_file(
    path: Path,
    columns: Columns,
    u_set: AssumedVoltage,
    u_reset: AssumedVoltage,
    allow_pickle: bool,
) -> Sweeps | FeatureTable:
    suffix = suffix_of(path)
    try:
        with one_line_errors(f"{path}: cannot be read as {suffix[1:]}"):
            packed = suffix in readable_suffixes() and path.suffix.lower() in PACKED
            if not packed or not path.is_file():
                return _read_as(path, columns, u_set, u_reset, allow_pickle)
            with unpacked(path) as copy:
                return _read_as(copy, columns, u_set, u_reset, allow_pickle)
    except SynfabError as error:
        text = " ".join(str(error).split())
        raise type(error)(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


def _read_as(
    path: Path,
    columns: Columns,
    u_set: AssumedVoltage,
    u_reset: AssumedVoltage,
    allow_pickle: bool,
) -> Sweeps | FeatureTable:
    form = find_format(path)
    if form.runs_code and not allow_pickle:
        raise FileFormatError(
            f"opening a {form.name} file can execute any code; if you trust it, pass "
            "allow_pickle=True (--allow-pickle), or save the data as Parquet"
        )
    found = form.load(path, columns)
    if isinstance(found, (Sweeps, FeatureTable)):
        return found
    return from_frame(_frame(found, form.name), columns, u_set, u_reset)


def _frame(source: object, name: str) -> pd.DataFrame:
    expected = "a path or a table" if name == "source" else "a table, Sweeps or FeatureTable"
    return to_frame(name, source, f"{expected} (pandas, Polars, Arrow)")
