"""Verdicts of a comparison on each property, in words and as one of four levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from synfab.common import checks
from synfab.common.errors import InvalidTypeError
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.properties import NAMES, RARE
from synfab.learn.comparison.yardstick import FAR
from synfab.learn.rare_states import rare_text
from synfab.learn.rejected import rejected_sentence
from synfab.learn.standardised import MIN_CYCLES

Level = Literal["good", "near", "far", "open"]

WORDS: dict[Level, str] = {
    "good": "agrees",
    "near": "differs a little",
    "far": "differs",
    "open": "cannot be judged",
}
# Yardsticks from this value on (half a standard deviation, a correlation of 0.5, half of the
# covariance) allow no verdict, because a model without memory or device differences would agree.
NO_VERDICT = 0.5


@dataclass(frozen=True)
class Verdict:
    """Verdict on one property.

    Attributes
    ----------
    name
        Name of the property.
    quantity
        Meaning and unit of the distance.
    distance, yardstick
        Distance of the model from the measurement, and the distance that a correct model does not
        exceed with a probability of 95 %; NaN with too few data.
    level
        ``good`` within the yardstick, ``near`` within twice the yardstick, otherwise ``far``;
        ``open`` if the measurement is too small for a verdict.
    measured, generated
        Values of the property; NaN if no single number describes it.
    detects
        Deviation that would have been called ``far`` with a probability of at least 80 %.
    """

    name: str
    quantity: str
    distance: float
    yardstick: float
    level: Level
    measured: float = math.nan
    generated: float = math.nan
    detects: float = math.nan

    @property
    def words(self) -> str:
        """The verdict as text."""
        return WORDS[self.level]


def verdicts(found: Comparison) -> list[Verdict]:
    """Return a verdict on every property that was scored, in the order of the comparison.

    A distribution within its yardstick "differs a little" if one of its quantiles is off by more
    than twice the yardstick of that quantile; its ``quantity`` says which.
    """
    checks.instance("found", found, Comparison)
    judged = []
    for row in found.results:
        quantity = row.unit
        level = judged_level(row.distance, row.yardstick)
        ratio, at = found.contradicted.get(row.feature, (0.0, 0.0))
        if row.key == "distribution" and level == "good" and ratio > FAR:
            level = "near"
            quantity += f"; but the {100 * at:g} % quantile is off by {ratio:.1f} yardsticks"
        judged.append(
            Verdict(
                row.name, quantity, row.distance, row.yardstick, level, row.measured,
                row.generated, row.detects,
            )
        )  # fmt: skip
    return judged


def judged_level(distance: float, yardstick: float) -> Level:
    """Return the level of a distance; see ``Verdict``."""
    if not (math.isfinite(distance) and math.isfinite(yardstick)):
        return "open"
    if distance > FAR * yardstick:
        return "far"
    if yardstick >= NO_VERDICT:
        return "open"
    return "good" if distance <= yardstick else "near"


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


def left_out(found: Comparison) -> list[str]:
    """Return sentences about what was not compared, and why; empty if nothing was left out."""
    checks.instance("found", found, Comparison)
    kept = len(found.names)
    sentences = []
    if found.short_devices:
        sentences.append(
            f"{found.short_devices} of {kept + found.short_devices} devices were left out: fewer "
            f"than {MIN_CYCLES} complete cycles."
        )
    if found.incomplete_cycles:
        sentences.append(f"{found.incomplete_cycles} cycles were left out: a feature is missing.")
    cycles = sum(len(y) for _, y in found.measured.devices)
    if found.rejected:
        sentences.append(rejected_sentence(found.rejected, cycles))
    for what, reason in found.not_scored.items():
        sentences.append(f"{NAMES.get(what, what)} was not scored: {reason}.")
    return [sentence for sentence in sentences if sentence]


def rare_sentences(found: Comparison) -> list[str]:
    """Return sentences about the rare states and the noise that the model does not contain.

    A rare state is not modelled if its share is measured and generated differently, by the verdict.
    """
    checks.instance("found", found, Comparison)
    sentences = []
    for row in found.results:
        if row.key in RARE and judged_level(row.distance, row.yardstick) == "far":
            state = row.key.replace("_", " ").replace("set", "SET").replace("reSET", "RESET")
            name = f"{state} of {row.feature}" if row.feature else state
            text = rare_text(name, found.rare_measured[name])
            sentences.append(f"Not modelled: {text}; generated {row.generated:.2%} of the cycles.")
    if found.noise is not None and math.isfinite(found.noise["noise_A"]):
        sentences.append(
            f"Not modelled: noise within the loops, {found.noise['noise_A']:.3g} A, and "
            f"{found.noise['steps_per_loop']:.2g} abrupt steps per loop outside SET and RESET."
        )
    return sentences
