"""The fast array of Tiki-Taka: pairs that collect gradients, and their symmetry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from synfab.common.types import Array
from synfab.programming.tiles import Tiles
from synfab.random.arrays import to_numpy
from synfab.torch import state as cell_state
from synfab.torch.pulsed_pairs import PulsedPairs
from synfab.torch.staircases import even_staircase

ZERO_SHIFT = 8
MAX_ZERO_SHIFT = 100  # more than a cell's steps from one end of the window to the other


class FastArray:
    """Pairs of cells that collect gradients as differences from their symmetry points.

    No cell changes before ``start``. A pair starts with both cells at the top of the window.
    Alternating pulses of both cells bring its difference near the point at which both respond
    equally (zero-shifting, Kim et al. 2019); the difference read there is its reference.

    Parameters
    ----------
    tiles
        The cells.
    window
        Conductances (g_min, g_max) of the pairs, S.
    granularity
        Mean change of a typical device by a pulse, S.
    duration
        Of each pulse, s.
    zero_shift
        Number of alternating pulses of each cell.
    """

    def __init__(
        self,
        tiles: Tiles,
        window: tuple[float, float],
        granularity: float,
        duration: float,
        zero_shift: int,
    ) -> None:
        self.pairs = PulsedPairs(tiles, window, duration)
        self.granularity, self.zero_shift = granularity, zero_shift
        self.staircase = even_staircase(tiles.model, window, granularity)
        self.reference = np.zeros(tiles.shape)

    def start(self, which: Array) -> None:
        """Bring pairs to the top of the window, and from there to their symmetry points."""
        if not which.any():
            return
        self.pairs.refresh(which, np.zeros(self.pairs.tiles.shape))
        one = np.asarray(which, np.int64)
        for _ in range(self.zero_shift):
            self.pulse(np.stack([np.zeros_like(one), one]))
            self.pulse(np.stack([one, np.zeros_like(one)]))
        self.pairs.g = np.where(which, self.pairs.read(), self.pairs.g)
        difference = self.pairs.g[0] - self.pairs.g[1]
        self.reference = np.where(which, difference, self.reference)

    def pulse(self, counts: Array) -> None:
        """Apply numbers of RESET pulses to G+ and G-, (2, outputs, inputs)."""
        self.pairs.pulse_times(counts, self.staircase)

    def read(self) -> Array:
        """Return the differences from the symmetry points, read with noise, S."""
        self.pairs.g = self.pairs.read()
        return np.asarray(self.pairs.g[0] - self.pairs.g[1] - self.reference)

    def exhausted(self) -> tuple[Array, Array]:
        """Return which pairs must start again, and what all hold, S, from a new read."""
        held = self.read()
        return self.pairs.exhausted(self.granularity), held

    def dump(self) -> dict[str, Any]:
        """Return the state, with that of the cells."""
        state = self.pairs.dump()
        state["reference"] = torch.from_numpy(self.reference.copy())
        return {**state, "cells": cell_state.with_digest(cell_state.dump(self.pairs.tiles))}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``, of which the cells are checked."""
        cell_state.restore(self.pairs.tiles, cell_state.check(self.pairs.tiles, state["cells"]))
        self.pairs.restore(state)
        self.reference = to_numpy(state["reference"]).copy()
