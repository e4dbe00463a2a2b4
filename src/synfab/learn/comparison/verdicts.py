"""Verdicts of a comparison on each property: in words, as one of four levels, and as counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from synfab.learn.comparison.yardstick import FAR, Result

Level = Literal["good", "near", "far", "open"]

WORDS: dict[Level, str] = {
    "good": "agrees",
    "near": "differs a little",
    "far": "differs",
    "open": "cannot be judged",
}
# From the worst to the best; an unknown property may be worse than one that agrees.
WORST_FIRST: tuple[Level, ...] = ("far", "near", "open", "good")
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
    key, feature
        Property and feature, as in ``Result``.
    basis
        Counts that the verdict rests on, with their uncertainty, if they are few; may be empty.
    advice
        What to try next; empty if the property agrees.
    """

    name: str
    quantity: str
    distance: float
    yardstick: float
    level: Level
    measured: float = math.nan
    generated: float = math.nan
    detects: float = math.nan
    key: str = ""
    feature: str = ""
    basis: str = ""
    advice: str = ""

    @property
    def words(self) -> str:
        """The verdict as text."""
        return WORDS[self.level]


class Counts(NamedTuple):
    """Number of properties by verdict; the first four add up to ``total``."""

    agree: int
    differ_a_little: int
    differ: int
    cannot_be_judged: int
    total: int


def judged(
    results: Sequence[Result],
    contradicted: Mapping[str, tuple[float, float]],
    advice: Callable[[Result, Level], str],
) -> list[Verdict]:
    """Return a verdict on every result, in the same order.

    A distribution within its yardstick "differs a little" if one of its quantiles is off by more
    than twice the yardstick of that quantile; its ``quantity`` says which.
    """
    made = []
    for row in results:
        quantity, level = row.unit, judged_level(row.distance, row.yardstick)
        ratio, at = contradicted.get(row.feature, (0.0, 0.0))
        if row.key == "distribution" and level == "good" and ratio > FAR:
            level = "near"
            quantity += f"; but the {100 * at:g} % quantile is off by {ratio:.1f} yardsticks"
        made.append(
            Verdict(
                row.name, quantity, row.distance, row.yardstick, level, row.measured,
                row.generated, row.detects, row.key, row.feature, row.basis, advice(row, level),
            )
        )  # fmt: skip
    return made


def judged_level(distance: float, yardstick: float) -> Level:
    """Return the level of a distance; see ``Verdict``."""
    if not (math.isfinite(distance) and math.isfinite(yardstick)):
        return "open"
    if distance > FAR * yardstick:
        return "far"
    if yardstick >= NO_VERDICT:
        return "open"
    return "good" if distance <= yardstick else "near"


def worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return verdicts by level, those that differ first, and by distance in yardsticks."""

    def badness(verdict: Verdict) -> tuple[int, float]:
        zero = verdict.yardstick == 0.0
        ratio = math.inf if zero and verdict.distance else 0.0 if zero else (
            verdict.distance / verdict.yardstick)  # fmt: skip
        return WORST_FIRST.index(verdict.level), 0.0 if math.isnan(ratio) else -ratio

    return sorted(verdicts, key=badness)


def counts(verdicts: Sequence[Verdict]) -> Counts:
    """Return the number of verdicts of each level, and of all."""
    number = {level: sum(v.level == level for v in verdicts) for level in WORDS}
    return Counts(number["good"], number["near"], number["far"], number["open"], len(verdicts))


def headline(number: Counts) -> str:
    """Return a sentence with counts that add up to the number of properties."""
    if number.total == number.cannot_be_judged:
        return "The measurement is too small to judge any property."
    parts = [
        f"{count} {one if count == 1 else many}{rest}"
        for count, one, many, rest in (
            (number.agree, "agrees", "agree", " with the measurement"),
            (number.differ_a_little, "differs", "differ", " a little"),
            (number.differ, "differs", "differ", ""),
            (number.cannot_be_judged, "cannot", "cannot", " be judged"),
        )
        if count
    ]
    whole = "the one property" if number.total == 1 else f"{number.total} properties"
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return f"Of {whole}, {listed}."


def next_steps(verdicts: Sequence[Verdict]) -> list[str]:
    """Return what differs, the worst first, and what cannot be judged, with what to try.

    Properties with the same advice share a line.
    """
    lines: dict[tuple[Level, str], list[Verdict]] = {}
    for verdict in worst_first(verdicts):
        if verdict.level != "good":
            lines.setdefault((verdict.level, verdict.advice), []).append(verdict)
    return [
        f"{level_words(level)}: {', '.join(map(_with_numbers, those))}. {advice}"
        for (level, advice), those in lines.items()
    ]


def level_words(level: Level) -> str:
    """Return a level at the beginning of a sentence."""
    return WORDS[level].capitalize()


def _with_numbers(verdict: Verdict) -> str:
    """Return the name, and the distance in yardsticks if it is known."""
    if verdict.level == "open" or not verdict.yardstick > 0.0:
        return verdict.name
    return f"{verdict.name} ({verdict.distance / verdict.yardstick:.1f} yardsticks)"
