"""Verdicts of a comparison on each property, in words and as one of four levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from synfab.common import checks
from synfab.common.errors import InvalidTypeError
from synfab.learn.compare import Comparison
from synfab.model.cell_model import FEATURES

Level = Literal["good", "near", "far", "open"]

NAMES = {"r_hrs": "R_HRS", "u_set": "U_SET", "r_lrs": "R_LRS", "u_reset": "U_RESET"}
WORDS: dict[Level, str] = {
    "good": "agrees",
    "near": "differs a little",
    "far": "differs",
    "open": "cannot be judged",
}
# Distances up to this multiple of the yardstick are "near", larger ones "far".
NEAR = 2.0
# Yardsticks from this value on (one sigma, a correlation of 1, the whole covariance) allow
# no verdict: a model without memory or without device differences would agree.
NO_VERDICT = 1.0


@dataclass(frozen=True)
class Verdict:
    """Verdict on one property.

    Attributes
    ----------
    name
        Name of the property.
    quantity
        Meaning and unit of the two numbers.
    distance, yardstick
        Distance of the model from the measurement, and within the measurement; NaN with too few
        devices.
    level
        ``good`` within the yardstick, ``near`` within twice the yardstick, otherwise ``far``;
        ``open`` if the measurement is too small for a verdict.
    """

    name: str
    quantity: str
    distance: float
    yardstick: float
    level: Level

    @property
    def words(self) -> str:
        """The verdict as text."""
        return WORDS[self.level]


def verdicts(found: Comparison) -> list[Verdict]:
    """Return verdicts on distributions, memory and differences between devices."""
    checks.instance("found", found, Comparison)
    distance = "Wasserstein distance, standard deviations"
    error = "largest error of a correlation"
    result = [
        judge(f"{what} of {NAMES[name]}", quantity, distances[name], yardsticks[name])
        for what, quantity, distances, yardsticks in (
            ("Distribution", distance, found.wasserstein, found.yardstick),
            ("Memory", error, found.correlation_error, found.correlation_yardstick),
        )
        for name in FEATURES
    ]
    result.append(
        judge(
            "Devices' levels and spreads",
            "relative error of their covariance",
            found.covariance_error,
            found.covariance_yardstick,
        )
    )
    measured, generated = found.outliers
    count = len(found.measured.devices)
    share = (measured + generated) / 2.0
    # Two samples of ``count`` devices differ by more in 5 % of cases; at least one device.
    bound = max(1.96 * math.sqrt(2.0 * share * (1.0 - share) / count), 1.0 / count)
    result.append(
        judge(
            "Outlying devices",
            f"share, {measured:.1%} measured and {generated:.1%} generated: their difference",
            abs(measured - generated) if count >= 10 else math.nan,
            bound,
        )
    )
    return result


def headline(judged: list[Verdict]) -> str:
    """Return a sentence with the number of properties that agree, differ and are undecided."""
    if not isinstance(judged, (list, tuple)):
        raise InvalidTypeError(f"judged: expected a list, found {checks.kind_of(judged)}")
    for verdict in judged:
        checks.instance("judged", verdict, Verdict)
    counts = {level: sum(v.level == level for v in judged) for level in WORDS}
    total = len(judged) - counts["open"]
    if not total:
        return "The measurement is too small to judge any property."
    text = f"{counts['good']} of {total} properties agree with the measurement"
    if counts["near"]:
        text += f", {counts['near']} differ{'s' * (counts['near'] == 1)} a little"
    if counts["far"]:
        text += f", {counts['far']} differ{'s' * (counts['far'] == 1)}"
    if counts["open"]:
        text += f", {counts['open']} cannot be judged"
    return text + "."


def judge(name: str, quantity: str, distance: float, yardstick: float) -> Verdict:
    """Return the verdict on a property; see ``Verdict`` for the arguments and the levels."""
    level: Level = "far"
    if not (math.isfinite(distance) and math.isfinite(yardstick)):
        level = "open"
    elif distance <= yardstick:
        level = "good" if yardstick < NO_VERDICT else "open"
    elif distance <= NEAR * yardstick:
        level = "near"
    return Verdict(name, quantity, distance, yardstick, level)
