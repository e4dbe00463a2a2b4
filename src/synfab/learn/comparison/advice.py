"""What to try next for each property that differs or cannot be judged.

The texts are for the person who measures: more cycles, more devices, another order of the history,
another definition of a feature. Options are named as in the shell and as in Python.
``TEXTS`` has one entry per property.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from synfab.learn.comparison.sample import MIN_DEVICES
from synfab.learn.comparison.verdicts import NO_VERDICT, Level
from synfab.learn.comparison.yardstick import MIN_SPLIT_DEVICES, Result


class Situation(NamedTuple):
    """What is known about model and measurement when advice is given.

    Attributes
    ----------
    devices, cycles
        Number of measured devices, and the median number of their cycles.
    order
        Order of the history of the model.
    white_order
        Order that explains the memory of the record, as the fit found it; None if there is none,
        or it is not known.
    """

    devices: int
    cycles: int
    order: int
    white_order: int | None = None


_TAIL = (
    "Look at the cycles beyond this quantile: reject wrong readings, or model a second state. If "
    "they are real, measure more devices, because few cycles determine a tail."
)
_RARE = (
    "The model has no such state. If it matters in your application, look at these cycles in the "
    "report, and reject them if they are errors of the instrument."
)
_SKIP = "(--skip 20 or skip=20)"
_DETREND = "(--detrend or detrend=True)"
_COMPONENTS = "another number of components (--components or components=)"
_VOLTAGE = "another voltage (--read-voltage or u_0=)"
_RESET = "the other definition of u_reset (--reset or reset=: onset or peak)"
_HISTORY = (
    "Fit with a higher order of the history (--order or order=, at most 10), or measure more "
    "consecutive cycles."
)
_DRIFT = (
    f"Fit without the first cycles {_SKIP}, or remove the linear trend {_DETREND}; a model has no "
    "trend over the cycles."
)
_LOOPS = (
    f"Read the resistances at {_VOLTAGE}, take {_RESET}, and check compliance and offset of the "
    "current."
)
# By property: what to try if it differs. Other entries than these have the text of ``DEFAULT``.
TEXTS: dict[str, str] = {
    "distribution": "Look for outlying devices in the report; fit with "
    f"{_COMPONENTS}, or read the resistances at {_VOLTAGE}.",
    **{f"quantile_{level}": _TAIL for level in ("0.1", "1", "99", "99.9")},
    "within_spread": "Look for rare jumps and drift, which widen the spread; skip the first "
    f"cycles {_SKIP}, or remove the trend {_DETREND}.",
    "between_spread": "Look for outlying devices in the report; measure more devices, or fit with "
    f"{_COMPONENTS}.",
    "spread_of_spreads": "Measure more cycles per device, so that the spread of each is known "
    f"better, or fit with {_COMPONENTS}.",
    "device_correlations": "Measure more devices: few of them hardly determine 28 correlations.",
    "memory": _HISTORY,
    "long_memory": "Measure longer records: memory over n cycles needs records of 3 n cycles or "
    f"more. Slow drift looks the same; remove it {_DETREND}.",
    "cross_memory": _HISTORY,
    "same_cycle": "Check the definitions of the features: an error that two of them share "
    f"correlates them. Read the resistances at {_VOLTAGE}, or take {_RESET}.",
    "first_cycles": f"Skip the first cycles {_SKIP}. If the fit removed the wear-in, keep it "
    '(--wear-in keep or wear_in="keep").',
    "trend": _DRIFT,
    "closed_window": _RARE,
    "failed_set": "The model has no failed SET. Apply a larger SET voltage or a higher compliance, "
    "or skip the cycles in which the device failed.",
    "failed_reset": "The model has no failed RESET. Apply a larger RESET voltage, or skip the "
    "cycles in which the device failed.",
    "jumps": _RARE,
    "second_level": _RARE,
    "impossible": "Check the sign and the offset of voltage and current, and reject wrong values.",
    "deaths": "Measure more devices to the end of their life: the lives of five or more failed "
    "devices are needed.",
    "outlying_devices": "Look at these devices in the report: leave them out if they were "
    f"damaged, or fit with {_COMPONENTS}.",
    "loops_set": _LOOPS,
    "loops_reset": _LOOPS,
}
DEFAULT = "Look at the figures of this property in the report."
MEMORY = ("memory", "cross_memory")
# Cycles beyond a quantile that are needed to judge it.
CYCLES_BEYOND = 10
# Devices that single properties need, in addition to those that can be split into halves.
NEEDED_DEVICES = {"outlying_devices": 10}
SPARE = 1.1  # the yardstick of a larger measurement is not known exactly


def advice_on(result: Result, level: Level, situation: Situation) -> str:
    """Return what to try next for a property; empty if it agrees."""
    if level == "good":
        return ""
    if level == "open":
        return _more_data(result, situation)
    white = situation.white_order
    if result.key in MEMORY and white is not None and white != situation.order:
        return (
            f"Fit with --order {white} or order={white}, which explains the memory of the record."
        )
    return TEXTS.get(result.key, DEFAULT)


def _more_data(result: Result, situation: Situation) -> str:
    """Return how much larger the measurement has to be; the yardstick falls with its root."""
    count, total = situation.devices, situation.devices * situation.cycles
    if math.isfinite(result.yardstick):
        factor = SPARE * (result.yardstick / NO_VERDICT) ** 2
        if count >= MIN_DEVICES:
            return f"Measure about {_rounded_up(factor * count)} devices; found {count}."
        cycles = _rounded_up(factor * situation.cycles)
        return f"Measure about {cycles} cycles of each device; found {situation.cycles}."
    if result.key.startswith("quantile_"):
        level = float(result.key.removeprefix("quantile_")) / 100.0
        cycles = math.ceil(CYCLES_BEYOND / min(level, 1.0 - level) * (1.0 - 1e-9))
        return (
            f"Measure {cycles:,} cycles or more in all; found {total:,}."
            if total < cycles
            else "Measure more devices: too few of them have cycles beyond this quantile."
        )
    least = NEEDED_DEVICES.get(result.key, MIN_SPLIT_DEVICES)
    if count < least:
        return f"Measure {least} devices or more; found {count}."
    return "Measure more cycles of each device."


def _rounded_up(number: float) -> int:
    """Return a number with two digits that is not smaller."""
    digits: int = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return math.ceil(number / digits) * digits
