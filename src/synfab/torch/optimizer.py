"""Training in situ with one pulse and one read per change.

A RESET pulse changes a cell only if its amplitude is larger than those of earlier pulses. The
optimizer stores the last amplitude of each cell and increases it by the voltage that a typical
device needs for the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.types import Array
from synfab.model.typical import typical_slope
from synfab.programming.controller import MAX_RISE, MIN_RISE
from synfab.programming.pulser import DURATION
from synfab.random.arrays import to_numpy
from synfab.torch.cell_optimizer import CellOptimizer, Parameters
from synfab.torch.core import CrossbarLayer
from synfab.torch.layer_writer import Group, LayerWriter


class PulsedSGD(CellOptimizer):
    """Stochastic gradient descent that updates weights on cells by pulses, each followed by a read.

    Weight changes are summed digitally, with their sign, until the sum is large enough for a pulse:

        S <- S - lr dL/dW;  if |S| >= s:  RESET of G- (S > 0) or G+ (S < 0) by about |S|;
        S <- S - (measured change of G+ - G-)

    After a pulse the cell is read once, with noise, and the measured change is subtracted from the
    sum. When a cell reaches the end of the window, its pair is refreshed. Other parameters are
    updated digitally.

    Parameters
    ----------
    network
        Module with layers on cells. ``program``, or the first ``step``, programs them for the
        training: the larger cell of each pair starts at the top of the window, and a layer without
        a ``weight_range`` is given one with headroom, in which its weights can grow.
    lr
        Learning rate.
    params
        Parameters of the network to train, or groups of them, as for optimizers of PyTorch; None:
        all. Layers whose weights are not among them keep their cells as they are.
    momentum, weight_decay
        Of the parameters that are updated digitally, as in ``torch.optim.SGD``. Weights on cells
        have neither: the cells forget no update, and decay would pulse every cell in every step.
    granularity
        Smallest sum of changes that causes a pulse, s, S; None: 2 % of the window.
    duration
        Of each pulse, s.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or the network has no layers on cells.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 0.05,
        *,
        params: Parameters | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        granularity: float | None = None,
        duration: float = DURATION,
    ) -> None:
        self.granularity, self.duration = check_pulses(granularity, duration)
        super().__init__(network, params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def writer(self, layer: CrossbarLayer[nn.Module]) -> LayerWriter:
        """Return what pulses the cells of a layer."""
        return _Writer(layer, self.granularity, self.duration)


def check_pulses(granularity: object, duration: object) -> tuple[float | None, float]:
    """Return a granularity (S), or None, and a duration (s)."""
    change = None if granularity is None else checks.positive("granularity", granularity)
    return change, checks.number("duration", duration, minimum=0.0)


class _Writer(LayerWriter):
    """Sums of changes of one layer, and pulses that are followed by reads."""

    def __init__(
        self, layer: CrossbarLayer[nn.Module], granularity: float | None, duration: float
    ) -> None:
        self.table = typical_slope(layer.options.model, layer.options.g_window)
        self.wanted = np.zeros(layer.tiles.shape)  # S, sum of changes of G+ - G-
        super().__init__(layer, granularity, duration)

    def update(self, gradient: Tensor, group: Group) -> None:
        """Add a change of the weights, and pulse the cells whose sums are large enough."""
        change = self.conductances(-group["lr"] * gradient)
        self.updates += 1
        self.wanted += change
        pairs = self.pairs
        falls = np.stack([np.maximum(-self.wanted, 0.0), np.maximum(self.wanted, 0.0)])
        due = falls >= self.granularity
        step = np.clip(falls / np.interp(pairs.g, *self.table), MIN_RISE, MAX_RISE)
        voltage = pairs.amplitude + step
        at_end = due & ((pairs.g - falls < pairs.low) | (voltage >= pairs.limit))
        self.pulse(np.where(due & ~at_end, voltage, np.nan))
        ended = at_end.any(axis=0)
        if ended.any():
            self.refresh(ended)
        self.publish()

    def pulse(self, voltage: Array) -> None:
        """Apply RESET pulses and subtract the measured changes from the sums; NaN: no pulse."""
        given = np.isfinite(voltage)
        if not given.any():
            return
        self.pairs.pulse(voltage)
        before, now = self.pairs.g, self.pairs.read()
        self.pairs.g = np.where(given, now, before)
        risen = self.pairs.g - before
        self.wanted -= risen[0] - risen[1]

    def refresh(self, ended: Array) -> None:
        """Refresh pairs with the sums of their changes."""
        g = self.pairs.g
        self.pairs.refresh(ended, g[0] - g[1] + self.wanted)
        self.wanted = np.where(ended, 0.0, self.wanted)

    def dump(self) -> dict[str, Any]:
        """Return the state, in tensors and numbers."""
        return {"wanted": torch.from_numpy(self.wanted.copy()), **super().dump()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        super().restore(state)
        self.wanted = to_numpy(state["wanted"]).copy()
