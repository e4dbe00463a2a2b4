"""The parametrisation of hardware-aware training: weights as cells would hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.types import Array
from synfab.crossbar.array import Crossbar
from synfab.programming.tiles import Tiles
from synfab.torch.graphs import outside_graphs
from synfab.torch.noise import readout_normals
from synfab.torch.options import TrainingScale
from synfab.torch.passes import Passes, key_of, recomputing
from synfab.torch.wires import effective_conductance

# First row of the noise: larger than the number of any network's cells.
TRAINING_ROWS = 2**63


@dataclass(frozen=True, eq=False)
class Errors:
    """Programming errors: mean and standard deviation (S) of the error at each target (S)."""

    targets: Array
    mean: Array
    deviation: Array


class Cells(nn.Module):
    """Parametrisation of ``weight``: the weights that cells would hold."""

    of_cells = True  # layers with this are for training; convert refuses them

    def __init__(
        self,
        tiles: Tiles,
        window: tuple[float, float],
        stream: tuple[int, int],
        errors: Errors | None,
        bits: int | None,
        clip: float | None,
        scale: TrainingScale,
        bars: list[Crossbar] | None,
        limits: tuple[Tensor, Tensor] | None,
    ) -> None:
        super().__init__()
        self.tiles, self.window, self.stream = tiles, window, stream
        self.errors, self.bits, self.clip = errors, bits, clip
        self.scale, self.bars, self.limits = scale, bars, limits
        self.number = self.readouts = 0
        self.passes = Passes()

    def get_extra_state(self) -> dict[str, int]:
        """Return the numbers of the next draw of errors and the next readout."""
        return {"number": self.number, "readouts": self.readouts}

    def set_extra_state(self, state: object) -> None:
        """Restore the numbers of the next draw of errors and of the next readout."""
        given = state if isinstance(state, dict) else {}
        number = checks.word("state_dict: number", given.get("number"))
        # States of earlier versions have no readouts.
        self.readouts = checks.word("state_dict: readouts", given.get("readouts", 0))
        self.number = number

    def clipped(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights clipped to the window, and the largest magnitudes, (outputs or 1, 1)."""
        flat = weight.detach().abs().reshape(self.tiles.shape)
        largest = flat.amax(dim=1, keepdim=True) if self.scale == "output" else flat.amax()
        if self.clip is not None:
            largest = torch.minimum(largest, self.clip * weight.detach().std())
        largest = torch.where(largest > 0.0, largest, 1.0)
        largest = largest.reshape(-1, 1)
        inside = weight.reshape(self.tiles.shape).clamp(-largest, largest)
        return inside.reshape(weight.shape), largest

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights that cells would hold."""
        return outside_graphs(self._held, weight)

    def _held(self, weight: Tensor) -> Tensor:
        inside, largest = self.clipped(weight)
        part = inside.reshape(self.tiles.shape).to(torch.float64) / largest
        low, high = self.window
        level = torch.stack([part, -part]).clamp(0.0, 1.0)
        if self.bits is not None:
            top = 2**self.bits - 1
            level = with_gradient_of(level, torch.round(level * top) / top)
        g = low + (high - low) * level
        if self.training and self.errors is not None:
            g = g + self._errors(g.detach())
        if self.limits is not None:
            lowest, highest = (limit.to(g.device) for limit in self.limits)
            g = with_gradient_of(g, g.clamp(lowest, highest))
        difference = g[0] - g[1] if self.bars is None else self._behind_wires(g, self.bars)
        return (difference * (largest / (high - low))).to(weight.dtype).reshape(weight.shape)

    def _errors(self, g: Tensor) -> Tensor:
        """Draw programming errors for targets ``g``, S."""
        assert self.errors is not None
        targets = g.cpu().numpy()
        mean = np.interp(targets, self.errors.targets, self.errors.mean)
        deviation = np.interp(targets, self.errors.targets, self.errors.deviation)
        seed, first = self.stream
        number = self._number(g)
        z = readout_normals(seed, TRAINING_ROWS + first, g.numel(), number, 1, torch.device("cpu"))
        return torch.from_numpy(mean + deviation * z.numpy().reshape(g.shape)).to(g)

    def _number(self, g: Tensor) -> int:
        """Return the number of this draw; a recomputation repeats the one of its forward pass."""
        key = key_of(g)
        past = self.passes.find(key) if recomputing() else None
        if past is not None:
            return past
        if not recomputing():
            self.passes.record(key, self.number)
        self.number += 1
        return self.number - 1

    def _behind_wires(self, g: Tensor, bars: list[Crossbar]) -> Tensor:
        """Return the effective differences of conductance behind wires, (outputs, inputs), S."""
        whole = torch.zeros(self.tiles.shape, dtype=g.dtype)
        for tile, bar in zip(self.tiles.tiles, bars, strict=True):
            pairs = g[:, tile.outputs, tile.inputs].cpu()
            rows = pairs.transpose(0, 1).reshape(bar.shape)
            left = effective_conductance(rows.clamp(min=1e-9), bar)
            # Autograd allows this in-place change, since ``whole`` needs no gradient before it.
            whole[tile.outputs, tile.inputs] = left[0::2] - left[1::2]
        return whole.to(g.device)


def with_gradient_of(value: Tensor, rounded: Tensor) -> Tensor:
    """Return ``rounded``, with the gradient of ``value`` (straight-through estimator)."""
    return value + (rounded - value).detach()
