"""Outer products by stochastic pulse trains (Gokmen and Vlasov 2016).

A vector x drives the columns of a crossbar and a vector d its rows, each line with a train of L
slots in which it fires with a probability proportional to the magnitude of its element. A cell
receives a pulse in each slot in which both of its lines fire, so the mean number of pulses is

    L p_i p_j = L (C_d |d_i|) (C_x |x_j|) = lr |d_i x_j| / w,   C_x C_d = lr / (L w)

where w is the change of a weight by one pulse. Probabilities are limited to 1. The factors of x and
d differ so that the largest elements of both have the same probability (update management, Gokmen,
Onen and Haensch 2017): C_x / C_d = max|d| / max|x|.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.engines.numba.train_kernels import fired
from synfab.programming.tiles import Tiles
from synfab.random.streams import WORD
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import rows_of
from synfab.torch.layer_writer import Recorded

Vectors = npt.NDArray[np.float64]


class Trains:
    """Random pulse trains for the lines of a layer: rows first, then columns.

    Random numbers are those of stream 7; lines are numbered from the first cell of ``tiles``, and
    an index is the number of a vector.
    """

    def __init__(self, tiles: Tiles, slots: int) -> None:
        self.tiles, self.slots = tiles, slots
        self.vectors = 0  # number of the next vector

    def coincidences(self, x: Vectors, d: Vectors, strength: float) -> Array:
        """Return the pulses of G+ and G- for changes -strength d x^T, (2, outputs, inputs).

        Parameters
        ----------
        x, d
            Inputs (B, groups * inputs) and gradients of outputs (B, outputs).
        strength
            lr / w, the number of pulses for a product of 1.
        """
        chance_x, chance_d = probabilities(x, d, strength / self.slots)
        chance = np.concatenate([chance_d, chance_x], axis=1).astype(np.float32)
        first, seed = self.tiles.first_cell, self.tiles.seed
        lines = fired(seed, first, self.vectors, chance, self.slots).astype(np.float32)
        self.vectors = (self.vectors + len(x)) & WORD
        rows, columns = np.split(lines, [d.shape[1]], axis=2)
        # Two products count the pulses of both directions: all, and their difference.
        every = self._products(rows, columns)
        signed = self._products(
            rows * np.sign(d).astype(np.float32)[:, None],
            columns * np.sign(x).astype(np.float32)[:, None],
        )
        return np.rint(np.stack([every + signed, every - signed]) / 2.0).astype(np.int64)

    def _products(self, rows: Array, columns: Array) -> Array:
        """Return sums of products over vectors and slots, (outputs, inputs)."""
        groups = self.tiles.groups
        left = torch.from_numpy(rows.reshape(-1, groups, rows.shape[2] // groups))
        right = torch.from_numpy(columns.reshape(-1, groups, columns.shape[2] // groups))
        each = [(left[:, k].T @ right[:, k]).numpy() for k in range(groups)]
        return np.concatenate(each)


def probabilities(x: Vectors, d: Vectors, share: float) -> tuple[Vectors, Vectors]:
    """Return the probabilities of columns and of rows in a slot; ``share`` is C_x C_d."""
    largest_x = np.abs(x).max(axis=1, keepdims=True)
    largest_d = np.abs(d).max(axis=1, keepdims=True)
    active = (largest_x > 0.0) & (largest_d > 0.0)
    ratio = np.sqrt(np.divide(largest_d, largest_x, out=np.ones_like(largest_x), where=active))
    base = share**0.5
    chances = (base * ratio * np.abs(x), base / ratio * np.abs(d))
    chance_x, chance_d = (np.where(active, np.minimum(chance, 1.0), 0.0) for chance in chances)
    return chance_x, chance_d


def record(layer: CrossbarLayer[nn.Module], recorded: Recorded) -> None:
    """Append the inputs and the gradients of outputs of each backward pass to ``recorded``."""

    def note(x: Tensor, y: Tensor) -> None:
        if not y.requires_grad:
            return
        hook = partial(_append, recorded, x.detach())
        y.register_hook(hook)  # type: ignore[no-untyped-call]

    layer.recorder = note


def _append(recorded: Recorded, x: Tensor, gradient: Tensor) -> None:
    recorded.append((rows_of(x), rows_of(gradient.detach())))


def vectors_of(recorded: Recorded) -> tuple[Vectors, Vectors]:
    """Return all recorded inputs and gradients of outputs, in the order of the backward passes."""
    x, d = (torch.cat(parts).cpu().numpy() for parts in zip(*recorded, strict=True))
    both: tuple[Any, Any] = x.astype(np.float64), d.astype(np.float64)
    if not all(np.isfinite(part).all() for part in both):
        raise InvalidValueError("grad: expected finite numbers, found NaN or infinity")
    return both
