"""Conditions that were not recorded, found in the loops: compliance and stop voltage."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np

from synfab.common.types import Array
from synfab.learn.landmarks import NEGATIVE, POSITIVE
from synfab.learn.loops import LIMIT, Loops
from synfab.model.conditions import UNITS

logger = logging.getLogger(__name__)

# Settings of an instrument are few values, with gaps of this ratio between them at least: limits
# are found within 1.5 %, voltages exactly. A continuous distribution may be an effect of the cells
# and not its cause.
GAPS = {"compliance": 1.03, "stop_voltage": 1.01}
# Largest width of a level as part of the gaps, and part of the loops that have to be in levels.
WIDTH, SHARE = 0.5, 0.9
MIN_LOOPS = 3  # loops of a level
# A spread without levels that is reported: ratio of the 90 % and 10 % quantiles.
WIDE = 1.2


def loop_conditions(loops: Loops, good: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return recorded and measured conditions of the loops of a mask, in A and V.

    The compliance is that at the extreme of the SET, infinite without a limit; the stop voltage
    that at the extreme of the RESET.
    """
    device = loops.device
    at = {"compliance": NEGATIVE, "stop_voltage": POSITIVE}
    points = {
        name: device.offsets[:-1][good] + loops.points[good, where] for name, where in at.items()
    }
    recorded = {name: values[points[name]] for name, values in device.conditions.items()}
    return recorded, {
        "compliance": loops.numbers[good, LIMIT],
        "stop_voltage": device.voltage[points["stop_voltage"]],
    }


def joined(devices: list[dict[str, Array]]) -> dict[str, Array]:
    """Return the conditions that all devices have, (N,) each."""
    return {
        name: np.concatenate([held[name] for held in devices])
        for name in devices[0]
        if all(name in held for held in devices)
    }


def detected(measured: dict[str, Array], recorded: dict[str, Array]) -> dict[str, Array]:
    """Return the conditions that vary between loops without having been recorded, (N,) each.

    A warning is logged for each. Values are those of the levels, NaN for loops in none.
    """
    found = {}
    for name, values in measured.items():
        if name in recorded:
            continue
        unit, finite = UNITS[name], values[np.isfinite(values)]
        if len(finite) < 0.5 * len(values):
            continue
        low, high = np.quantile(finite, [0.1, 0.9])
        levels = find_levels(values, GAPS[name])
        if levels is None:
            if high > WIDE * low:
                logger.warning(
                    "%s: differs between loops (%.3g … %.3g %s in 80 %% of them) without levels; "
                    "it is not used as a condition; record it in a column %s if it was set",
                    name, low, high, unit, name,
                )  # fmt: skip
            continue
        different = np.unique(levels[np.isfinite(levels)])
        if len(different) < 2:
            continue
        found[name] = levels
        logger.warning(
            "%s: not recorded, but the loops have %d levels from %.3g to %.3g %s, which are used "
            "as a condition of the features",
            name, len(different), different[0], different[-1], unit,
        )  # fmt: skip
    return found


def find_levels(values: Array, gap: float) -> Array | None:
    """Return the level of each value, NaN for few and infinite ones; None if there are no levels.

    Parameters
    ----------
    values
        Positive numbers or infinity, (N,).
    gap
        Smallest ratio of neighbouring levels.
    """
    use = np.flatnonzero(np.isfinite(values) & (values > 0.0))
    order = use[np.argsort(values[use], kind="stable")]
    logs = np.log(values[order])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(logs) > np.log(gap)) + 1, [len(order)]])
    groups = [slice(a, b) for a, b in pairwise(edges) if b - a >= MIN_LOOPS]
    if sum(g.stop - g.start for g in groups) < SHARE * len(values):
        return None
    middles = np.array([np.median(logs[g]) for g in groups])
    widths = [float(np.ptp(logs[g])) for g in groups]
    if max(widths) > WIDTH * min(np.diff(middles), default=np.log(WIDE)):
        return None
    result = np.full(len(values), np.nan)
    for group, middle in zip(groups, middles, strict=True):
        result[order[group]] = np.exp(middle)
    return result
