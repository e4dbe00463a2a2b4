"""Results of programming as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.common import svg
from synfab.common.html import card, dimensions, middle, percent, sampled, sampling, span

if TYPE_CHECKING:
    from synfab.programming.result import Programming


def programming_html(result: Programming, outcomes: dict[str, int]) -> str:
    """Return the description of a result; ``outcomes``: the number of each outcome.

    Outcomes are counted; errors, pulses and energies are those of a sample.
    """
    outcome, size = np.asarray(result.outcome), int(np.asarray(result.outcome).size)
    counts = {name: int(np.count_nonzero(outcome == n)) for name, n in outcomes.items()}
    wanted = size - counts["LEFT_ALONE"]
    errors = sampled(result.achieved) - sampled(result.targets)
    reached = sampled(outcome).astype(np.int64) == outcomes["REACHED"]
    share = counts["REACHED"] / wanted if wanted else 0.0
    facts = {
        "reached": f"{counts['REACHED']} of {wanted} cells with a target ({percent(share)})",
        "others": ", ".join(
            f"{count} {name.replace('_', ' ').lower().replace('lrs', 'LRS').replace('hrs', 'HRS')}"
            for name, count in counts.items()
            if count and name != "REACHED"
        ),
        "error": f"{middle(errors[reached], 'S')} (cells that reached the target)",
        "pulses per cell": middle(sampled(result.pulses), ""),
        "energy per cell": middle(sampled(result.energy), "J"),
        "passes": str(len(result.pending) - 1) if len(result.pending) else "",
        "shown": sampling(size, errors.size),
    }
    known = errors[reached & np.isfinite(errors)]
    picture = []
    if known.size:
        picture = [svg.histogram(known, "achieved - target, cells that reached it", "S")]
    words = f"of {dimensions(outcome.shape)} cells to {span(_ends(result), 'S')}"
    return card("Programming", words, facts, *picture)


def _ends(result: Programming) -> tuple[float, ...]:
    targets = sampled(result.targets)
    known = targets[np.isfinite(targets)]
    return (float(known.min()), float(known.max())) if known.size else ()
