"""Pickled pandas frames. Unpickling can execute any code, so a caller has to allow it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common.errors import InvalidValueError
from synfab.learn.readers.registry import Columns, register_format

if TYPE_CHECKING:
    import pandas as pd


def read_pickle(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the frame, or the series as a frame of one row, in a pickle; ``columns`` is not used.

    Raises
    ------
    InvalidValueError
        The pickle holds something else.
    """
    import pandas as pd

    found: object = pd.read_pickle(path)
    if isinstance(found, pd.Series):
        found = found.to_frame().T
    if not isinstance(found, pd.DataFrame):
        raise InvalidValueError(f"expected a pandas frame, found {type(found).__name__}")
    return found


register_format("pickle", read_pickle, suffixes=(".pkl", ".pickle", ".df", ".s"), runs_code=True)
