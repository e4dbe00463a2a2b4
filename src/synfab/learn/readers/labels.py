"""Device names as integer codes, so that one long name does not enlarge a whole NumPy array."""

from __future__ import annotations

import numpy as np

from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import kind_of
from synfab.common.types import Array


def index_labels(values: object) -> tuple[tuple[str, ...], Array]:
    """Return the sorted names in ``values`` and the index of the name of each value, (N,).

    Raises
    ------
    InvalidTypeError
        The values are not names or numbers.
    InvalidValueError
        A value is missing.
    """
    import pandas as pd

    if isinstance(values, np.ma.MaskedArray):
        raise InvalidTypeError("device: masked arrays are not accepted")
    try:
        flat = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        codes, found = pd.factorize(flat.reshape(-1), use_na_sentinel=False)
        words = [str(value) for value in np.asarray(found).tolist()]
    except Exception as error:  # ragged lists, and objects of other libraries
        pass_on(error)
        raise InvalidTypeError(
            f"device: expected names or numbers, found {kind_of(values)}"
        ) from None
    missing = np.asarray(pd.isna(found))
    if missing.any():
        row = int(np.argmax(missing[codes]))
        raise InvalidValueError(
            f"device: expected a name or number in every row, found none in data row {row + 1}"
        )
    names = tuple(sorted(set(words)))
    place = {name: k for k, name in enumerate(names)}
    return names, np.array([place[word] for word in words], np.intp)[codes]


def grouped(values: object) -> tuple[list[str], list[Array]]:
    """Return the names in ``values``, ordered by their first rows, and the row numbers of each."""
    names, codes = index_labels(values)
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    found = sorted((int(mine[0]), k) for k, mine in enumerate(rows[: len(names)]))
    return [names[k] for _, k in found], [rows[k] for _, k in found]


def counted(rows: list[Array], total: int) -> Array:
    """Return 0, 1, 2 … within each of the groups of ``rows``, (total,)."""
    result = np.zeros(total, np.int64)
    for mine in rows:
        result[mine] = np.arange(len(mine))
    return result
