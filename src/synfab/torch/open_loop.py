"""Pulses without reads between them, and refreshes at regular times."""

from __future__ import annotations

import numpy as np
from torch import nn

from synfab.torch.core import CrossbarLayer
from synfab.torch.layer_writer import LayerWriter

REFRESH_EVERY = 100


class OpenLoopWriter(LayerWriter):
    """Base class of writers that pulse cells without reading them.

    Every ``refresh_every`` updates all cells are read, and the pairs with an exhausted cell are
    refreshed, as in Nandakumar et al. (2020). ``layer.weight`` holds the weights of the last reads.
    """

    def __init__(
        self,
        layer: CrossbarLayer[nn.Module],
        granularity: float | None,
        duration: float,
        refresh_every: int,
    ) -> None:
        super().__init__(layer, granularity, duration)
        self.refresh_every = refresh_every

    @property
    def weight_per_pulse(self) -> float:
        """Change of a weight that one pulse stands for."""
        return self.granularity * float(self.layer.weight_per_siemens.max())

    def settings(self) -> dict[str, float]:
        """Return settings that must agree with those of a state."""
        return {**super().settings(), "refresh_every": self.refresh_every}

    def finish(self) -> None:
        """Count an update, read and refresh if it is time, and update the layer."""
        self.updates += 1
        if self.updates % self.refresh_every:
            self.layer.refresh()
            return
        pairs = self.pairs
        pairs.g = pairs.read()
        ended = pairs.exhausted(self.granularity)
        if ended.any():
            pairs.refresh(ended, np.asarray(pairs.g[0] - pairs.g[1]))
        self.publish()
