"""Rare states of cells: failed SET and RESET, two levels, jumps; steps and noise within loops.

The model has no such states. Their share and persistence are measured here and reported, so that a
reader can judge whether they matter for the application.
"""

from __future__ import annotations

from itertools import islice
from typing import TypedDict

import numpy as np

from synfab.common import checks
from synfab.common.types import Array
from synfab.learn.features import FeatureTable, to_y
from synfab.learn.sweeps import Sweeps
from synfab.model.cell_model import FEATURES

# The window of a cycle is closed if r_hrs is less than this multiple of r_lrs.
CLOSED = 1.5
JUMP = 5.0  # robust standard deviations of the device
TO_SIGMA = 1.4826  # from the median absolute deviation to the standard deviation
# Two levels: the distance of their means in units of the mean spread within them (Ashman's D),
# split where the variance within them is smallest. A normal distribution has 2.6, a uniform 3.5.
SEPARATION = 4.0
MIN_LEVEL_SHARE, MIN_LEVEL_CYCLES = 0.02, 5
MAX_DEVICES, MAX_LOOPS = 64, 20  # in which noise and steps within loops are measured
MAX_VALUES = 1000  # of a device, among which two levels are searched
STEP = 8.0  # standard deviations of the noise
MIN_BRANCH = 8  # points of a way back in which noise is measured

STATES = (
    "failed SET",
    "failed RESET",
    *(f"jumps of {name}" for name in FEATURES),
    *(f"second level of {name}" for name in FEATURES),
)


class Rare(TypedDict):
    """A rare state: its share, mean run length, and how many of its runs end.

    ``share``: of the cycles. ``run_cycles``: mean number of consecutive cycles, NaN without any.
    ``returns``: share of the runs that are followed by another state within the record.
    ``devices``: share of the devices in which it occurs.
    """

    share: float
    run_cycles: float
    returns: float
    devices: float


class LoopNoise(TypedDict):
    """Noise of the current within loops, on the ways back, where nothing switches.

    ``noise_A``: median over the loops of the standard deviation, from second differences.
    ``steps_per_loop``: abrupt changes of more than 8 standard deviations, such as telegraph noise.
    ``loops``: number of loops evaluated.
    """

    noise_A: float
    steps_per_loop: float
    loops: int


def is_closed(y: Array) -> Array:
    """Return a mask of the cycles whose window is closed; y (T, 4) on the scale of the model."""
    return np.asarray(10.0 ** y[:, 0] < CLOSED * y[:, 2])


def rare_states(features: FeatureTable) -> dict[str, Rare]:
    """Return the rare states in a table of features, by name.

    ``failed SET`` and ``failed RESET`` are cycles with a closed window whose two resistances are
    both nearer to the median of the HRS or of the LRS of the device. For each feature, ``jumps of``
    are cycles more than 5 robust standard deviations from the median of their device, and ``second
    level of`` are cycles in the smaller of two separated levels.

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> sorted(sf.learn.rare_states(table))[:2]
    ['failed RESET', 'failed SET']
    """
    checks.instance("features", features, FeatureTable)
    devices = []
    for _, _, values in features.devices():
        good = np.isfinite(values).all(axis=1)
        if good.any():
            devices.append(to_y(values[good]))
    return find_rare_states(devices)


def find_rare_states(devices: list[Array]) -> dict[str, Rare]:
    """Return the rare states of devices with features y (T, 4) each; see ``rare_states``."""
    return facts_of(np.stack([state_counts(y) for y in devices]), sum(map(len, devices)))


def state_counts(y: Array) -> Array:
    """Return cycles, runs, runs that end, and 1 if it occurs, of each of ``STATES``, (states, 4).

    A run consists of consecutive cycles in the state.
    """
    masks = state_masks(y)
    runs = (masks[1:] & ~masks[:-1]).sum(axis=0) + masks[0]
    return np.stack([masks.sum(axis=0), runs, runs - masks[-1], masks.any(axis=0)], axis=1)


def facts_of(counts: Array, cycles: int) -> dict[str, Rare]:
    """Return the rare states from ``state_counts`` of all devices, (devices, states, 4)."""
    nan = float("nan")
    return {
        name: {
            "share": float(events / max(cycles, 1)),
            "run_cycles": float(events / runs) if runs else nan,
            "returns": float(ended / runs) if runs else nan,
            "devices": float(occurs / len(counts)),
        }
        for name, (events, runs, ended, occurs) in zip(STATES, counts.sum(axis=0), strict=True)
    }


def state_masks(y: Array) -> Array:
    """Return which cycles of a device are in each of ``STATES``, (T, states)."""
    closed, low = is_closed(y), _nearer_to_lrs(y)
    jumps = [_jumps(y[:, f]) & ~closed for f in range(len(FEATURES))]
    levels = np.zeros((len(y), len(FEATURES)), bool)
    for f in range(len(FEATURES)):
        levels[~closed, f] = second_level(y[~closed, f])
    return np.column_stack([closed & ~low, closed & low, *jumps, levels])


