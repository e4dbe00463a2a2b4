"""Reads of an array whose noise is given as a value; counters of reads do not advance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.common.locking import lock_of
from synfab.physics.noise import NONE, ReadNoise, row_variance
from synfab.physics.readout import Readout

if TYPE_CHECKING:
    from synfab.cells.array import CellArray

Array = Any  # of the library that the engine is registered with


def currents(cells: CellArray, u: npt.ArrayLike, noise: ReadNoise, number: int) -> Array:
    """Return the currents (A) of all cells at ``u`` (V) with the noise of read ``number``."""
    with lock_of(cells):
        found = cells.engine_instance.read(cells.arguments.voltages(u), number, noise)
        return cells.arguments.returned(found, cells.shape)


def row_currents(cells: CellArray, batch: Array, noise: ReadNoise, z: Array | None) -> Array:
    """Return the row currents (A), (rows, B), for column voltages (V) of shape (B, columns).

    ``z`` are normal numbers (rows, B) for the noise; None: without noise.
    """
    with lock_of(cells):
        library, count = cells.engine_instance.library, len(batch)
        xp = library.xp
        summed = z is not None and noise.linear
        readout = Readout.of(cells.model.conduction, batch, noise if summed else NONE)
        # Both sums in a single pass through r.
        sums = cells.engine_instance.row_sums(cells.shape[1], readout.weights)
        result = library.asarray(readout.base) + sums[:, :count]
        if z is None or noise == NONE:
            return cells.arguments.returned(result)
        if noise.linear:
            variance = readout.unit * sums[:, count:] + library.asarray(readout.noise_base)
        else:
            r = xp.reshape(cells.engine_instance.states, cells.shape)
            volts = library.asarray(np.ascontiguousarray(batch, np.float32))
            variance = row_variance(cells.model, noise, r, volts)
        drawn = xp.sqrt(xp.where(variance > 0.0, variance, 0.0)) * library.asarray(z)
        return cells.arguments.returned(result + drawn)
