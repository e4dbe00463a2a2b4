"""Measured loops and loops of generated cells at the same voltages, and their currents compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common.types import Array, FloatArray
from synfab.learn.comparison.properties import Property, distribution, wasserstein
from synfab.learn.comparison.sample import MIN_DEVICES, Frame, Units, blocks, grid
from synfab.learn.comparison.yardstick import Result, Splits, results
from synfab.learn.features import row_normals
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.rare_states import LoopNoise
from synfab.learn.sweeps import Sweeps
from synfab.model.cell_model import CellModel
from synfab.model.conditions import limited
from synfab.random.streams import Stream

MAX_DEVICES = 64
MAX_POINTS = 160
# Loops per device that are compared: more with few devices.
MIN_LOOPS, MAX_LOOPS, TOTAL_LOOPS = 10, 100, 600
# Voltages at which currents are compared on each of the four branches (SET out and back, RESET out
# and back), relative to the median of the largest voltage of that polarity: 20 in all.
PLACES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
REPEATS = 3
MIN_SPREAD = 0.01  # standard deviation of a current, relative to the largest one at the voltage


class Loops(NamedTuple):
    """Loops of one device, V and A, (loops, points), short ones padded with NaN; their cycles."""

    voltage: FloatArray
    current: FloatArray
    cycle: FloatArray


def chosen_devices(count: int) -> list[int]:
    """Return at most ``MAX_DEVICES`` of ``count`` devices, evenly spaced, with first and last."""
    if count <= MAX_DEVICES:
        return list(range(count))
    return [int(k) for k in np.linspace(0, count - 1, MAX_DEVICES)]


def measured_loops(sweeps: Sweeps, names: list[str], most: int) -> dict[str, Loops]:
    """Return at most ``most`` loops of each named device, evenly spaced over its record."""
    wanted = set(names)
    return {
        device.name: _thinned(device, most) for device in sweeps.devices() if device.name in wanted
    }


def generated_loops(model: CellModel, measured: list[Loops], seed: int) -> list[Loops]:
    """Return loops of one generated cell per measured device, at the same voltages.

    The first loop is applied twice, because the first loop of a new cell starts above its HRS. In
    the half of the SET, the compliance of the model limits the current.
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
    cells.apply_program(program[:points])
    currents = cells.apply_program(program, read="pulse", noise=False)
    currents = limited(currents, program, model.compliance)
    current = np.where(defined, currents.T.reshape(voltage.shape), np.nan)
    return [
        Loops(u[: len(like.voltage), : like.voltage.shape[1]],
              i[: len(like.voltage), : like.voltage.shape[1]], like.cycle)
        for u, i, like in zip(voltage, current, measured, strict=True)
    ]  # fmt: skip


