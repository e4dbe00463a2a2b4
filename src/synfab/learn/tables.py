"""Features and loops in any form that functions accept: as they are, or as a table of columns."""

from __future__ import annotations

from synfab.common.errors import InvalidValueError
from synfab.learn.features import FeatureTable
from synfab.learn.readers.columns import SWEEP_COLUMNS, find_columns, listing
from synfab.learn.readers.frames import from_frame
from synfab.learn.readers.tables import Table, to_frame
from synfab.learn.sweeps import Sweeps
from synfab.model.cell_model import FEATURES


def as_features(name: str, value: FeatureTable | Table) -> FeatureTable:
    """Return features given as a ``FeatureTable``, or as a pandas, Polars or Arrow table.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        It is something else, a column is missing, or a column does not hold numbers.
    """
    if isinstance(value, FeatureTable):
        return value
    frame = to_frame(
        name, value,
        "a FeatureTable (from read_features or extract_features), or a table with the columns "
        f"device, cycle, {', '.join(FEATURES)}",
    )  # fmt: skip
    found = find_columns(map(str, frame.columns))
    missing = [feature for feature in FEATURES if feature not in found]
    if missing:
        advice = "read_features reads tables with other columns"
        if all(column in found for column in SWEEP_COLUMNS):
            advice = "extract_features returns the features of these loops"
        raise InvalidValueError(
            f"{name}: no column for {', '.join(missing)}; the table has "
            f"{listing(frame.columns)}. {advice}"
        )
    result = from_frame(frame, None, None, None)
    assert isinstance(result, FeatureTable)
    return result


def as_sweeps(name: str, value: Sweeps | Table) -> Sweeps:
    """Return loops given as ``Sweeps``, or as a pandas, Polars or Arrow table.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        It is something else, a column is missing, or a column does not hold numbers.
    """
    if isinstance(value, Sweeps):
        return value
    frame = to_frame(
        name, value,
        "Sweeps (from read_sweeps), or a table with the columns device, cycle, voltage, current",
    )  # fmt: skip
    result = from_frame(frame, None, None, None)
    if isinstance(result, FeatureTable):
        raise InvalidValueError(
            f"{name}: expected the columns voltage and current; found features "
            f"({listing(frame.columns)})"
        )
    return result
