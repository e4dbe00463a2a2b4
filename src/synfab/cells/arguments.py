"""Argument checks of array methods, and conversions between array libraries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.messages import reason_of
from synfab.common.types import AnyArray as Array
from synfab.io.memory import require_memory
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.random.arrays import to_numpy
from synfab.random.backend import NUMPY, Library

MANY_NUMBERS = 2**24  # the available memory is checked first
PLAIN = 1e30  # V; smaller magnitudes fit into float32
Checker = Callable[[str, Any], np.ndarray[Any, Any]]


class Arguments:
    """Checks and converts the arguments and results of the methods of one array.

    Parameters
    ----------
    library
        Array library of the engine, to which arguments are converted.
    shape
        Shape of the array.
    outer
        Library of the arrays returned to the user; None: the engine's.
    """

    def __init__(
        self, library: Library, shape: tuple[int, ...], outer: Library | None = None
    ) -> None:
        self.library, self.shape, self.outer = library, shape, outer or library

    def returned(self, array: Array, shape: tuple[int, ...] | None = None) -> Array:
        """Return a new engine array in the user's library, reshaped to ``shape`` (None: not)."""
        found = array if self.outer is self.library else self.outer.adopt(to_numpy(array))
        if shape is None or found.shape == shape:
            return found
        return self.outer.xp.reshape(found, shape)

    def real(self, name: str, value: Any) -> Array:
        """Return real numbers as an array of the engine's library, on its device."""
        return self._checked(name, value, ("integral", "real floating"), checks.real_array)

    def _checked(
        self, name: str, value: Any, kinds: str | tuple[str, ...], check: Checker
    ) -> Array:
        """Return an array of an allowed type in the engine's library, on its device."""
        library, outer = self.library, self.outer
        if outer is NUMPY or not isinstance(value, outer.kind):
            array = check(name, value)
            return array if library is NUMPY else library.asarray(_ordinary(array))
        try:
            fits = outer.xp.isdtype(value.dtype, kinds)
        except TypeError:  # library-specific types, such as JAX keys
            fits = False
        if not fits:
            raise InvalidTypeError(f"{name}: expected {kinds}, found {value.dtype}")
        try:
            return library.asarray(outer.asarray(value))
        except (RuntimeError, NotImplementedError, TypeError) as error:  # a tensor without data
            raise InvalidTypeError(f"{name}: cannot be read: {reason_of(error)}") from None

    def broadcast(self, name: str, array: Array) -> Array:
        """Return ``array`` broadcast to the shape of the cells."""
        checks.broadcasts(name, tuple(array.shape), self.shape)
        return self.library.xp.broadcast_to(array, self.shape)

    def voltages(self, u: Any, mask: Array | None = None) -> Array:
        """Return one float32 or one per cell; NaN is allowed only for cells outside the mask."""
        if type(u) is float and -PLAIN < u < PLAIN:  # fast, and without waiting for a GPU
            found = np.array([u], np.float32)
            return found if self.library is NUMPY else self.library.asarray(found)
        xp, array = self.library.xp, self.real("u", u)
        single = math.prod(array.shape) == 1 and array.ndim <= len(self.shape)
        if not single and tuple(array.shape) != self.shape:
            array = self.broadcast("u", array)
        with np.errstate(over="ignore"):  # overflow is detected below
            flat = xp.reshape(xp.astype(array, xp.float32, copy=False), (-1,))
        if mask is None:
            used = flat
        elif flat.shape[0] == 1:  # of all cells, or of the only one
            used = flat if bool(xp.any(mask)) else flat[:0]
        elif self.library is NUMPY:
            used = flat[mask]
        else:
            used = xp.where(mask, flat, 0.0)
        if not bool(xp.all(xp.isfinite(used))):
            raise InvalidValueError("u: expected finite voltages, found NaN or infinity")
        return contiguous(flat) if self.library is NUMPY else flat

    def states(self, g: Any, mask: Array | None, model: CellModel) -> Array:
        """Return the mixing states of static conductances ``g`` (S) at U_0, one per cell, float32.

        Raises
        ------
        InvalidValueError
            The conductance of a cell inside the mask is outside the technology's range.
        """
        xp, conduction = self.library.xp, model.conduction
        given = self.broadcast("g", self.real("g", g))
        wanted = xp.reshape(xp.astype(given, self.library.wide), (-1,))
        top = rules.highest_state(model)
        low, high = conduction.g_llrs - top * conduction.g_span, conduction.g_llrs
        fits = (wanted >= low) & (wanted <= high)
        used = wanted if mask is None else xp.where(mask, wanted, high)
        if not bool(xp.all(fits if mask is None else fits | ~mask)):
            raise InvalidValueError(
                f"g: expected {low:.4g} … {high:.4g} S, found "
                f"{float(xp.min(used)):.4g} … {float(xp.max(used)):.4g} S"
            )
        r = xp.astype(conduction.state(used), xp.float32)
        return xp.where(r > top, top, r)

    def program(self, name: str, voltages: Any, pulses: int | None = None) -> Array:
        """Return voltages of pulses, float32, (pulses, 1) or (pulses, cells).

        ``pulses`` is their number if it is known; one voltage then serves all of them.
        """
        xp, array = self.library.xp, self.real(name, voltages)
        if pulses is not None and array.ndim == 0:
            array = xp.broadcast_to(array, (pulses,))
        if array.ndim == 0 or pulses not in (None, array.shape[0]):
            wanted = "pulses" if pulses is None else f"{pulses} voltages, one per pulse"
            raise InvalidValueError(
                f"{name}: expected {wanted} along the first axis, found shape {tuple(array.shape)}"
            )
        count = array.shape[0]
        each = 1 if array.ndim == 1 else math.prod(self.shape)
        if count > MANY_NUMBERS // each:
            require_memory(4 * count * each, name)
        if array.ndim > 1:
            try:
                array = xp.broadcast_to(array, (count, *self.shape))
            except (ValueError, RuntimeError):
                raise InvalidValueError(
                    f"{name}: shape {tuple(array.shape)} does not broadcast to {count} pulses of "
                    f"{self.shape} cells"
                ) from None
        with np.errstate(over="ignore"):  # overflow is detected below
            flat = xp.reshape(xp.astype(array, xp.float32, copy=False), (count, each))
        if not bool(xp.all(xp.isfinite(flat))):
            raise InvalidValueError(f"{name}: expected finite voltages, found NaN or infinity")
        return contiguous(flat) if self.library is NUMPY else flat

    def mask(self, where: Any) -> Array | None:
        """Return one flag per cell; None (all cells) stays None."""
        if where is None:
            return None
        array = self._checked("where", where, "bool", checks.boolean_array)
        whole = array if tuple(array.shape) == self.shape else self.broadcast("where", array)
        flat = self.library.xp.reshape(whole, (-1,))
        return contiguous(flat) if self.library is NUMPY else flat

    def column_voltages(self, v: Any, kind: Any = np.float32) -> np.ndarray[Any, Any]:
        """Return checked readout voltages, (columns,) or (columns, B), as NumPy type ``kind``."""
        if len(self.shape) != 2:
            raise InvalidValueError(
                f"cells: a crossbar readout needs rows x columns, this array has shape {self.shape}"
            )
        columns = self.shape[1]
        voltages = np.asarray(to_numpy(self.real("v", v)), kind)
        if voltages.ndim not in (1, 2) or voltages.shape[0] != columns or voltages.size == 0:
            raise InvalidValueError(
                f"v: expected shape ({columns},) or ({columns}, B), found {voltages.shape}"
            )
        if not np.isfinite(voltages).all():
            raise InvalidValueError("v: expected finite voltages, found NaN or infinity")
        return voltages


def contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array in contiguous, writeable memory, as compiled kernels require."""
    found = np.asarray(array, order="C")
    return found if found.flags.writeable else found.copy()


def _ordinary(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a writeable array of a type and byte order that every library accepts."""
    kind = array.dtype.newbyteorder("=")
    # PyTorch lacks unsigned types, and JAX would truncate 64-bit integers.
    if kind.kind in "iu" or (kind.kind == "f" and kind.itemsize > 8):
        kind = np.dtype(np.float64)
    with np.errstate(over="ignore"):
        return contiguous(array.astype(kind, copy=False))
