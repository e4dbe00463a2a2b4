"""Training in situ with a second array of cells that collects the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.types import Array
from synfab.programming.pulser import DURATION
from synfab.programming.tiles import Tiles
from synfab.random.arrays import to_numpy
from synfab.torch import state as cell_state
from synfab.torch.cell_optimizer import CellOptimizer, Parameters
from synfab.torch.core import CrossbarLayer
from synfab.torch.fast_array import MAX_ZERO_SHIFT, ZERO_SHIFT, FastArray
from synfab.torch.layer_writer import Group
from synfab.torch.open_loop import REFRESH_EVERY, OpenLoopWriter
from synfab.torch.optimizer import check_pulses
from synfab.torch.staircases import linear_staircase
from synfab.torch.stochastic import MAX_SLOTS, SLOTS
from synfab.torch.trains import Trains, record, vectors_of

FAST = "fast_"  # prefix of the state of the fast array


class TikiTaka(CellOptimizer):
    """Tiki-Taka: gradients collect in a fast array A, from which the weights C are updated.

    Gokmen and Haensch (Front. Neurosci. 14:103, 2020). A has as many cells as C, the cells of the
    layer, on the same chip after those of the network. In each update, with the vectors x and
    d = dL/dy of ``StochasticPulseSGD``,

        A <- A - lr d x^T                       by stochastic pulse trains
        C <- C + transfer_lr (A - R) u_j u_j^T  by stochastic pulse trains

    where u_j selects the next ``columns`` columns in turn, and R is the reference of A. The method
    needs cells that fall back to R under random pulses of both directions. A pair whose cells have
    RESET pulses of equal voltage steps does so: the larger conductance of the two has the larger
    steps. The forward pass uses C alone.

    R is the symmetry point (zero-shifting, Kim et al., arXiv 1907.10228): both cells of a pair of A
    start at the top of the window, receive ``zero_shift`` pulses in turn, and are read once. Pairs
    of A at the end of the window or at the last voltage are found every ``refresh_every`` updates;
    what they hold is transferred, and they start again, with a new R.

    Since RESET only lowers a conductance, A needs such restarts regularly: ``report`` has a row
    for its cells. In the published technology they carry most of the wear.

    Parameters
    ----------
    network, params
        As for ``PulsedSGD``.
    lr
        Learning rate of A.
    transfer_lr
        Share of a column of A that is added to C at each of its transfers.
    columns
        Number of columns transferred per update.
    momentum, weight_decay
        Of the parameters that are updated digitally. Weights on cells have neither: A is an average
        of past gradients already.
    slots
        Length of the pulse trains, L.
    granularity
        Change of conductance that a pulse stands for, S; None: 2 % of the window.
    zero_shift
        Number of pulses of each cell of A that find the reference.
    refresh_every
        Number of updates between refreshes, of A and of C.
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
        transfer_lr: float = 0.1,
        columns: int = 4,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        slots: int = SLOTS,
        granularity: float | None = None,
        zero_shift: int = ZERO_SHIFT,
        refresh_every: int = REFRESH_EVERY,
        duration: float = DURATION,
    ) -> None:
        self.granularity, self.duration = check_pulses(granularity, duration)
        self.transfer_lr = checks.positive("transfer_lr", transfer_lr)
        self.columns = checks.count("columns", columns)
        self.slots = checks.count("slots", slots, MAX_SLOTS)
        self.zero_shift = checks.integer("zero_shift", zero_shift, 0, MAX_ZERO_SHIFT)
        self.refresh_every = checks.count("refresh_every", refresh_every)
        self.next_cell = 0
        super().__init__(network, params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def writer(self, layer: CrossbarLayer[nn.Module]) -> OpenLoopWriter:
        """Return what pulses the cells of a layer."""
        return _Writer(layer, self, self.fast_tiles(layer))

    def fast_tiles(self, layer: CrossbarLayer[nn.Module]) -> Tiles:
        """Return the cells of A, after those of the network and of other layers."""
        options, ends = layer.options, [layer.tiles.end_cell for layer in self.on_cells]
        made = Tiles(
            options.model, layer.tiles.shape, options.tile, groups=layer.tiles.groups,
            first_cell=max(self.next_cell, *ends), seed=layer.tiles.seed, order=options.order,
            engine=options.engine, history=options.history, device=options.device,
            arrays="numpy" if options.device is None else "torch",
        )  # fmt: skip
        self.next_cell = made.end_cell
        return made


class TikiTakaV2(TikiTaka):
    """Tiki-Taka with a digital filter H between the fast array A and the weights C.

    Gokmen (Front. Artif. Intell. 4:699148, 2021): instead of pulsing C by every noisy read of A,

        H_j <- H_j + transfer_lr (A - R) u_j / e;   n = sign(H) where |H| >= 1, else 0
        C <- C + e n, one pulse each;   H <- H - n

    with e the change ``granularity`` of a pulse, so noise of A averages out before it reaches C.
    All else, and all parameters, are those of ``TikiTaka``.
    """

    def writer(self, layer: CrossbarLayer[nn.Module]) -> OpenLoopWriter:
        """Return what pulses the cells of a layer."""
        return _FilteredWriter(layer, self, self.fast_tiles(layer))


class _Writer(OpenLoopWriter):
    """Fast array of one layer, and transfers by pulse trains."""

    def __init__(self, layer: CrossbarLayer[nn.Module], method: TikiTaka, tiles: Tiles) -> None:
        super().__init__(layer, method.granularity, method.duration, method.refresh_every)
        options = layer.options
        self.staircase = linear_staircase(options.model, options.g_window, self.granularity)
        self.fast = FastArray(
            tiles, options.g_window, self.granularity, method.duration, method.zero_shift
        )
        self.trains = Trains(tiles, method.slots)
        self.transfers = Trains(layer.tiles, method.slots)
        self.transfer_lr, self.columns = method.transfer_lr, method.columns
        self.column = 0  # the next one
        record(layer, self.recorded)

    def program(self) -> None:
        """Program the cells of C, and bring all pairs of A to their symmetry points."""
        super().program()
        self.fast.start(np.ones(self.fast.pairs.tiles.shape, np.bool_))

    def update(self, gradient: Tensor, group: Group) -> None:
        """Send the pulse trains of all recorded vectors to A, and transfer the next columns."""
        if self.recorded:
            x, d = vectors_of(self.recorded)
            strength = group["lr"] / self.weight_per_pulse
            self.fast.pulse(self.trains.coincidences(x, d, strength))
        self.forget()
        self.transfer(self.next_columns(), self.fast.read())
        if (self.updates + 1) % self.refresh_every == 0:
            ended, held = self.fast.exhausted()
            self.transfer(np.flatnonzero(ended.any(axis=0)), np.where(ended, held, 0.0))
            self.fast.start(ended)
        self.finish()

    def next_columns(self) -> Array:
        """Return the columns to transfer now, in turn."""
        inputs = self.layer.tiles.shape[1]
        found = (self.column + np.arange(min(self.columns, inputs))) % inputs
        self.column = int((found[-1] + 1) % inputs)
        return np.asarray(found)

    def transfer(self, columns: Array, held: Array) -> None:
        """Update columns of C by what A holds, S, (outputs, inputs)."""
        if not len(columns):
            return
        change = self.transfer_lr * held[:, columns].T
        inputs, groups = self.layer.tiles.shape[1], self.layer.tiles.groups
        one_hot = np.tile(np.eye(inputs)[columns], groups)
        counts = self.transfers.coincidences(one_hot, -change, 1.0 / self.granularity)
        self.pairs.pulse_times(counts, self.staircase)

    def settings(self) -> dict[str, float]:
        """Return settings that must agree with those of a state."""
        own = {"slots": self.trains.slots, "transfer_lr": self.transfer_lr, "columns": self.columns}
        return {**super().settings(), **own, "zero_shift": self.fast.zero_shift}

    def dump(self) -> dict[str, Any]:
        """Return the state, with that of the fast array's cells."""
        state = {FAST + name: value for name, value in self.fast.dump().items()}
        numbers = {
            "vectors": self.trains.vectors, "transfers": self.transfers.vectors,
            "column": self.column,
        }  # fmt: skip
        return {**super().dump(), **numbers, **state}

    def check(self, layer: str, state: object) -> None:
        """Raise unless ``restore`` can restore this state."""
        super().check(layer, state)
        given = checks.mapping(f"state_dict: {layer}", state)
        cell_state.check(self.fast.pairs.tiles, given.get(FAST + "cells"))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        super().restore(state)
        self.trains.vectors, self.transfers.vectors, self.column = (
            int(state[name]) for name in ("vectors", "transfers", "column")
        )
        self.fast.restore({
            name.removeprefix(FAST): value for name, value in state.items()
            if name.startswith(FAST)
        })  # fmt: skip
        self.forget()

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """Return rows of the report by name: of the layer, and of its fast array."""
        fast = self.fast.pairs
        cells = {"cells": fast.count.size, "updates": self.updates}
        return {**super().rows(name), f"{name}.fast": {**cells, **fast.row()}}


class _FilteredWriter(_Writer):
    """Fast array of one layer, and transfers through a digital filter."""

    def __init__(self, layer: CrossbarLayer[nn.Module], method: TikiTaka, tiles: Tiles) -> None:
        super().__init__(layer, method, tiles)
        self.h = np.zeros(layer.tiles.shape)  # pulses

    def transfer(self, columns: Array, held: Array) -> None:
        """Add columns of A to the filter, and pulse C where a whole pulse is due."""
        if not len(columns):
            return
        self.h[:, columns] += self.transfer_lr / self.granularity * held[:, columns]
        n = np.zeros(self.h.shape)
        n[:, columns] = np.trunc(self.h[:, columns]).clip(-1.0, 1.0)
        self.h -= n
        counts = np.stack([np.maximum(-n, 0.0), np.maximum(n, 0.0)]).astype(np.int64)
        self.pairs.pulse_times(counts, self.staircase)

    def dump(self) -> dict[str, Any]:
        """Return the state, with that of the fast array's cells and the filter."""
        return {**super().dump(), "h": torch.from_numpy(self.h.copy())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        super().restore(state)
        self.h = to_numpy(state["h"]).copy()
