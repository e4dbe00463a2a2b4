"""Tables of other libraries (pandas, Polars, Arrow, DuckDB, …) as pandas frames.

Apart from pandas, tables are read through the Arrow PyCapsule interface or, where a library has
only that, the older dataframe protocol (``__dataframe__``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from synfab.common.checks import kind_of
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of
from synfab.common.types import Array
from synfab.io.memory import require_memory
from synfab.io.table_file import doubles
from synfab.learn.readers.columns import ALIASES, Found, split_name
from synfab.model.conditions import UNITS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@runtime_checkable
class ArrowTable(Protocol):
    """A table with the Arrow PyCapsule interface: of Polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a stream of the rows in a capsule."""


# What functions accept as a table with named columns.
Table: TypeAlias = "pd.DataFrame | ArrowTable"


def to_frame(name: str, value: object, expected: str) -> pd.DataFrame:
    """Return a table as a pandas frame, whose index has no meaning.

    Raises
    ------
    InvalidTypeError
        It is not a table; ``name`` and ``expected`` describe the argument in the message.
    InvalidValueError
        A column that is needed is only in the index of a pandas frame.
    CapacityError
        The copy does not fit into memory.
    """
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        _check_index(name, value)
        return value
    if type(value).__name__ == "LazyFrame":
        raise InvalidTypeError(
            f"{name}: expected {expected}, found a LazyFrame, which holds no rows; pass its "
            "collect()"
        )
    if isinstance(value, type) or not (
        isinstance(value, ArrowTable) or hasattr(value, "__dataframe__")
    ):
        raise InvalidTypeError(f"{name}: expected {expected}, found {kind_of(value)}")
    table = _arrow(name, value)
    require_memory(3 * int(table.nbytes), name)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _arrow(name: str, value: object) -> pa.Table:
    import pyarrow as pa
    from pyarrow import interchange

    try:
        stream = isinstance(value, ArrowTable)
        table = pa.table(value) if stream else interchange.from_dataframe(value)
        columns = [pa.chunked_array([doubles(part) for part in column.chunks], None)
                   if column.num_chunks else column for column in table.columns]  # fmt: skip
        return pa.Table.from_arrays(columns, names=table.column_names)
    except Exception as error:  # code of other libraries
        pass_on(error)
        raise InvalidTypeError(
            f"{name}: {kind_of(value)} cannot be read as a table: {reason_of(error)}"
        ) from None


def _check_index(name: str, frame: pd.DataFrame) -> None:
    """Raise if a quantity is in the index and not among the columns, where it would be ignored."""
    columns = {split_name(str(column))[0] for column in frame.columns}
    for level in frame.index.names:
        plain = split_name(str(level))[0]
        for quantity, words in ALIASES.items():
            if level is not None and plain in words and not columns & words:
                raise InvalidValueError(
                    f"{name}: {quantity} is in the index of the frame, which is ignored; "
                    "reset_index() makes it a column"
                )


def numeric(series: pd.Series, name: str) -> Array:
    """Return the numbers in a column as float64, NaN for missing ones; text can have commas.

    Raises
    ------
    InvalidValueError
        A value is not a number; the message names its row.
    InvalidTypeError
        The column has another type, such as booleans or dates.
    """
    import pandas as pd

    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        numbers = numeric(kind.categories.to_series(), name)
        return np.append(numbers, np.nan)[series.cat.codes.to_numpy()]  # code -1: missing
    types = pd.api.types
    if types.is_object_dtype(kind) or types.is_string_dtype(kind):
        values = _parsed(series, name)
    elif not types.is_numeric_dtype(kind) or types.is_bool_dtype(kind) or kind.kind == "c":
        raise InvalidTypeError(f"{name}: expected numbers, found {kind}")
    else:
        values = series.to_numpy(np.float64, na_value=np.nan, copy=True)
    values[np.abs(values) > 9e36] = np.nan  # Keithley writes 9.91e37 for a missing reading
    return np.asarray(values)


def conditions_in(frame: pd.DataFrame, found: Found) -> dict[str, Array]:
    """Return the conditions that a frame has columns for, in SI units."""
    return {
        name: np.abs(scale * numeric(frame[column], column))
        for name, (column, scale) in found.items()
        if name in UNITS
    }


def _parsed(series: pd.Series, name: str) -> Array:
    """Return the numbers in a column of text or of Python objects."""
    import pandas as pd

    text = series.astype(str).str.strip().str.replace(",", ".", regex=False)
    missing = series.isna() | text.str.lower().isin(["", "nan", "na", "none", "null", "<na>"])
    numbers = pd.to_numeric(text.where(~missing), errors="coerce")
    bad = numbers.isna() & ~missing
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise InvalidValueError(
            f"{name}: expected numbers, found {series.iloc[row]!r} in data row {row + 1}"
        )
    return np.array(numbers.to_numpy(np.float64, na_value=np.nan))
