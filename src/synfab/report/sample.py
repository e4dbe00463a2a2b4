"""Data of single devices in a report: a sample of loops, and features over the cycles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common.types import Array, FloatArray
from synfab.learn.compare import Comparison, Data
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.sweeps import Sweeps
from synfab.model.cell_model import CellModel
from synfab.model.conditions import limited

MAX_DEVICES = 64
MAX_LOOPS = 10
MAX_POINTS = 160
MAX_BLOCKS = 100


class Loops(NamedTuple):
    """Loops of one device, V and A, (loops, points), short ones padded with NaN; their cycles."""

    voltage: FloatArray
    current: FloatArray
    cycle: FloatArray


class Series(NamedTuple):
    """Features in blocks of cycles: mean cycle (B,); median, 10 % and 90 % quantiles (B, 4)."""

    cycle: FloatArray
    median: FloatArray
    low: FloatArray
    high: FloatArray


def chosen_devices(count: int) -> list[int]:
    """Return at most ``MAX_DEVICES`` of ``count`` devices, evenly spaced, with first and last."""
    if count <= MAX_DEVICES:
        return list(range(count))
    return [int(k) for k in np.linspace(0, count - 1, MAX_DEVICES)]


def measured_loops(sweeps: Sweeps, names: list[str]) -> dict[str, Loops]:
    """Return a sample of loops of the named devices, evenly spaced over their record."""
    wanted = set(names)
    return {device.name: _thinned(device) for device in sweeps.devices() if device.name in wanted}


def generated_loops(model: CellModel, measured: list[Loops], seed: int) -> list[Loops]:
    """Return loops of one generated cell per measured device, at the same voltages.

    In the half of the SET, the compliance of the model limits the current.
    """
    count = max(len(loops.voltage) for loops in measured)
    points = max(loops.voltage.shape[1] for loops in measured)
    voltage = np.full((len(measured), count, points), np.nan)
    for k, loops in enumerate(measured):
        loop_count, point_count = loops.voltage.shape
        voltage[k, :loop_count, :point_count] = loops.voltage
    cells = CellArray(model, len(measured), seed=seed)
    defined = np.isfinite(voltage)
    # Devices with shorter loops get 0 V, which does not change their state.
    program = np.where(defined, voltage, 0.0).reshape(len(measured), -1).T
    currents = cells.apply_program(program, read="pulse", noise=False)
    currents = limited(currents, program, model.compliance)
    current = np.where(defined, currents.T.reshape(voltage.shape), np.nan)
    return [
        Loops(u[: len(like.voltage), : like.voltage.shape[1]],
              i[: len(like.voltage), : like.voltage.shape[1]], like.cycle)
        for u, i, like in zip(voltage, current, measured, strict=True)
    ]  # fmt: skip


class Marks(NamedTuple):
    """Switching voltages of the loops of one device: V, and the current (A) there, (N,) each."""

    voltage: FloatArray
    current: FloatArray
    loop: FloatArray


def switching_marks(loops: Loops, cycles: Array, y: Array) -> dict[str, Marks]:
    """Return where SET and RESET were found on the loops that have features y (T, 4)."""
    found: dict[str, list[tuple[float, float, float]]] = {"set": [], "reset": []}
    for row, cycle in enumerate(loops.cycle):
        at = int(np.searchsorted(cycles, cycle))
        if at == len(cycles) or cycles[at] != cycle:
            continue
        v, i = loops.voltage[row], loops.current[row]
        low = int(np.nanargmin(v))
        high = low + int(np.nanargmax(v[low:]))
        # On the way out, where the magnitude of the voltage rises.
        for name, part, sign, u in (
            ("set", slice(0, low + 1), -1.0, y[at, 1]),
            ("reset", slice(low, high + 1), 1.0, y[at, 3]),
        ):
            out = np.maximum.accumulate(sign * v[part])
            found[name].append((float(u), float(np.interp(sign * u, out, i[part])), row + 1.0))
    return {
        name: Marks(*np.array(rows, np.float64).reshape(-1, 3).T) for name, rows in found.items()
    }


def device_series(data: Data, index: int) -> Series:
    """Return medians and deciles of the features of a device in blocks of cycles."""
    cycles, y = data.devices[index]
    blocks = min(MAX_BLOCKS, len(cycles))
    pieces = np.array_split(np.arange(len(cycles)), blocks)
    quantiles = np.array([np.quantile(y[piece], [0.1, 0.5, 0.9], axis=0) for piece in pieces])
    middle = np.array([cycles[piece].mean() for piece in pieces], np.float64)
    return Series(middle, quantiles[:, 1], quantiles[:, 0], quantiles[:, 2])


def block_length(found: Comparison) -> int:
    """Return the number of cycles per block in the longest record."""
    longest = max(len(cycles) for cycles, _ in found.measured.devices)
    return -(-longest // min(MAX_BLOCKS, longest))


def _thinned(device: DeviceSweeps) -> Loops:
    loops = np.unique(
        np.linspace(0, len(device.cycles) - 1, min(MAX_LOOPS, len(device.cycles))).astype(int)
    )
    parts = [slice(device.offsets[k], device.offsets[k + 1]) for k in loops]
    kept = [_kept_points(device.voltage[part]) + part.start for part in parts]
    shape = (len(kept), max(len(k) for k in kept))
    voltage, current = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, index in enumerate(kept):
        voltage[row, : len(index)] = device.voltage[index]
        current[row, : len(index)] = device.current[index]
    # Features of every k-th cycle are numbered without the gaps.
    stride = max(int(np.gcd.reduce(np.diff(device.cycles))) if len(device.cycles) > 1 else 1, 1)
    return Loops(voltage, current, np.asarray(device.cycles[loops] // stride, np.float64))


def _kept_points(voltage: FloatArray) -> npt.NDArray[np.intp]:
    """Return evenly spaced points of a loop, including those of extreme voltage."""
    n = len(voltage)
    if n <= MAX_POINTS:
        return np.arange(n)
    even = np.linspace(0, n - 1, MAX_POINTS - 2).astype(int)
    return np.unique(np.concatenate([even, [np.argmin(voltage), np.argmax(voltage)]]))
