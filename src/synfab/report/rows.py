"""Verdicts as markup: groups from the worst to the best, shapes, gauges and counts."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from synfab.learn.comparison.verdicts import WORDS, WORST_FIRST, Level, Verdict

# Shapes that can be distinguished without colour: a disc with a tick, a triangle, a square, a line.
# The marks in them have the colour of the page.
SHAPES: dict[Level, str] = {
    "good": '<circle cx="10" cy="10" r="9"/><path class="mark" d="M5.5 10.5l3 3 6-7"/>',
    "near": '<path d="M10 1.5L19 18H1z"/><path class="mark" d="M10 7v6M10 14.6v1.8"/>',
    "far": '<path d="M1 1h18v18H1z"/><path class="mark" d="M5.5 5.5l9 9M14.5 5.5l-9 9"/>',
    "open": '<path d="M2 8.5h16v3H2z"/>',
}
GAUGE = 3.0  # yardsticks that a gauge shows
TITLES = (
    ("Properties that differ", ("far", "near")),
    ("Properties that cannot be judged", ("open",)),
    ("Properties that agree", ("good",)),
)


class Group(NamedTuple):
    """Verdicts that are shown in one table."""

    title: str
    verdicts: list[Verdict]

    @property
    def advised(self) -> bool:
        """Whether there is advice on a property."""
        return any(verdict.advice for verdict in self.verdicts)


class Count(NamedTuple):
    """Number of properties with one verdict."""

    level: Level
    words: str
    number: int


def groups(worst_first: Sequence[Verdict]) -> list[Group]:
    """Return the verdicts in groups that are not empty, in the order in which they are given."""
    found = [
        Group(title, [v for v in worst_first if v.level in levels]) for title, levels in TITLES
    ]
    return [group for group in found if group.verdicts]


def counted(verdicts: Sequence[Verdict]) -> list[Count]:
    """Return the number of each verdict that occurs; they add up to all."""
    number = {level: sum(v.level == level for v in verdicts) for level in WORST_FIRST}
    return [Count(level, WORDS[level], n) for level, n in number.items() if n]


def shape(level: Level) -> str:
    """Return the shape of a verdict as SVG, with the verdict as its name."""
    return (
        f'<svg class="shape" width="20" height="20" viewBox="0 0 20 20" role="img" '
        f'aria-label="{html.escape(WORDS[level])}" data-shape="{level}">{SHAPES[level]}</svg>'
    )


def gauge(verdict: Verdict) -> str:
    """Return a line with the distance in yardsticks as SVG: marks at 1 and 2; empty if unknown."""
    if not (math.isfinite(verdict.distance) and verdict.yardstick > 0.0):
        return ""
    ratio = verdict.distance / verdict.yardstick
    x = 4.0 + 96.0 * min(ratio, GAUGE) / GAUGE
    dot = f'<circle cx="{x:.1f}" cy="8" r="4"/>'
    if ratio > GAUGE:  # beyond the end of the line
        dot = '<path d="M96 3l8 5-8 5z"/>'
    return (
        f'<svg class="gauge {verdict.level}" width="104" height="16" viewBox="0 0 104 16" '
        f'role="img" aria-label="{ratio:.2g} yardsticks"><path class="track" d="M4 8h96"/>'
        f'<path class="track" d="M36 3v10M68 3v10"/>{dot}</svg>'
    )
