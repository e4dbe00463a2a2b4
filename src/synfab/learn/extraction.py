"""From sweeps to features: one row for every loop that can be judged."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.learn.conduction import fit_conduction
from synfab.learn.features import FeatureTable
from synfab.learn.loops import BELOW_LIMIT, JUDGED, LIMIT, REASONS, Loops
from synfab.learn.sweeps import Sweeps
from synfab.model.conduction import Conduction

Array = npt.NDArray[Any]
logger = logging.getLogger(__name__)

RESET_DEFINITIONS = ("onset", "peak")


def extract_features(
    sweeps: Sweeps,
    *,
    conduction: Conduction | str | None = "fit",
    u_0: float = 0.2,
    reset: str = "onset",
) -> FeatureTable:
    """Extract the features of every loop.

    Parameters
    ----------
    sweeps
        From ``read_sweeps``.
    conduction
        I-V curves that whole branches are fitted to; ``"fit"`` learns them from a sample of the
        loops, and makes do with slopes where that fails (``notes`` says so); None takes local
        slopes only.
    u_0
        Voltage at which static resistance is defined, V.
    reset
        Definition of u_reset: ``"onset"`` or ``"peak"``.

    Returns
    -------
    FeatureTable
        Cycles that could not be judged are counted by reason in ``rejected``.
    """
    checks.instance("sweeps", sweeps, Sweeps)
    checks.choice("reset", reset, RESET_DEFINITIONS)
    u_0 = checks.positive("u_0", u_0)
    notes: dict[str, Any] = {}
    curves = _curves(sweeps, conduction, u_0, notes)
    u_0 = u_0 if curves is None else curves.u_0
    names, cycles, values, limits = [], [], [], []
    rejected: Counter[str] = Counter()
    for device in sweeps.devices():
        loops = Loops(device, u_0, curves, reset)
        found = loops.features()
        good = (loops.reasons == JUDGED) & np.isfinite(found).all(axis=1)
        rejected.update(_rejected(loops, good))
        limits.append(loops.numbers[good, LIMIT])
        names.append(np.full(int(good.sum()), device.name))
        cycles.append(device.cycles[good])
        values.append(found[good])
    if not values or not sum(map(len, values)):
        told = ", ".join(f"{reason}: {count}" for reason, count in rejected.items()) or "no loops"
        raise InvalidValueError(f"sweeps: no loop could be judged ({told})")
    notes |= {"set_at_positive_voltage": sweeps.mirrored(), "u_reset": reset, "u_0": u_0}
    limited = np.concatenate(limits)
    if np.isfinite(limited).mean() > 0.5:
        notes["compliance_A"] = float(np.median(limited[np.isfinite(limited)]) / BELOW_LIMIT)
    return FeatureTable.build(
        np.concatenate(names), np.concatenate(cycles), np.concatenate(values),
        rejected=dict(rejected), notes={**sweeps.notes, **notes},
    )  # fmt: skip


def _curves(
    sweeps: Sweeps, conduction: Conduction | str | None, u_0: float, notes: dict[str, Any]
) -> Conduction | None:
    """I-V curves that were given, or learned; None and a note where that fails."""
    if isinstance(conduction, str):
        checks.choice("conduction", conduction, ("fit",))
        try:
            return fit_conduction(sweeps, u_0=u_0).conduction
        except InvalidValueError as error:
            # Slopes near zero are noisier than whole branches, but better than nothing.
            notes["slopes_only"] = str(error)
            logger.warning("resistances are slopes near 0 V: %s", error)
            return None
    return checks.optional("conduction", conduction, Conduction)


def _rejected(loops: Loops, good: Array) -> dict[str, int]:
    """How many loops give no features, by reason."""
    judged = loops.reasons == JUDGED
    reasons, counts = np.unique(loops.reasons[~judged], return_counts=True)
    found = {REASONS[k]: int(n) for k, n in zip(reasons, counts, strict=True)}
    lost = int((judged & ~good).sum())
    return {**found, "HRS without a slope": lost} if lost else found
