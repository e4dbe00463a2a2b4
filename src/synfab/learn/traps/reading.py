"""Reading tables of conductances over time, from files and data frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError, SynfabError
from synfab.common.types import Array
from synfab.io.compressed import PACKED, unpacked
from synfab.io.limits import one_line_errors
from synfab.io.memory import require_memory
from synfab.io.table_file import open_parquet
from synfab.learn import reading  # noqa: F401 - registers the formats
from synfab.learn.readers.columns import listing
from synfab.learn.readers.labels import index_labels
from synfab.learn.readers.registry import TEXT, Columns, find_format, suffix_of
from synfab.learn.readers.tables import Table, numeric, to_frame
from synfab.learn.traps.columns import SKIPPED, Column, find_read_columns, in_order
from synfab.learn.traps.data import Reads, Relaxation, relaxation_of, traces_of
from synfab.model.traps import MAX_SECONDS, NOMINAL_TEMPERATURE

if TYPE_CHECKING:
    import pandas as pd

EXPECTED = "a path or a table (pandas, Polars, Arrow)"
WARMEST = 2000.0  # K
# A temperature below this (K) without a unit is more likely in degrees Celsius.
COLD = 200.0
# A cell above this conductance (S) has the wrong unit.
HIGHEST = 1.0
NAMED = "; name the columns with columns= (--relaxation-columns)"


def read_relaxation(
    source: str | os.PathLike[str] | Table,
    *,
    columns: Columns = None,
    rate: SupportsFloat | None = None,
    temperature: SupportsFloat = NOMINAL_TEMPERATURE,
) -> Relaxation:
    """Return reads of cells over time, for ``fit_traps``.

    Parameters
    ----------
    source
        A file (text, spreadsheet or Parquet) or a table (pandas, Polars, Arrow) with one row per
        read, in any order: cell, time since programming (s), conductance (S), or resistance, or
        current and voltage; optional: programmed conductance, temperature (K). Units in the names
        are converted: ``time [h]``, ``temperature [degC]``. A cell with 256 or more reads at equal
        steps of time is a trace. Without a programmed value, changes are counted from the first
        read.
    columns
        Quantity to column, or the names of all columns in order, as for ``read_sweeps``.
    rate
        Reads per second (Hz) of traces in rows: each row is a cell, and its conductances (S) follow
        the columns that ``columns`` names in order (default: the device).
    temperature
        Temperature (K) of reads in a table without such a column.

    Raises
    ------
    FileFormatError, InvalidValueError
        The source cannot be read, columns are missing, or values are not possible.
    """
    kelvin = checks.number("temperature", temperature, above=0.0, maximum=WARMEST)
    hertz = None if rate is None else checks.positive("rate", rate)
    names = _checked(columns)
    if not isinstance(source, (str, os.PathLike)):
        return _from_frame(to_frame("source", source, EXPECTED), names, hertz, kelvin)
    path = checks.path("source", source)
    try:
        with one_line_errors(f"{path}: cannot be read as {suffix_of(path)[1:]}"):
            if path.suffix.lower() in PACKED and path.is_file():
                with unpacked(path) as copy:
                    return _from_file(copy, names, hertz, kelvin)
            return _from_file(path, names, hertz, kelvin)
    except SynfabError as error:
        text = " ".join(str(error).split())
        raise type(error)(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


def _checked(columns: object) -> Columns:
    if columns is None:
        return None
    if isinstance(columns, (list, tuple)):
        return checks.texts("columns", columns)
    given = checks.mapping("columns", columns).items()
    return {checks.text("columns", k): checks.text("columns", v) for k, v in given}


def _from_file(path: Path, columns: Columns, rate: float | None, kelvin: float) -> Relaxation:
    form = find_format(path)
    if rate is not None and suffix_of(path) in TEXT:
        return traces_of(_rows_of_text(path, _leading(columns)), rate, kelvin, [])
    if form.runs_code:
        raise InvalidValueError(f"expected text, a spreadsheet or Parquet, found {form.name}")
    if suffix_of(path) == ".parquet":
        frame = open_parquet(path).read().to_pandas()
    else:
        found = form.load(path, None)
        frame = to_frame(form.name, found, "a table with one row per read")
    return _from_frame(frame, columns, rate, kelvin)


def _leading(columns: Columns) -> int:
    """Return the number of columns before the samples of a trace."""
    if isinstance(columns, Mapping):
        raise InvalidTypeError("columns: expected the names of the columns before the samples, in "
                               "order, with rate=")  # fmt: skip
    return 1 if columns is None else len(in_order(columns, len(columns)))


def _rows_of_text(path: Path, leading: int) -> Array:
    """Return the samples in the lines of a text file, which can have very many columns."""
    rows: list[Array] = []
    require_memory(4 * path.stat().st_size, "source")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            mark = next((mark for mark in ("\t", ";", ",") if mark in line), None)
            fields = line.split(mark)[leading:]
            if not fields:
                continue
            try:
                rows.append(np.array(fields, np.float64))
            except ValueError:
                if rows:
                    raise InvalidValueError(f"conductance: line {number} has text among the "
                                            "samples") from None  # fmt: skip
    if not rows:
        raise InvalidValueError("conductance: found no row of samples")
    if len({len(row) for row in rows}) > 1:
        raise InvalidValueError("conductance: expected rows of equal length")
    return np.stack(rows)


def _from_frame(
    frame: pd.DataFrame, columns: Columns, rate: float | None, kelvin: float
) -> Relaxation:
    if len(frame) == 0:
        raise InvalidValueError("found a header and no rows")
    if rate is not None:
        samples = frame.iloc[:, _leading(columns) :]
        rows = np.stack([numeric(samples[c], str(c)) for c in samples.columns], axis=1)
        return traces_of(rows, rate, kelvin, [])
    names = [str(column) for column in frame.columns]
    given: Mapping[str, str] | None = None
    if isinstance(columns, Mapping):
        given = columns
    elif columns is not None:
        names = in_order(columns, len(names))
    elif names == [str(k) for k in range(len(names))]:
        raise InvalidValueError(
            f"no header line, found {len(names)} columns of numbers; name them in their order, "
            'such as columns=["device", "time [h]", "conductance [uS]", "_"]'
        )
    return _from_columns(frame.set_axis(names, axis=1), find_read_columns(names, given), kelvin)


def _from_columns(frame: pd.DataFrame, found: dict[str, Column], kelvin: float) -> Relaxation:
    def values(quantity: str) -> Array:
        column = found[quantity]
        return column.scale * numeric(frame[column.name], column.name) + column.offset

    shown = listing([name for name in frame.columns if not name.startswith(SKIPPED)])
    if "time" not in found:
        raise InvalidValueError(f"time: no such column (s, min, h, d), found {shown}{NAMED}; "
                                "traces with one row per cell need rate=")  # fmt: skip
    g = _conductance(found, values, shown)
    time, notes = values("time"), list[str]()
    kept = np.isfinite(g) | np.isfinite(time)
    missing = ~np.isfinite(g)
    _check_rows("time", f"0 … {MAX_SECONDS:g} s", time,
                kept & ~((time >= 0.0) & (time <= MAX_SECONDS)))  # fmt: skip
    if missing.any():
        notes.append(f"{missing.sum()} reads without a conductance are left out")
    temperature = np.full(len(frame), kelvin)
    if "temperature" in found:
        temperature = values("temperature")
        bad = ~((temperature > 0.0) & (temperature <= WARMEST)) & ~missing
        _check_rows("temperature", "K above 0, or degC above -273.15", temperature, bad)
        if not found["temperature"].unit and (temperature < COLD).any():
            raise InvalidValueError(
                f"temperature: found {temperature.min():g} without a unit; name the column "
                "'temperature [degC]' or 'temperature [K]'"
            )
    programmed = values("programmed") if "programmed" in found else np.full(len(frame), np.nan)
    if np.isinf(programmed).any():
        _check_rows("programmed", "finite conductances", programmed, np.isinf(programmed))
    if missing.all():
        raise InvalidValueError("conductance: found no number in any row")
    for name, these in (("conductance", g), ("programmed", programmed)):
        _check_rows(name, f"up to {HIGHEST:g} S (wrong unit?)", these, np.abs(these) > HIGHEST)
        if np.isfinite(these).any() and (middle := np.nanmedian(these)) < 0.0:
            raise InvalidValueError(
                f"{name}: expected positive conductances, found a median of {middle:g} S"
            )
    unused = [name for name in frame.columns if not name.startswith(SKIPPED)]
    unused = [name for name in unused if name not in {one.name for one in found.values()}]
    if unused:
        notes.append(f"columns without a known meaning are left out: {listing(unused)}")
    cell = (index_labels(frame[found["device"].name])[1] if "device" in found
            else np.zeros(len(frame), np.intp))  # fmt: skip
    kept = ~missing
    return relaxation_of(
        Reads(cell[kept], time[kept], g[kept], programmed[kept], temperature[kept]), notes
    )


def _conductance(found: dict[str, Column], values: object, shown: str) -> Array:
    """Return the conductances (S), NaN for missing reads."""
    assert callable(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        if "conductance" in found:
            name, g = "conductance", values("conductance")
        elif "resistance" in found:
            name, g = "resistance", 1.0 / values("resistance")
        elif "current" in found and "voltage" in found:
            name, g = "voltage", values("current") / values("voltage")
        else:
            raise InvalidValueError(f"conductance: no such column, and neither resistance nor "
                                    f"current and voltage; found {shown}{NAMED}")  # fmt: skip
    allowed = {"conductance": "finite S", "resistance": "ohm other than 0"}.get(
        name, "V other than 0"
    )
    _check_rows(name, allowed, g, np.isinf(g), shows=name == "conductance")
    return np.asarray(g)


def _check_rows(name: str, allowed: str, values: Array, bad: Array, *, shows: bool = True) -> None:
    """Raise if a row is bad; the message names the first one."""
    if bad.any():
        row = int(np.argmax(bad))
        found = "0" if not shows else f"{values[row]:g}" if np.isfinite(values[row]) else "none"
        raise InvalidValueError(f"{name}: expected {allowed}, found {found} in data row {row + 1}")
