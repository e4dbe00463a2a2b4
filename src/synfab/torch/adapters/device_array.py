"""Cells that are programmed and read for other simulators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from synfab.cells.array import CellArray
from synfab.common.types import Array
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.physics.noise import ReadNoise
from synfab.programming.methods import check_options, program_cells
from synfab.torch.noise import readout_normals


class Bench:
    """Programs arrays of conductances, each on new cells of one chip.

    Parameters
    ----------
    model, seed
        Technology and chip.
    method, options
        As in ``program``.
    bandwidth
        Of ``read``, Hz.
    """

    def __init__(
        self,
        model: CellModel,
        seed: int,
        method: str,
        bandwidth: float,
        options: Mapping[str, object],
    ) -> None:
        self.model, self.seed, self.method = model, seed, method
        self.options = check_options(method, options)
        self.noise = ReadNoise.of_bandwidth(bandwidth)
        self.next_cell, self.reads = 0, 0

    def program(self, targets: Array) -> Array:
        """Return conductances of cells after programming, S; targets out of range are clipped."""
        conduction = self.model.conduction
        low = conduction.g_llrs - rules.highest_state(self.model) * conduction.g_span
        wanted = np.clip(targets, low * (1.0 + 1e-6), conduction.g_llrs)
        if not wanted.size:
            return wanted
        cells = CellArray(self.model, wanted.size, seed=self.seed, first_cell=self.next_cell)
        self.next_cell += cells.size
        done = program_cells(cells, wanted.reshape(-1), self.method, self.options)
        return done.achieved.reshape(wanted.shape)

    def read(self, g: Array) -> Array:
        """Return conductances ``g`` (S) as one read at U_0 measures them, with noise."""
        u_0 = self.model.conduction.u_0
        deviation = np.sqrt(self.noise.at_voltage(np.maximum(g, 0.0), u_0)) / u_0
        noisy: Array = g + deviation * self._normals(g.size).reshape(g.shape)
        return noisy

    def _normals(self, count: int) -> Array:
        # Rows above those of any layer, so that the random numbers differ from theirs.
        drawn = readout_normals(self.seed, 2**63, count, self.reads, 1, torch.device("cpu"))
        self.reads += 1
        return drawn.numpy().astype(np.float64)
