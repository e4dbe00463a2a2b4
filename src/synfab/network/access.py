"""Access devices between lines and cells (transistors, selectors), and defective cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, get_args

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike, GateDirection, GridShape

GATES: tuple[GateDirection, ...] = get_args(GateDirection)


@dataclass(frozen=True)
class Transistor:
    """Select transistor in series with each cell (1T1R): a resistance switched by a gate line.

    The curves of the published model contain the transistor of the cells that were measured (see
    ``CellModel.contains_transistor``). For these cells, ``on_resistance=0`` counts it once; a
    resistance above 0 is that of a further element in series, such as a contact.

    Parameters
    ----------
    on_resistance, off_resistance
        Resistance (ohm) with the gate line on or off; infinite: no conduction.
    gates
        Whether gate lines run along ``"rows"`` or ``"columns"``.

    Raises
    ------
    InvalidValueError
        A resistance is negative, or ``gates`` is unknown.

    Examples
    --------
    >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
    >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
    >>> gated = sf.Crossbar(cells, 2.5, access=sf.crossbar.Transistor(on_resistance=2e3))
    >>> bool(gated.read(np.full(8, 0.2), noise=False).sum() < bar.read(np.full(8, 0.2)).sum())
    True
    """

    on_resistance: float = 1e3
    off_resistance: float = math.inf
    gates: GateDirection = "rows"

    def __post_init__(self) -> None:
        on = checks.number("on_resistance", self.on_resistance, minimum=0.0)
        checks.choice("gates", self.gates, GATES)
        checks.freeze(self, on_resistance=on, off_resistance=_off(self.off_resistance, on))


@dataclass(frozen=True)
class Selector:
    """Two-terminal selector in series with each cell: I = saturation sinh(U / voltage).

    Parameters
    ----------
    saturation
        Saturation current, A.
    voltage
        Characteristic voltage, V; the smaller it is, the steeper the I-V curve.

    Examples
    --------
    >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
    >>> selector = sf.crossbar.Selector(saturation=1e-8, voltage=0.05)
    >>> bar = sf.Crossbar(cells, 2.5, access=selector)
    >>> bar.read(np.full(8, 0.8)).shape
    (8,)
    """

    saturation: float = 1e-8
    voltage: float = 0.05

    def __post_init__(self) -> None:
        for name in ("saturation", "voltage"):
            checks.freeze(self, **{name: checks.positive(name, getattr(self, name))})


def _off(value: object, on: float) -> float:
    """Return the checked off-resistance of a transistor; infinity is allowed."""
    if isinstance(value, (float, np.floating)) and value == math.inf:
        return math.inf
    off = checks.number("off_resistance", value)
    if off < on:
        raise InvalidValueError(
            f"off_resistance: expected on_resistance or above (inf: nothing leaks), found {off:g}"
        )
    return off


Access: TypeAlias = Transistor | Selector


class Barriers(NamedTuple):
    """Access devices and defects, in the form that ``kernels.barred_currents`` requires."""

    resistance: Array  # (rows, columns): series resistance, ohm; infinite: no conduction
    stuck: Array  # (rows, columns): conductance of a defective cell, S; else NaN
    saturation: float  # saturation current of the selector, A; 0: no selector
    voltage: float  # V


def make_barriers(
    shape: GridShape,
    access: Access | None,
    stuck: Array | None,
    selected: Array | None,
) -> Barriers | None:
    """Return the arrays of access devices and defects; None if there are neither.

    ``selected`` is the mask of the gate lines that are on; None: all of them.
    """
    if access is None and stuck is None:
        return None
    resistance = np.zeros(shape)
    if isinstance(access, Transistor):
        along = 0 if access.gates == "rows" else 1
        on = np.ones(shape[along], np.bool_) if selected is None else selected
        per_line = np.where(on, access.on_resistance, access.off_resistance)
        resistance[:] = np.expand_dims(per_line, 1 - along)
    saturation, voltage = 0.0, 1.0
    if isinstance(access, Selector):
        saturation, voltage = access.saturation, access.voltage
    nothing = np.full(shape, np.nan)
    return Barriers(resistance, nothing if stuck is None else stuck, saturation, voltage)


def defects(
    shape: GridShape,
    open_cells: ArrayLike | None,
    shorted_cells: ArrayLike | None,
    short_resistance: float,
) -> Array | None:
    """Return the conductance (S) of defective cells, NaN for all others; None: no defects."""
    masks = []
    for name, mask in (("open_cells", open_cells), ("shorted_cells", shorted_cells)):
        array = np.zeros(shape, np.bool_) if mask is None else checks.boolean_array(name, mask)
        if array.shape != shape:
            raise InvalidValueError(f"{name}: expected shape {shape}, found {array.shape}")
        masks.append(array)
    short = checks.positive("short_resistance", short_resistance)
    if (masks[0] & masks[1]).any():
        raise InvalidValueError("shorted_cells: a cell cannot be open and shorted")
    if not (masks[0].any() or masks[1].any()):
        return None
    return np.where(masks[0], 0.0, np.where(masks[1], 1.0 / short, np.nan))
