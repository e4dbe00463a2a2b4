"""The voltage at which resistances are defined, chosen from what the loops allow."""

from __future__ import annotations

from itertools import islice

import numpy as np

from synfab.common.types import Array
from synfab.learn.landmarks import ONSET, VALID, ZERO
from synfab.learn.loops import NOISE, OFFSET, U_RESET, U_SET, Loops
from synfab.learn.preparation import DeviceSweeps, head
from synfab.learn.sweeps import Sweeps

USUAL = 0.2  # V
DEVICES, LOOPS = 16, 50
# A read must not switch a cell: at most this fraction of the smaller switching voltage.
MOST, CHOSEN = 0.5, 0.3
# The current of the LRS has to exceed the noise by this factor.
ABOVE_NOISE = 20.0


def read_voltage(u_set: float, u_reset: float) -> float:
    """Return ``U_0`` (V) for typical switching voltages (V): 0.2 V unless these are small."""
    smaller = min(abs(u_set), abs(u_reset))
    return USUAL if MOST * smaller >= USUAL else _rounded(CHOSEN * smaller)


def find_read_voltage(sweeps: Sweeps) -> float:
    """Return ``U_0`` (V) for measured loops.

    0.2 V; less for devices that switch at small voltages; more for those that hardly conduct at
    0.2 V (strongly nonlinear I-V curves), where 0.2 V would be a reading of noise.
    """
    voltages: list[Array] = []
    currents: list[tuple[float, float]] = []  # LRS at 0.2 V, noise
    for device in islice(sweeps.devices(), DEVICES):
        loops = Loops(head(device, LOOPS), USUAL, None)
        good = np.flatnonzero(loops.reasons == VALID)
        voltages.append(loops.numbers[good][:, [U_SET, U_RESET]])
        currents += [_at_usual(loops, device, int(k)) for k in good]
    found = np.concatenate(voltages) if voltages else np.empty((0, 2))
    if len(found) == 0:
        return USUAL
    u_set, u_reset = np.median(found, axis=0)
    chosen = read_voltage(u_set, u_reset)
    conducted, noise = np.nanmedian(np.array(currents), axis=0)
    raised = _rounded(CHOSEN * min(abs(u_set), abs(u_reset)))
    return raised if raised > chosen and conducted < ABOVE_NOISE * noise else chosen


def _at_usual(loops: Loops, device: DeviceSweeps, k: int) -> tuple[float, float]:
    """Return the current (A) of the LRS at 0.2 V, and the noise."""
    at, base = loops.points[k], device.offsets[k]
    part = slice(base + at[ZERO], base + max(at[ONSET], at[ZERO] + 1))
    current = np.interp(USUAL, device.voltage[part], device.current[part])
    return float(current - loops.numbers[k, OFFSET]), float(loops.numbers[k, NOISE])


def _rounded(voltage: float) -> float:
    """Return a voltage with one digit."""
    return float(f"{voltage:.0e}")
