"""What to try next for each property that differs or cannot be judged.

The texts are for the person who measures: more cycles, more devices, another order of the history,
another definition of a feature. ``TEXTS`` has one entry per property.
"""

from __future__ import annotations

import math
from typing import NamedTuple

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
        Smallest order whose residuals are white; None if there is none, or it is not known.
    """

    devices: int
    cycles: int
    order: int
    white_order: int | None = None


TEXTS: dict[str, str] = {}


def advice_on(result: Result, level: Level, situation: Situation) -> str:
    """Return what to try next for a property; empty if it agrees."""
    if level == "good":
        return ""
    if level == "open":
        return _more_data(result, situation)
    return TEXTS.get(result.key, "Look at the figures of this property in the report.")


def _more_data(result: Result, situation: Situation) -> str:
    """Return how much larger the measurement has to be; the yardstick falls with its root."""
    if situation.devices < MIN_SPLIT_DEVICES:
        return f"Measure {MIN_SPLIT_DEVICES} devices or more."
    if math.isfinite(result.yardstick) and result.yardstick >= NO_VERDICT:
        factor = (result.yardstick / NO_VERDICT) ** 2
        return f"Measure {factor * 1.1:.2g} times as many devices."
    return "Measure more cycles."
