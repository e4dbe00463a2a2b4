"""Cells on which other tools' conductances are programmed and read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synfab.cells.array import CellArray
from synfab.crossbar.programming import static_conductance
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.physics.noise import ReadNoise
from synfab.torch import pulses
from synfab.torch.noise import readout_normals

Array = npt.NDArray[Any]


class Bench:
    """Programs arrays of conductances, each on fresh cells of one chip.

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
        self, model: CellModel, seed: int, method: str, bandwidth: float, options: dict[str, Any]
    ) -> None:
        self.model, self.seed, self.method = model, seed, method
        self.options = pulses.check_options(method, options)
        self.noise = ReadNoise.of_bandwidth(bandwidth)
        self.next_cell, self.reads = 0, 0

    def program(self, targets: Array) -> Array:
        """Conductances (S) that cells have after programming; targets beyond reach are clipped."""
        conduction = self.model.conduction
        low = conduction.g_llrs - rules.highest_state(self.model) * (
            conduction.g_llrs - conduction.g_hhrs
        )
        wanted = np.clip(targets, low * (1.0 + 1e-6), conduction.g_llrs)
        if not wanted.size:
            return wanted
        cells = CellArray(self.model, wanted.size, seed=self.seed, first_cell=self.next_cell)
        self.next_cell += cells.size
        flat = wanted.reshape(-1)
        if self.method == "ideal":
            pulses.ideal(cells, flat)
        elif self.method == "open-loop":
            pulses.open_loop(cells, flat, **self.options)
        else:
            pulses.write_verify(cells, flat, **self.options)
        return static_conductance(cells).reshape(wanted.shape)

    def read(self, g: Array) -> Array:
        """One read of cells of the conductances ``g`` (S) at U_0, with noise, as conductances."""
        u_0 = self.model.conduction.u_0
        deviation = np.sqrt(self.noise.at_voltage(np.maximum(g, 0.0), u_0)) / u_0
        noisy: Array = g + deviation * self._normals(g.size).reshape(g.shape)
        return noisy

    def _normals(self, count: int) -> Array:
        # Rows beyond those of any layer: reads of the bench have numbers of their own.
        drawn = readout_normals(self.seed, 2**63, count, self.reads, 1, torch.device("cpu"))
        self.reads += 1
        return drawn.numpy().astype(np.float64)
