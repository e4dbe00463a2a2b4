"""Reads of an array whose noise is given as a value; counters of reads do not advance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.cells.arguments import MANY_NUMBERS
from synfab.cells.traps import CellTraps, samples_of
from synfab.cells.view import selected_cells
from synfab.common.errors import InvalidValueError
from synfab.common.locking import lock_of
from synfab.io.memory import require_memory
from synfab.physics.noise import NONE, ReadNoise, row_variance
from synfab.physics.readout import Readout
from synfab.random.streams import WORD

if TYPE_CHECKING:
    from synfab.cells.array import CellArray

Array = Any  # of the library that the engine is registered with


def currents(cells: CellArray[Any], u: npt.ArrayLike, noise: ReadNoise, number: int) -> Array:
    """Return the currents (A) of all cells at ``u`` (V) with the noise of read ``number``."""
    with lock_of(cells):
        found = cells.engine_instance.read(
            cells.arguments.voltages(u), number, noise, seen_states(cells)
        )
        return cells.arguments.returned(found, cells.shape)


def currents_of(cells: CellArray[Any], listed: npt.NDArray[np.int64], u: npt.ArrayLike) -> Array:
    """Return the noiseless currents (A) of the listed cells at their voltages ``u`` (V), (M,)."""
    with lock_of(cells):
        library = cells.engine_instance.library
        found = cells.engine_instance.current_of(
            library.asarray(listed), library.asarray(np.asarray(u, np.float32)), seen_states(cells)
        )
        return cells.arguments.returned(found)


def row_currents(cells: CellArray[Any], batch: Array, noise: ReadNoise, z: Array | None) -> Array:
    """Return the row currents (A), (rows, B), for column voltages (V) of shape (B, columns).

    ``z`` are normal numbers (rows, B) for the noise; None: without noise.
    """
    with lock_of(cells):
        library, count = cells.engine_instance.library, len(batch)
        xp = library.xp
        summed = z is not None and noise.linear
        readout = Readout.of(cells.model.conduction, batch, noise if summed else NONE)
        # Both sums in a single pass through r.
        seen = seen_states(cells)
        sums = cells.engine_instance.row_sums(cells.shape[1], readout.weights, seen)
        result = library.asarray(readout.base) + sums[:, :count]
        if z is None or noise == NONE:
            return cells.arguments.returned(result)
        if noise.linear:
            variance = readout.unit * sums[:, count:] + library.asarray(readout.noise_base)
        else:
            r = cells.engine_instance.states if seen is None else seen
            r = xp.reshape(r, cells.shape)
            volts = library.asarray(np.ascontiguousarray(batch, np.float32))
            variance = row_variance(cells.model, noise, r, volts)
        drawn = xp.sqrt(xp.where(variance > 0.0, variance, 0.0)) * library.asarray(z)
        return cells.arguments.returned(result + drawn)


def seen_states(cells: CellArray[Any]) -> Array | None:
    """Return the mixing states that reads see; None: those of the engine."""
    return None if cells.traps is None else cells.traps.seen(cells.engine_instance)


def trace(
    cells: CellArray[Any],
    traps: CellTraps,
    step: tuple[float, float, float],
    key: Any,
    u: npt.ArrayLike,
    noise: ReadNoise | None,
) -> Array:
    """Return what ``CellArray.trace`` does; ``step`` is duration and interval (s), and kelvin."""
    duration, interval, temperature = step
    count = samples_of(duration, 1.0 / interval)
    selected = selected_cells(cells.shape, key, "cells")
    listed, places = np.unique(selected.reshape(-1), return_inverse=True)
    voltage = cells.arguments.voltages(u)
    if voltage.shape[0] != 1:
        raise InvalidValueError("u: expected one voltage")
    if count > MANY_NUMBERS // max(1, selected.size):
        require_memory(2 * 4 * count * max(1, selected.size), "seconds")
    number = cells.read_number
    found = traps.trace(
        cells.engine_instance, listed, (interval, temperature, count), float(voltage[0]), noise,
        number,
    )  # fmt: skip
    if noise is not None:
        cells.read_number = (number + count) & WORD
    if len(listed) != selected.size or (np.diff(places.reshape(-1)) != 1).any():
        xp = cells.engine_instance.library.xp
        index = cells.engine_instance.library.asarray(places.reshape(-1))
        found = xp.take(found, index, axis=1)
    return cells.arguments.returned(found, (count, *selected.shape))
