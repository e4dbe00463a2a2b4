"""Programming through resistive wires: pulses on the cells of one row at a time.

Verification reads each cell directly (with read noise), so wires affect the pulses only, as with a
sense path that is calibrated for its lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.types import Array, SchemeName
from synfab.crossbar.circuit import Circuit
from synfab.crossbar.edge import Pulse
from synfab.crossbar.pulses import power, write_bias
from synfab.network.access import Transistor
from synfab.network.schemes import SCHEMES
from synfab.programming.pulser import DURATION
from synfab.random.arrays import digest

# Minimum voltage of columns that are pulsed together, relative to the strongest, if the scheme puts
# a fraction of the strongest on every cell; it limits the disturb voltage of unselected cells.
ALIKE = 0.6
SET_STEPS = 5


class RowPulser:
    """``Pulser`` that pulses the cells of each row together, as far as the scheme allows.

    Parameters
    ----------
    bar
        Circuit of the crossbar.
    scheme
        As in ``Crossbar.write``; None: the scheme with the least disturb.
    duration
        Duration of each pulse, s.
    parallel
        Maximum number of cells of a row pulsed simultaneously; None: all.
    """

    def __init__(
        self,
        bar: Circuit,
        scheme: SchemeName | None = None,
        duration: float = DURATION,
        parallel: int | None = None,
    ) -> None:
        self.bar, self.cells = bar, bar.cells
        self.scheme = pick_scheme(bar, scheme)
        self.duration = checks.number("duration", duration, minimum=0.0)
        self.parallel = bar.shape[1] if parallel is None else checks.count("parallel", parallel)
        self.energy: Array = np.zeros(bar.shape)

    @property
    def defects(self) -> Array | None:
        return None if self.bar.stuck is None else ~np.isnan(self.bar.stuck)

    @property
    def series_resistance(self) -> float:
        """See ``Pulser``; excludes the wires, which differ from cell to cell."""
        access = self.bar.access
        return access.on_resistance if isinstance(access, Transistor) else 0.0

    @property
    def settings(self) -> Mapping[str, Any]:
        bar = self.bar
        return {
            "wires": None if bar.wires is None else digest(*vars(bar.wires).values()),
            "access": repr(bar.access),
            "stuck": None if bar.stuck is None else digest(bar.stuck),
            "scheme": self.scheme,
            "parallel": self.parallel,
            "duration": self.duration,
        }

    def apply_voltage(self, voltage: Array) -> None:
        for row in np.flatnonzero(np.isfinite(voltage).any(axis=1)):
            self.pulse_row(int(row), voltage[row])

    def pulse_row(self, row: int, voltage: Array) -> None:
        """Pulse the cells of ``row`` with ``voltage`` (columns,), V; NaN: no pulse."""
        rows = np.zeros(self.bar.shape[0], np.bool_)
        rows[row] = True
        for mask in self._together(voltage):
            pulse = Pulse(self.bar, write_bias(self.bar, rows, mask, voltage[mask], self.scheme))
            pulse.climb(SET_STEPS)
            taken = power(pulse.solve(1.0)) * self.duration
            self.energy[slice(None) if pulse.index is None else pulse.index] += taken

    def _together(self, voltage: Array) -> Iterator[Array]:
        """Yield masks of columns to pulse together: of one sign and similar magnitude."""
        alike = 0.0 if keeps_rows_apart(self.bar) else ALIKE
        with np.errstate(invalid="ignore"):
            for sign in (-1.0, 1.0):
                left = sign * voltage > 0.0
                while left.any():
                    size = np.where(left, np.abs(voltage), 0.0)
                    mask = left & (size >= alike * size.max())
                    mask &= np.cumsum(mask) <= self.parallel
                    yield mask
                    left &= ~mask


def pick_scheme(bar: Circuit, scheme: SchemeName | None) -> SchemeName:
    """Return ``scheme`` after checking it; None: the scheme with the least disturb."""
    if scheme is not None:
        return checks.choice("scheme", scheme, SCHEMES)
    return "ground" if keeps_rows_apart(bar) else "V/3"


def keeps_rows_apart(bar: Circuit) -> bool:
    """Return whether transistors isolate unselected rows, so that pulses act on one row only."""
    return isinstance(bar.access, Transistor) and bar.access.gates == "rows"
