"""Training in situ with sums of changes in digital memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.programming.pulser import DURATION
from synfab.random.arrays import to_numpy
from synfab.torch.cell_optimizer import CellOptimizer, Parameters
from synfab.torch.core import CrossbarLayer
from synfab.torch.layer_writer import Group
from synfab.torch.open_loop import REFRESH_EVERY, OpenLoopWriter
from synfab.torch.optimizer import check_pulses
from synfab.torch.staircases import linear_staircase


class MixedPrecisionSGD(CellOptimizer):
    """Stochastic gradient descent with sums in digital memory and pulses without reads.

    Changes of the weights are summed in a variable chi; whole multiples of the mean change e of a
    pulse become pulses, and the rest stays (Nandakumar et al., Front. Neurosci. 14:406, 2020):

        chi <- chi - lr dL/dW;   n = trunc(chi / e);   chi <- chi - n e;   |n| pulses of sign n

    A positive n is RESET pulses of G-, a negative one of G+. Each pulse of a cell is larger than
    its last one, by the voltage that changes the typical device by e. What a pulse did is not
    measured: the scatter of devices and cycles is left to the training. Every ``refresh_every``
    updates all cells are read, and pairs at the end of the window are refreshed.

    Parameters
    ----------
    network, params
        As for ``PulsedSGD``.
    lr
        Learning rate.
    momentum
        As in ``torch.optim.SGD``, of all parameters: the gradient is digital.
    weight_decay
        Of the parameters that are updated digitally. For weights on cells it would need a read of
        every cell in every step.
    granularity
        Mean change of conductance by a pulse, e, S; None: 2 % of the window.
    refresh_every
        Number of updates between refreshes.
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
        refresh_every: int = REFRESH_EVERY,
        duration: float = DURATION,
    ) -> None:
        self.granularity, self.duration = check_pulses(granularity, duration)
        self.refresh_every = checks.count("refresh_every", refresh_every)
        super().__init__(network, params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def writer(self, layer: CrossbarLayer[nn.Module]) -> OpenLoopWriter:
        """Return what pulses the cells of a layer."""
        return _Writer(layer, self.granularity, self.duration, self.refresh_every)

    def direction(self, parameter: Tensor, group: Group) -> Tensor:
        """Return the gradient of weights on cells, with momentum."""
        gradient = super().direction(parameter, group)
        return self.with_momentum(parameter, gradient, group.get("momentum", 0.0))


class _Writer(OpenLoopWriter):
    """Digital sums of one layer."""

    def __init__(
        self,
        layer: CrossbarLayer[nn.Module],
        granularity: float | None,
        duration: float,
        refresh_every: int,
    ) -> None:
        self.chi = np.zeros(layer.tiles.shape)  # S
        super().__init__(layer, granularity, duration, refresh_every)
        options = layer.options
        self.staircase = linear_staircase(options.model, options.g_window, self.granularity)

    def update(self, gradient: Tensor, group: Group) -> None:
        """Add a change of the weights, and apply whole pulses."""
        self.chi += self.conductances(-group["lr"] * gradient)
        n = np.trunc(self.chi / self.granularity)
        self.chi -= n * self.granularity
        counts = np.stack([np.maximum(-n, 0.0), np.maximum(n, 0.0)]).astype(np.int64)
        self.pairs.pulse_times(counts, self.staircase)
        self.finish()

    def dump(self) -> dict[str, Any]:
        """Return the state, in tensors and numbers."""
        return {**super().dump(), "chi": torch.from_numpy(self.chi.copy())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        super().restore(state)
        self.chi = to_numpy(state["chi"]).copy()
