"""Pairs of cells in training: their pulses, the voltages of the last ones, and what they cost.

RESET is gradual and SET is abrupt, so a RESET of the G- cell increases the difference of a pair,
and a RESET of the G+ cell decreases it. A cell that reaches the end of the window, or the last
voltage, cannot go further: its pair is refreshed, that is, both cells are SET and programmed by
write and verify, with the same difference and the larger conductance at the top of the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from synfab.common.types import Array
from synfab.model.typical import typical_device
from synfab.programming.controller import RESET_FIRST, RESET_LAST
from synfab.programming.pulser import DirectPulser, measured_conductance
from synfab.programming.tiles import Tiles
from synfab.programming.write_verify import WriteVerify
from synfab.random.arrays import to_numpy
from synfab.torch.staircases import Staircase

# A pair at the end of the window is refreshed if its larger cell can gain at least this fraction of
# the window. Otherwise its weight is at the end of the range, and a refresh would not help.
GAIN = 0.1


class PulsedPairs:
    """Pairs of cells and what a controller outside the crossbar knows of them.

    Parameters
    ----------
    tiles
        The cells.
    window
        Conductances (g_min, g_max) that the pairs use, S.
    duration
        Of each pulse, s.

    Attributes
    ----------
    g
        Last reads, S, (2, outputs, inputs): G+ and G-.
    amplitude
        Voltage of the last RESET pulse, V, of the same shape.
    count
        Number of pulses, of the same shape.
    refreshed
        Number of refreshed pairs so far.
    begin, full, limit
        Voltages of the first RESET pulse of a typical device, of a full RESET, and of the last
        pulse, V.
    """

    def __init__(self, tiles: Tiles, window: tuple[float, float], duration: float) -> None:
        self.tiles = tiles
        self.low, self.span = window[0], window[1] - window[0]
        self.begin = RESET_FIRST * typical_device(tiles.model).u_reset
        self.full = tiles.model.conduction.u_max
        self.limit = RESET_LAST * self.full
        self.pulsers = [DirectPulser(cells, duration) for cells in tiles.cells]
        shape = (2, *tiles.shape)
        self.count = np.zeros(shape, np.int64)
        # One number until the first pulse: other amplitudes are new arrays.
        self.amplitude: Array = np.broadcast_to(self.begin, shape)
        self.g: Array = np.zeros(shape)
        self.refreshed = 0

    def pulse(self, voltage: Array) -> None:
        """Apply RESET pulses, without a read; NaN: no pulse."""
        given = np.isfinite(voltage)
        if not given.any():
            return
        for pulser, part in zip(self.pulsers, self.tiles.split(voltage), strict=True):
            pulser.apply_voltage(part)
        self.count += given
        self.amplitude = np.where(given, voltage, self.amplitude)

    def pulse_times(self, counts: Array, staircase: Staircase) -> None:
        """Apply numbers of RESET pulses one after another, without reads.

        Parameters
        ----------
        counts
            Pulses of G+ and G-, (2, outputs, inputs). After a full RESET a cell receives none.
        staircase
            Returns the voltages of the next pulses for those of the last ones, V.
        """
        rest = counts.copy()
        while True:
            due = (rest > 0) & (self.amplitude < self.full)
            if not due.any():
                return
            self.pulse(np.where(due, staircase(self.amplitude), np.nan))
            rest -= 1

    def read(self) -> Array:
        """Return the conductances of all cells, read at U_0 with noise, S."""
        return self.tiles.join([measured_conductance(cells) for cells in self.tiles.cells])

    def exhausted(self, margin: float) -> Array:
        """Return which pairs need a refresh by their last reads, (outputs, inputs).

        One of their cells is within ``margin`` (S) of the lower end of the window, or has had a
        full RESET, and the larger one is below the top.
        """
        at_end = (self.g < self.low + margin) | (self.amplitude >= self.full)
        below = self.g.max(axis=0) < self.low + (1.0 - GAIN) * self.span
        return np.asarray(at_end.any(axis=0) & below)

    def refresh(self, pairs: Array, difference: Array) -> None:
        """SET and program both cells of pairs, the larger one to the top of the window.

        Parameters
        ----------
        pairs
            Which ones, (outputs, inputs).
        difference
            G+ minus G- afterwards, S, of the same shape; limited to the window.
        """
        top = self.low + self.span
        wanted = np.clip(difference, -self.span, self.span)
        targets = np.stack([top + np.minimum(wanted, 0.0), top - np.maximum(wanted, 0.0)])
        targets = np.where(pairs, targets, np.nan)
        join, split = self.tiles.join, self.tiles.split
        works = [
            WriteVerify(DirectPulser(pulser.cells, pulser.duration), part).erase()
            for pulser, part in zip(self.pulsers, split(targets), strict=True)
        ]
        results = [work.run() for work in works]
        for pulser, result in zip(self.pulsers, results, strict=True):
            pulser.energy += result.energy
        self.count += join([result.pulses for result in results])
        # A cell that stays in its LRS has had no RESET pulse yet.
        amplitude = np.maximum(join([work.controllers.amplitude for work in works]), self.begin)
        self.amplitude = np.where(pairs, amplitude, self.amplitude)
        self.g = np.where(pairs, self.read(), self.g)
        self.refreshed += int(pairs.sum())

    def energy(self) -> Array:
        """Return the energy of all pulses so far in each cell, J, (2, outputs, inputs)."""
        return self.tiles.join([pulser.energy for pulser in self.pulsers])

    def dump(self) -> dict[str, Any]:
        """Return the state, in tensors and numbers, without that of the cells."""
        each = {
            "amplitude": self.amplitude, "g": self.g, "count": self.count, "energy": self.energy()
        }  # fmt: skip
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in each.items()}
        return {"refreshed": self.refreshed, **tensors}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        self.amplitude, self.g, self.count = (
            to_numpy(state[name]).copy() for name in ("amplitude", "g", "count")
        )
        energy = self.tiles.split(to_numpy(state["energy"]))
        for pulser, part in zip(self.pulsers, energy, strict=True):
            pulser.energy = part
        self.refreshed = int(state["refreshed"])

    def row(self) -> dict[str, Any]:
        """Return pulses, cycles and energy so far, summed over all cells."""
        cycles = np.concatenate([to_numpy(cells.cycle).ravel() for cells in self.tiles.cells])
        return {
            "pulses": int(self.count.sum()),
            "pulses_a_cell": float(self.count.mean()),
            "most_pulses": int(self.count.max()),
            "cycles_a_cell": float(cycles.mean()),
            "most_cycles": int(cycles.max()),
            "refreshed": self.refreshed,
            "energy": float(self.energy().sum()),
        }
