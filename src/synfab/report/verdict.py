"""Sentences of a report about what was left out and what the model does not contain."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synfab.common import checks
from synfab.common.deprecation import warn_renamed
from synfab.common.errors import InvalidTypeError
from synfab.learn.comparison import verdicts as judging
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.properties import NAMES, RARE
from synfab.learn.comparison.verdicts import WORDS, Level, Verdict, judged_level
from synfab.learn.rare_states import rare_text
from synfab.learn.rejected import rejected_sentence
from synfab.learn.standardised import MIN_CYCLES

__all__ = [
    "WORDS",
    "Level",
    "Verdict",
    "headline",
    "judged_level",
    "left_out",
    "rare_sentences",
    "verdicts",
]


def verdicts(found: Comparison) -> list[Verdict]:
    """Deprecated: call ``found.verdicts()`` of the comparison."""
    warn_renamed("report.verdicts(found)", "found.verdicts()", stacklevel=2)
    return checks.instance("found", found, Comparison).verdicts()


def headline(judged: Sequence[Verdict]) -> str:
    """Deprecated: call ``found.headline()`` of the comparison."""
    warn_renamed("report.headline(verdicts)", "found.headline()", stacklevel=2)
    if not isinstance(judged, (list, tuple)):
        raise InvalidTypeError(f"judged: expected a list, found {checks.kind_of(judged)}")
    for verdict in judged:
        checks.instance("judged", verdict, Verdict)
    return judging.headline(judging.counts(judged))


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
