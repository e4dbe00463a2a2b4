"""CellView: a read-only view of selected cells of an array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from synfab.cells.html import cells_html
from synfab.common.errors import InvalidIndexError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.locking import lock_of
from synfab.common.messages import reason_of
from synfab.common.no_array import no_array
from synfab.common.types import A
from synfab.common.types import AnyArray as Array
from synfab.model.cell_model import FEATURES
from synfab.physics import rules

if TYPE_CHECKING:
    from synfab.cells.array import CellArray


def selected_cells(shape: tuple[int, ...], key: Any, name: str = "key") -> Array:
    """Return the numbers of the cells of an array that a key selects, in the selection's shape.

    Raises
    ------
    InvalidIndexError
        The key selects cells that do not exist, or is not an index of NumPy.
    """
    if isinstance(key, np.ma.MaskedArray):
        raise InvalidIndexError(f"{name}: masked arrays are not accepted")
    try:
        return np.asarray(np.arange(math.prod(shape)).reshape(shape)[key])
    except Exception as error:  # NumPy raises several types, a custom key any type
        pass_on(error)
        raise InvalidIndexError(f"{name}: no cells of shape {shape}: {reason_of(error)}") from None


@no_array("view.r, view.conductance() or view.current()")
class CellView(Generic[A]):
    """Read-only view of selected cells of an array; indexing never copies the array.

    Examples
    --------
    >>> cells = sf.CellArray("published", (4, 8), seed=1)
    >>> row = cells[2]
    >>> row.shape, np.array_equal(row.r, cells.r[2])
    ((8,), True)
    """

    def __init__(self, cells: CellArray[A], index: Array) -> None:
        self._cells, self._index = cells, index
        self.shape = index.shape

    def _found(self, what: Callable[..., Array]) -> Array:
        """Return the result of an engine method for these cells."""
        with lock_of(self._cells):
            return what(self._index.reshape(-1))

    def _shaped(self, array: Array) -> A:
        return self._cells.arguments.returned(array, self.shape)

    def _state(self) -> rules.SwitchingState:
        state: rules.SwitchingState = self._found(self._cells.engine_instance.take)
        return state

    def _seen(self) -> Array:
        """Return the mixing states that reads see."""
        traps, engine = self._cells.traps, self._cells.engine_instance
        if traps is None:
            return self._state().r
        return self._found(lambda index: traps.seen_by(engine, index))

    @property
    def r(self) -> A:
        """Mixing state r as reads see it."""
        return self._shaped(self._seen())

    @property
    def cycle(self) -> A:
        """Cycle number n."""
        return self._shaped(self._found(self._cells.engine_instance.cycles))

    @property
    def in_hrs(self) -> A:
        """Mask of the cells that are completely RESET."""
        return self._shaped(self._state().in_hrs)

    @property
    def in_lrs(self) -> A:
        """Mask of the cells that are SET."""
        return self._shaped(self._state().in_lrs)

    @property
    def features(self) -> dict[str, A]:
        """Features of the current cycle; see ``CellArray.features``."""
        values = self._found(self._cells.engine_instance.features)
        return {name: self._shaped(row) for name, row in zip(FEATURES, values, strict=True)}

    def current(self, u: float = 0.2) -> A:
        """Return the noise-free current (A) at one voltage ``u`` (V)."""
        voltage = self._cells.arguments.voltages(u)
        if voltage.shape[0] != 1:
            raise InvalidValueError("u: expected one voltage")
        r = self._seen()
        return self._shaped(rules.current(self._cells.model, r, r * 0.0 + voltage))

    def conductance(self, u: float = 0.2) -> A:
        """Return the static conductance I/U (S) at one nonzero voltage ``u`` (V)."""
        voltage = self._cells.arguments.voltages(u)
        if voltage.shape[0] != 1 or voltage[0] == 0.0:
            raise InvalidValueError("u: expected one voltage that is not 0 V")
        current: Array = self.current(u)
        return current / float(voltage[0])

    def __repr__(self) -> str:
        return f"CellView({' x '.join(map(str, self.shape)) or 'one'} of {self._cells!r})"

    def _repr_html_(self) -> str:
        return cells_html(self._cells, "CellView", self._index)
