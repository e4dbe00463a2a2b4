"""Loops that could not be evaluated: counts by reason as text, and their likely cause."""

from __future__ import annotations

from collections.abc import Mapping

# Share of the loops above which the cause is worth a warning.
MANY = 0.2
CAUSES = {
    "too few points": "loops may be cut into too short pieces; check the cycle column",
    "no negative half": "only positive voltages were swept, or the cycle column cuts loops apart",
    "no positive half": "only negative voltages were swept, or the cycle column cuts loops apart",
    "half a loop": "loops may be cut apart; check the cycle column",
    "no SET": "cells do not switch (unformed or shorted), or their change is within the noise",
    "no RESET": "cells stay in the LRS; the positive voltage may be too low",
    "current clipped": "a current limit or the range of the instrument hides the RESET",
    "resistance within the noise": "the current of the HRS is below the noise, or too few points "
    "lie near the read voltage; see u_0 (--read-voltage)",
}


def by_reason(rejected: Mapping[str, int]) -> str:
    """Return the numbers of rejected loops, most frequent reason first: "no SET 12, no RESET 3"."""
    order = sorted(rejected.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {count}" for reason, count in order if count)


def likely_cause(rejected: Mapping[str, int]) -> str:
    """Return the likely cause of the most frequent reason, empty if none is known."""
    reason = max(rejected, key=lambda name: rejected[name], default="")
    return CAUSES.get(reason, "")


def rejected_sentence(rejected: Mapping[str, int], kept: int) -> str:
    """Return how many loops were left out and why, empty if none; with the cause if many were."""
    lost = sum(rejected.values())
    if not lost:
        return ""
    total = lost + kept
    text = f"{lost} of {total} loops could not be evaluated: {by_reason(rejected)}"
    cause = likely_cause(rejected)
    return f"{text}. Likely cause: {cause}." if cause and lost > MANY * total else f"{text}."