def _nearer_to_lrs(y: Array) -> Array:
    """Return a mask of the cycles whose resistances are nearer to the LRS, (T,)."""
    hrs, lrs = y[:, 0], np.log10(np.maximum(y[:, 2], 1.0))
    return np.asarray((hrs + lrs) / 2.0 < (np.median(hrs) + np.median(lrs)) / 2.0)


def _jumps(x: Array) -> Array:
    apart = np.abs(x - np.median(x))
    spread = TO_SIGMA * float(np.median(apart))
    return np.asarray(apart > JUMP * spread) if spread > 0.0 else np.zeros(len(x), bool)


def second_level(x: Array) -> Array:
    """Return a mask of the values in the smaller of two separated levels; all False for one."""
    none = np.zeros(len(x), bool)
    smallest = max(MIN_LEVEL_CYCLES, int(np.ceil(MIN_LEVEL_SHARE * len(x))))
    if len(x) < 2 * smallest:
        return none
    every = max(len(x) // MAX_VALUES, 1)
    ordered = np.sort(x[::every])
    middle, size = float(ordered.mean()), len(ordered)
    ordered -= middle
    smallest = max(smallest // every, 1)
    below = np.arange(smallest, size - smallest + 1)
    total, squares = np.cumsum(ordered), np.cumsum(ordered**2)
    low, high = total[below - 1] / below, (total[-1] - total[below - 1]) / (size - below)
    at = int(np.argmax(below * low**2 + (size - below) * high**2))
    count = int(below[at])
    steps = np.diff(ordered)
    steps = steps[steps > 1e-9 * max(ordered[-1] - ordered[0], 1e-300)]
    resolution = float(steps.min()) if len(steps) else 0.0
    within = (
        squares[count - 1] / count - low[at] ** 2
        + (squares[-1] - squares[count - 1]) / (size - count) - high[at] ** 2
        + resolution**2 / 6.0  # quantisation hides a variance of step^2 / 12 in each
    )  # fmt: skip
    if not within > 0.0 or (high[at] - low[at]) < SEPARATION * np.sqrt(within / 2.0):
        return none
    border = middle + (ordered[count - 1] + ordered[count]) / 2.0
    return np.asarray(x < border if count < size - count else x > border)


def loop_noise(sweeps: Sweeps) -> LoopNoise:
    """Return noise and steps of the current within loops, from a sample of devices and loops."""
    checks.instance("sweeps", sweeps, Sweeps)
    noises: list[float] = []
    steps = loops = 0
    for device in islice(sweeps.devices(), MAX_DEVICES):
        count = len(device.cycles)
        for k in np.linspace(0, count - 1, min(count, MAX_LOOPS)).astype(int):
            part = slice(device.offsets[k], device.offsets[k + 1])
            found = [
                _noise(branch) for branch in _ways_back(device.voltage[part], device.current[part])
            ]
            if not found:
                continue
            noises += [noise for noise, _ in found]
            steps += sum(abrupt for _, abrupt in found)
            loops += 1
    noise = float(np.median(noises)) if noises else float("nan")
    return {"noise_A": noise, "steps_per_loop": steps / max(loops, 1), "loops": loops}


def _ways_back(voltage: Array, current: Array) -> list[Array]:
    """Return the currents from the largest voltage of each polarity back to 0 V."""
    found = []
    for sign in (-1.0, 1.0):
        top = int(np.argmax(sign * voltage))
        ends = np.flatnonzero(sign * voltage[top:] <= 0.0)
        branch = current[top + 1 : top + (int(ends[0]) if len(ends) else len(voltage) - top)]
        if len(branch) >= MIN_BRANCH:
            found.append(branch)
    return found


def _noise(current: Array) -> tuple[float, int]:
    """Return the standard deviation of the noise of a branch, and its number of abrupt steps."""
    from scipy.ndimage import median_filter

    bend = np.diff(current, 2)
    noise = TO_SIGMA * float(np.median(np.abs(bend))) / np.sqrt(6.0)
    levels = np.diff(np.unique(current))
    digit = float(levels.min()) if len(levels) else 0.0
    change = np.diff(current)
    apart = np.abs(change - median_filter(change, 5, mode="nearest"))
    return noise, int((apart > STEP * max(noise, digit / 3.0)).sum())


def rare_text(name: str, facts: Rare) -> str:
    """Return a rare state in words, such as "failed SET: 0.30% of the cycles, 2.1 in a row, …"."""
    if not facts["share"]:
        return f"{name}: none"
    return (
        f"{name}: {facts['share']:.2%} of the cycles, {facts['run_cycles']:.1f} in a row, "
        f"{facts['returns']:.0%} return, in {facts['devices']:.0%} of the devices"
    )
