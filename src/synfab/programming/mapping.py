"""Map signed weights to conductances: differential pairs, an offset line, bit slices.

Inputs drive the columns and rows are sensed. A mapping arranges weights (outputs, inputs) on rows,
and its outputs are linear combinations of the row currents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike

MAX_BITS = 16


@dataclass(frozen=True, eq=False)
class Mapping:
    """Target conductances for weights, and the decoding of row currents into outputs.

    Attributes
    ----------
    targets
        Conductances to program, S, (rows, inputs).
    combine
        Decoding matrix, 1 / S, (outputs, rows): weights v = combine (targets v).
    """

    targets: Array
    combine: Array

    def decode(self, currents: ArrayLike) -> Array:
        """Return outputs (weight times V) from row currents (A), (rows,) or (rows, B)."""
        return self._combined("currents", currents)

    def weights(self, conductances: ArrayLike) -> Array:
        """Return the weights (outputs, inputs) encoded by conductances (rows, inputs), S."""
        return self._combined("conductances", conductances)

    def _combined(self, name: str, values: ArrayLike) -> Array:
        array = checks.real_array(name, values)
        if array.ndim not in (1, 2) or len(array) != self.combine.shape[1]:
            raise InvalidValueError(
                f"{name}: expected shape ({self.combine.shape[1]},) or "
                f"({self.combine.shape[1]}, B), found {array.shape}"
            )
        return np.asarray(self.combine @ array)


def differential_pairs(weights: ArrayLike, g_min: float, g_max: float) -> Mapping:
    """Return a mapping with two rows per output, one for each sign of a weight.

    The row of its sign carries the magnitude above ``g_min``, the other row ``g_min``. Rows 2 i and
    2 i + 1 belong to output i; ``g_min`` and ``g_max`` (S) limit the conductances.

    Examples
    --------
    >>> mapping = sf.crossbar.differential_pairs([[0.5, -1.0]], 1e-5, 1e-4)
    >>> (mapping.targets * 1e6).round(1)
    array([[ 55.,  10.],
           [ 10., 100.]])
    """
    w, low, span = _checked(weights, g_min, g_max)
    siemens = span / _largest(w)
    targets = np.empty((2 * len(w), w.shape[1]))
    targets[0::2] = low + siemens * np.maximum(w, 0.0)
    targets[1::2] = low + siemens * np.maximum(-w, 0.0)
    return Mapping(targets, np.kron(np.eye(len(w)), [1.0, -1.0]) / siemens)


def offset_line(weights: ArrayLike, g_min: float, g_max: float) -> Mapping:
    """Return a mapping with one row per output and one shared reference row.

    Weights are encoded around the midpoint of the window. The last row carries the midpoint; its
    current is subtracted from all others.

    Examples
    --------
    >>> mapping = sf.crossbar.offset_line([[0.5, -1.0]], 1e-5, 1e-4)
    >>> (mapping.targets * 1e6).round(1)
    array([[77.5, 10. ],
           [55. , 55. ]])
    """
    w, low, span = _checked(weights, g_min, g_max)
    siemens = span / 2.0 / _largest(w)
    targets = np.full((len(w) + 1, w.shape[1]), low + span / 2.0)
    targets[:-1] += siemens * w
    combine = np.hstack([np.eye(len(w)), -np.ones((len(w), 1))])
    return Mapping(targets, combine / siemens)


def bit_slices(
    weights: ArrayLike, g_min: float, g_max: float, bits: int, cell_bits: int = 1
) -> Mapping:
    """Return a mapping of weights rounded to ``bits`` bits and a sign, ``cell_bits`` per cell.

    Slices are differential pairs, least significant first: rows 2 (i slices + k) and the next hold
    slice k of output i.

    Examples
    --------
    >>> sf.crossbar.bit_slices([[0.5, -1.0]], 1e-5, 1e-4, bits=4).targets.shape
    (8, 2)
    """
    w, low, span = _checked(weights, g_min, g_max)
    bits = checks.count("bits", bits, MAX_BITS)
    cell_bits = checks.count("cell_bits", cell_bits, MAX_BITS)
    step = _largest(w) / (2**bits - 1)
    whole = np.rint(np.abs(w) / step).astype(np.int64)
    slices = -(-bits // cell_bits)
    levels = 2**cell_bits
    shifts = cell_bits * np.arange(slices)
    digits = (whole[:, None, :] >> shifts[:, None]) % levels
    siemens = span / (levels - 1)
    targets = np.empty((len(w), slices, 2, w.shape[1]))
    targets[:, :, 0] = low + siemens * np.where(w[:, None] > 0.0, digits, 0)
    targets[:, :, 1] = low + siemens * np.where(w[:, None] < 0.0, digits, 0)
    one = np.kron(2.0**shifts, [1.0, -1.0]) * step / siemens
    return Mapping(targets.reshape(-1, w.shape[1]), np.kron(np.eye(len(w)), one))


def _largest(weights: Array) -> float:
    return float(np.abs(weights).max()) or 1.0


def _checked(weights: ArrayLike, g_min: float, g_max: float) -> tuple[Array, float, float]:
    w = checks.real_array("weights", weights)
    if w.ndim != 2 or w.size == 0 or not np.isfinite(w).all():
        raise InvalidValueError(
            f"weights: expected finite numbers, outputs x inputs, found shape {w.shape}"
        )
    low, high = checks.number("g_min", g_min), checks.number("g_max", g_max)
    if not 0.0 < low < high:
        raise InvalidValueError(f"g_max: expected 0 < g_min < g_max, found {low:g} … {high:g} S")
    return w.astype(np.float64), low, high - low