def compared(
    model: CellModel,
    sweeps: Sweeps,
    names: tuple[str, ...],
    notes: Mapping[str, object],
    noise: LoopNoise,
    seed: int,
) -> list[Result]:
    """Return the distances of the currents at 20 voltages, of the SET and of the RESET half.

    Generated currents get what the instrument adds: the limit of the SET half, the offset and the
    noise of the measurement.
    """
    chosen = [names[k] for k in chosen_devices(len(names))]
    most = int(np.clip(TOTAL_LOOPS // len(chosen), MIN_LOOPS, MAX_LOOPS))
    by_name = measured_loops(sweeps, chosen, most)
    measured = [by_name[name] for name in chosen if name in by_name]
    if not measured:
        return []
    places = _places(measured)
    offset = float(np.median([np.median(_at_rest(loops)) for loops in measured]))
    limit = notes.get("compliance_A")
    columns = [_columns(loops, places) for loops in measured]
    kept = [k for k, values in enumerate(columns) if len(values[0]) > 1]
    if not kept:
        return []
    found = [
        _instrument(_columns(loops, places), offset, noise["noise_A"], limit, number)
        for number, loops in enumerate(
            generated_loops(model, REPEATS * [measured[k] for k in kept], seed)
        )
    ]
    made = [found[k : k + len(kept)] for k in range(0, len(found), len(kept))]
    return _results([columns[k] for k in kept], made, seed)


def _results(
    measured: list[tuple[Array, Array]], made: list[list[tuple[Array, Array]]], seed: int
) -> list[Result]:
    pooled = [np.concatenate([i for _, i in data]) for data in (measured, *made)]
    # A limited current hardly varies, but a deviation of 1 % is none.
    spread = np.maximum(pooled[0].std(axis=0), MIN_SPREAD * np.abs(pooled[0]).max(axis=0))
    frame = Frame(np.where(spread > 0.0, spread, np.inf), grid(pooled), np.ones(len(spread), bool))
    of_devices = len(measured) >= MIN_DEVICES
    units = Units(measured, frame)
    split = units if of_devices else Units(blocks(measured), frame)
    splits = Splits.of(split, seed, len(made), of_devices=of_devices)
    generated = [Units(data, frame) for data in made]
    half = len(spread) // 2
    return [
        row
        for key, name, part in (
            ("loops_set", "Loops, SET half", slice(0, half)),
            ("loops_reset", "Loops, RESET half", slice(half, None)),
        )
        for row in results(_currents(key, name, part), splits, units, generated)
    ]


def _currents(key: str, name: str, part: slice) -> Property:
    return Property(
        key, name, "mean Wasserstein distance of the currents at 10 voltages, standard deviations",
        distribution, lambda a, b, frame: wasserstein(a, b, frame)[part].mean(),
        lambda a, _: np.asarray(np.nan), per_feature=False,
    )  # fmt: skip


def _places(measured: list[Loops]) -> tuple[float, float]:
    """Return the median of the lowest and of the highest voltage of the loops."""
    low = np.concatenate([np.nanmin(loops.voltage, axis=1) for loops in measured])
    high = np.concatenate([np.nanmax(loops.voltage, axis=1) for loops in measured])
    return float(np.median(low)), float(np.median(high))


def _columns(loops: Loops, places: tuple[float, float]) -> tuple[Array, Array]:
    """Return cycles (L,) and currents (L, 20) of the loops that reach all voltages."""
    cycles, rows = [], []
    for number, (voltage, current) in enumerate(zip(loops.voltage, loops.current, strict=True)):
        v, i = (x[np.isfinite(voltage)] for x in (voltage, current))
        row = []
        low = int(np.argmin(v))
        high = low + int(np.argmax(v[low:]))
        ends = np.flatnonzero(v[low:high] >= 0.0)
        middle = low + int(ends[0]) if len(ends) else high
        for extreme, first, top, last in (
            (places[0], 0, low, middle),
            (places[1], middle, high, len(v) - 1),
        ):
            sign = np.sign(extreme)
            at = PLACES * abs(extreme)
            for branch in (slice(first, top + 1), slice(last, top - 1 if top else None, -1)):
                u = np.maximum.accumulate(sign * v[branch])
                inside = len(u) > 1 and u[0] <= at[0] and u[-1] >= at[-1]
                row.append(np.interp(at, u, i[branch]) if inside else np.full(len(at), np.nan))
        values = np.concatenate(row)
        if np.isfinite(values).all():
            cycles.append(number)
            rows.append(values)
    return np.array(cycles, np.int64), np.array(rows, np.float64).reshape(-1, 4 * len(PLACES))


def _at_rest(loops: Loops) -> Array:
    """Return the current of each loop at the point next to 0 V, (L,)."""
    at = np.nanargmin(np.abs(loops.voltage), axis=1)
    return np.asarray(np.take_along_axis(loops.current, at[:, None], axis=1)[:, 0])


def _instrument(
    data: tuple[Array, Array], offset: float, noise: float, limit: object, number: int
) -> tuple[Array, Array]:
    """Return generated currents as the instrument would measure them."""
    cycles, current = data
    current = current + offset
    if isinstance(limit, (int, float)):  # measured with the offset
        half = current.shape[1] // 2
        current[:, :half] = np.maximum(current[:, :half], -abs(float(limit)))
    z = row_normals(number, current.size, Stream.READ_NOISE).reshape(current.shape)
    return cycles, current + (noise if np.isfinite(noise) else 0.0) * z


def _thinned(device: DeviceSweeps, most: int) -> Loops:
    loops = np.unique(
        np.linspace(0, len(device.cycles) - 1, min(most, len(device.cycles))).astype(int)
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
