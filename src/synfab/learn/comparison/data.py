"""Features of measured and generated devices, on the scale on which they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from synfab.cells.array import CellArray
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.conditions import at_reference
from synfab.learn.features import FeatureTable
from synfab.learn.rejected import by_reason
from synfab.learn.standardised import MIN_CYCLES
from synfab.model.cell_model import FEATURES, CellModel

# Smallest resistance (ohm) that the logarithm distinguishes.
MIN_OHM = 1e-3
# A feature whose standard deviation is smaller than this part of its mean does not vary.
CONSTANT = 1e-6


@dataclass(frozen=True)
class Data:
    """Cycle numbers (T,) and features y (T, 4) of each device: log10 of r_hrs, others unchanged."""

    devices: list[tuple[Array, Array]]

    def pooled(self) -> Array:
        """Return all cycles of all devices, (N, 4)."""
        return np.concatenate([y for _, y in self.devices])


class Measured(NamedTuple):
    """Devices with enough complete cycles, and what was left out of the comparison.

    Attributes
    ----------
    names, data
        Names of the devices in the order of ``data.devices``.
    short_devices
        Number of devices with fewer than ``MIN_CYCLES`` complete cycles.
    incomplete_cycles
        Number of cycles of the other devices in which a feature is missing.
    shifts
        Effect of the conditions that was removed from ``data``, (T, 4) per device.
    """

    names: tuple[str, ...]
    data: Data
    short_devices: int
    incomplete_cycles: int
    shifts: tuple[Array, ...]


def on_scale(values: Array) -> Array:
    """Return features (…, 4) in SI units on the scale of the comparison, whatever their sign."""
    y = np.array(values, np.float64)
    y[..., 0] = np.log10(np.maximum(y[..., 0], MIN_OHM))
    return y


def measured_data(features: FeatureTable, model: CellModel) -> Measured:
    """Return the devices of a table that can be compared, at the conditions of the model.

    Raises
    ------
    InvalidValueError
        No device has enough complete cycles.
    """
    names, devices, shifts, short, incomplete = [], [], [], 0, 0
    plain = at_reference(features, model.conditions, model.scales)
    both = zip(plain.devices(), features.devices(), strict=True)
    for (name, cycles, values), (_, _, raw) in both:
        good = np.isfinite(values).all(axis=1)
        if good.sum() < MIN_CYCLES:
            short += 1
            continue
        incomplete += int((~good).sum())
        names.append(name)
        devices.append((cycles[good], on_scale(values[good])))
        shifts.append(on_scale(raw[good]) - devices[-1][1])
    if not devices:
        lost = by_reason(features.rejected)
        raise InvalidValueError(
            f"features: no device has at least {MIN_CYCLES} complete cycles"
            + (f"; cycles that could not be evaluated: {lost}" if lost else "")
        )
    return Measured(tuple(names), Data(devices), short, incomplete, tuple(shifts))


def not_scored(data: Data, notes: Mapping[str, object]) -> dict[str, str]:
    """Return the features that say nothing about a model, with the reason.

    They are those that do not vary, and switching voltages that were typed by the user because
    they were not measured.
    """
    y = data.pooled()
    reasons = {
        name: "does not vary"
        for f, name in enumerate(FEATURES)
        if y[:, f].std() <= CONSTANT * abs(y[:, f].mean())
    }
    assumed = notes.get("assumed_voltages")
    if isinstance(assumed, Mapping):
        reasons |= {str(name): "not measured, value given by the user" for name in assumed}
    return reasons


def generate(model: CellModel, like: Data, seed: int, repeats: int = 1) -> list[Data]:
    """Return generated data with the devices and cycle numbers of ``like``, ``repeats`` times."""
    count = len(like.devices)
    longest = max(int(cycles[-1] - cycles[0]) + 1 for cycles, _ in like.devices)
    cells = CellArray(model, count * repeats, seed=seed)
    record = np.empty((longest, count * repeats, 4), np.float32)
    full = max(1.05 * model.conduction.u_max, 0.1)
    for n in range(longest):
        found = cells.features
        for f, name in enumerate(FEATURES):
            record[n, :, f] = found[name]
        # Voltages that SET and completely RESET every cell that works.
        u_set, u_reset = (np.where(np.isfinite(u), u, 0.0) for u in record[n, :, 1::2].T)
        cells.apply_voltage(np.minimum(u_set * 1.5, -0.01) - 0.01)
        cells.apply_voltage(np.maximum(full, u_reset + 0.01))
    if model.failure is not None:
        _close_failed(record)
    return [
        Data(
            [
                (cycles, on_scale(record[cycles - cycles[0], repeat * count + k]))
                for k, (cycles, _) in enumerate(like.devices)
            ]
        )
        for repeat in range(repeats)
    ]


def _close_failed(record: Array) -> None:
    """Write what a measurement of failed cells shows: both resistances are those of one state.

    Switching voltages that such a cell does not have are those of its last working cycle.
    """
    in_hrs, in_lrs = record[..., 1] == -np.inf, record[..., 3] == np.inf
    record[..., 2] = np.where(in_hrs, record[..., 0], record[..., 2])
    record[..., 0] = np.where(in_lrs, record[..., 2], record[..., 0])
    for n in range(1, len(record)):
        failed = (in_hrs[n] | in_lrs[n])[:, None]
        record[n, :, 1::2] = np.where(failed, record[n - 1, :, 1::2], record[n, :, 1::2])
    record[0, :, 1::2] = np.where(np.isfinite(record[0, :, 1::2]), record[0, :, 1::2], 0.0)
