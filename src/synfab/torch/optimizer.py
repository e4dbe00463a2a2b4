"""Training in situ: weight updates are RESET pulses on the cells.

RESET is gradual and SET is abrupt, so a RESET of the G- cell increases a weight, and a RESET of the
G+ cell decreases it. A RESET pulse changes a cell only if its amplitude is larger than those of
earlier pulses. The optimizer stores the last amplitude of each cell and increases it by the voltage
that a typical device needs for the change. When a cell reaches the end of the window, its pair is
refreshed: both cells are SET and programmed by write and verify, with the same difference and the
larger conductance at the top of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.io.limits import one_line_errors
from synfab.model.typical import typical_device, typical_slope
from synfab.programming.controller import MAX_RISE, MIN_RISE, RESET_FIRST, RESET_LAST
from synfab.programming.pulser import DURATION, DirectPulser, measured_conductance
from synfab.programming.write_verify import WriteVerify
from synfab.random.arrays import to_numpy
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network

CELLS = "cells"  # key of the layers' part of the optimizer's state
# State of a layer: one value per pair or cell, one per layer, and settings that must agree.
EACH, ALL = ("wanted", "amplitude", "g", "count", "energy"), ("updates", "refreshed")
# Headroom of weights in training, see ``leave_headroom``. On the digits, a range of twice the
# weights drawn at first pins a third of them, of four times 8 %, of eight times none.
INITIAL, PRESENT = 8.0, 1.5
SETTINGS = ("granularity", "duration")


class PulsedSGD(torch.optim.Optimizer):
    """Stochastic gradient descent that updates weights on cells by pulses.

    Weight changes are summed digitally, with their sign, until the sum is large enough for a pulse.
    After a pulse the cell is read once, with noise, and the measured change is subtracted from the
    sum. Other parameters are updated digitally.

    Parameters
    ----------
    network
        Module with layers on cells. The constructor programs them again, in place: the larger cell
        of each pair starts at the top of the window. A layer without a ``weight_range`` is given
        one with headroom, in which its weights can grow (``leave_headroom``).
        Parameters alone, or groups of them, are not enough: the optimizer needs the cells.
    lr
        Learning rate.
    momentum, weight_decay
        Of the parameters that are updated digitally, as in ``torch.optim.SGD``. Weights on cells
        have neither: the cells forget no update, and decay would pulse every cell in every step.
    granularity
        Smallest sum of changes that causes a pulse, S; None: 2 % of the window.
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
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        granularity: float | None = None,
        duration: float = DURATION,
    ) -> None:
        check_network(network)
        layers = crossbar_layers(network)
        if not layers:
            raise InvalidValueError("network: expected layers on cells, found none")
        lr = checks.positive("lr", lr)
        duration = checks.number("duration", duration, minimum=0.0)
        if granularity is not None:
            granularity = checks.positive("granularity", granularity)
        momentum = checks.number("momentum", momentum, minimum=0.0, below=1.0)
        weight_decay = checks.number("weight_decay", weight_decay, minimum=0.0)
        for _, layer in layers:
            layer.targets()  # raises for weights outside the window, before any cell has changed
        for _, layer in layers:
            leave_headroom(layer)
        # Only if they are used: checkpoints of earlier versions have neither.
        used = {"momentum": momentum, "weight_decay": weight_decay}
        used = {name: value for name, value in used.items() if value}
        super().__init__(network.parameters(), {"lr": lr, **used})
        self.layers = {
            name or "layer": _Writer(layer, granularity, duration) for name, layer in layers
        }
        self._of = {id(writer.layer.weight): writer for writer in self.layers.values()}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Apply one update; ``closure`` computes the loss again and returns it."""
        loss = None
        if closure is not None:
            checks.function("closure", closure)
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                writer = self._of.get(id(parameter))
                if writer is None:
                    self._update(parameter, group)
                else:
                    writer.update(-group["lr"] * parameter.grad)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        """Update a parameter digitally, as ``torch.optim.SGD``."""
        change = parameter.grad
        assert change is not None
        # Groups of earlier versions have neither of the two.
        decay, momentum = group.get("weight_decay", 0.0), group.get("momentum", 0.0)
        if decay:
            change = change.add(parameter, alpha=decay)
        if momentum:
            mean = self.state[parameter].get("momentum_buffer")
            change = change.clone() if mean is None else mean.mul_(momentum).add_(change)
            self.state[parameter]["momentum_buffer"] = change
        parameter.add_(change, alpha=-group["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, including sums and pulses of the cells.

        The state of the cells themselves is in the network's ``state_dict``; load both.
        """
        cells = {name: writer.dump() for name, writer in self.layers.items()}
        return {**super().state_dict(), CELLS: cells}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of ``state_dict``.

        Raises
        ------
        InvalidValueError
            The state belongs to another optimizer, or to other layers.
        """
        found = checks.mapping("state_dict", state_dict).get(CELLS)
        if not isinstance(found, dict) or found.keys() != self.layers.keys():
            names = ", ".join(map(checks.shown, found)) if isinstance(found, dict) else ""
            raise InvalidValueError(
                f"state_dict: expected the state of the layers {', '.join(self.layers)}, "
                f"found {names or 'none'}"
            )
        for name, writer in self.layers.items():
            writer.check(name, found[name])
        with one_line_errors("state_dict: not of such an optimizer"):
            super().load_state_dict({k: v for k, v in state_dict.items() if k != CELLS})
        for name, writer in self.layers.items():
            writer.restore(found[name])

    def report(self) -> pd.DataFrame:
        """Return a table of pulses, cycles and energy so far, one row per layer.

        Columns are ``cells``, ``updates``, ``pulses`` (of all cells), ``pulses_a_cell``,
        ``most_pulses`` (of a cell), ``cycles_a_cell``, ``most_cycles``, ``refreshed`` (pairs), and
        ``energy`` in the cells, J. The first programming is included.
        """
        rows = {name: writer.row() for name, writer in self.layers.items()}
        return pd.DataFrame.from_dict(rows, orient="index")


def leave_headroom(layer: CrossbarLayer[Any]) -> None:
    """Set the ``weight_range`` of a layer that has none, so that its weights can grow.

    It is ``INITIAL`` times the largest weight that PyTorch draws at first, 1 / sqrt(inputs), but at
    least ``PRESENT`` times the largest present weight.
    """
    if layer.options.weight_range is None:
        drawn = INITIAL / layer.tiles.shape[1] ** 0.5
        largest = max(drawn, PRESENT * float(layer.weight_range.max()))
        layer.options = replace(layer.options, weight_range=largest)


class _Writer:
    """Pulses on the cells of one layer; arrays of cells are (2, outputs, inputs), G+ and G-."""

    def __init__(
        self, layer: CrossbarLayer[nn.Module], granularity: float | None, duration: float
    ) -> None:
        self.layer = layer
        model, (low, high) = layer.options.model, layer.options.g_window
        self.low, self.span = low, high - low
        self.granularity = 0.02 * self.span if granularity is None else granularity
        self.table = typical_slope(model, layer.options.g_window)
        self.begin = RESET_FIRST * typical_device(model).u_reset
        self.limit = RESET_LAST * model.conduction.u_max
        self.duration = duration
        self.pulsers = [DirectPulser(cells, duration) for cells in layer.tiles.cells]
        self.count = np.zeros((2, *layer.tiles.shape), np.int64)  # of pulses
        self.updates = self.refreshed = 0
        plus, minus = layer.targets()
        self.wanted = np.zeros(layer.tiles.shape)  # S, sum of changes of G+ - G-
        self.amplitude = np.full((2, *layer.tiles.shape), self.begin)  # V, of the last pulse
        self.g = np.stack([plus, minus])
        self.refresh(np.ones(layer.tiles.shape, np.bool_))
        self.publish()

    def update(self, change: torch.Tensor) -> None:
        """Add a change of the weights, and pulse the cells whose sums are large enough."""
        shape = self.layer.tiles.shape
        weights = change.detach().reshape(shape).cpu().numpy().astype(np.float64)
        if not np.isfinite(weights).all():
            raise InvalidValueError("grad: expected finite numbers, found NaN or infinity")
        self.updates += 1
        per_siemens = self.layer.weight_per_siemens.cpu().numpy()[:, None]
        self.wanted += weights / per_siemens
        falls = np.stack([np.maximum(-self.wanted, 0.0), np.maximum(self.wanted, 0.0)])
        due = falls >= self.granularity
        step = np.clip(falls / np.interp(self.g, *self.table), MIN_RISE, MAX_RISE)
        voltage = self.amplitude + step
        at_end = due & ((self.g - falls < self.low) | (voltage >= self.limit))
        self.pulse(np.where(due & ~at_end, voltage, np.nan))
        pairs = at_end.any(axis=0)
        if pairs.any():
            self.refresh(pairs)
        self.publish()

    def pulse(self, voltage: Array) -> None:
        """Apply RESET pulses and subtract the measured changes from the sums; NaN: no pulse."""
        given = np.isfinite(voltage)
        if not given.any():
            return
        for pulser, part in zip(self.pulsers, self.layer.tiles.split(voltage), strict=True):
            pulser.apply_voltage(part)
        self.count += given
        before, now = self.g, self.read()
        self.amplitude = np.where(given, voltage, self.amplitude)
        self.g = np.where(given, now, before)
        risen = self.g - before
        self.wanted -= risen[0] - risen[1]

    def refresh(self, pairs: Array) -> None:
        """SET and program both cells of pairs, the larger one to the top of the window."""
        difference = np.clip(self.g[0] - self.g[1] + self.wanted, -self.span, self.span)
        top = self.low + self.span
        targets = np.stack([top + np.minimum(difference, 0.0), top - np.maximum(difference, 0.0)])
        targets = np.where(pairs, targets, np.nan)
        join, split = self.layer.tiles.join, self.layer.tiles.split
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
        self.wanted = np.where(pairs, 0.0, self.wanted)
        self.refreshed += int(pairs.sum())

    def read(self) -> Array:
        """Return the conductances of all cells, read at U_0 with noise, S."""
        tiles = self.layer.tiles
        return tiles.join([measured_conductance(cells) for cells in tiles.cells])

    def publish(self) -> None:
        """Update the layer from its cells, and its weights from their last reads."""
        layer = self.layer
        layer.refresh()
        difference = torch.from_numpy(self.g[0] - self.g[1]).to(layer.weight)
        factor = layer.weight_per_siemens.to(layer.weight)[:, None]
        with torch.no_grad():
            layer.weight.copy_((difference * factor).reshape(layer.weight.shape))
        layer.note_programmed()

    def dump(self) -> dict[str, Any]:
        """Return the state, in tensors and numbers."""
        state: dict[str, Any] = {name: getattr(self, name) for name in (*ALL, *SETTINGS)}
        each = (self.wanted, self.amplitude, self.g, self.count, self._energy())
        state.update(
            {name: torch.from_numpy(np.array(x)) for name, x in zip(EACH, each, strict=True)}
        )
        return state

    def check(self, layer: str, state: object) -> None:
        """Raise unless ``restore`` can restore this state."""
        where = f"state_dict: {layer}"
        given = checks.mapping(where, state)
        for name, mine in self.dump().items():
            if name in EACH:
                found = checks.real_array(f"{where}: {name}", given.get(name))
                lowest = 0.0 if name in ("count", "energy") else -np.inf
                if found.shape != tuple(mine.shape) or not np.isfinite(found).all():
                    raise InvalidValueError(
                        f"{where}: {name}: expected finite numbers of shape {tuple(mine.shape)}, "
                        f"found shape {found.shape}"
                    )
                if (found < lowest).any():
                    raise InvalidValueError(
                        f"{where}: {name}: expected numbers of at least 0, found negative ones"
                    )
            elif name in ALL:
                checks.integer(f"{where}: {name}", given.get(name), 0)
            elif checks.number(f"{where}: {name}", given.get(name)) != mine:
                raise InvalidValueError(
                    f"{where}: {name}: expected {mine:g}, found {given.get(name):g}"
                )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        values = {name: to_numpy(state[name]).copy() for name in EACH}
        self.wanted, self.amplitude, self.g, self.count, energy = values.values()
        for pulser, part in zip(self.pulsers, self.layer.tiles.split(energy), strict=True):
            pulser.energy = part
        self.updates, self.refreshed = (int(state[name]) for name in ALL)

    def _energy(self) -> Array:
        """Return the energy of all pulses so far in each cell, J, (2, outputs, inputs)."""
        return self.layer.tiles.join([pulser.energy for pulser in self.pulsers])

    def row(self) -> dict[str, Any]:
        """Return the row of the report."""
        tiles, counts = self.layer.tiles, self.count
        cycles = np.concatenate([to_numpy(cells.cycle).ravel() for cells in tiles.cells])
        return {
            "cells": counts.size,
            "updates": self.updates,
            "pulses": int(counts.sum()),
            "pulses_a_cell": float(counts.mean()),
            "most_pulses": int(counts.max()),
            "cycles_a_cell": float(cycles.mean()),
            "most_cycles": int(cycles.max()),
            "refreshed": self.refreshed,
            "energy": float(self._energy().sum()),
        }
