"""Feature extraction: one row of features per loop that can be evaluated."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.conduction import fit_conduction
from synfab.learn.detection import detected, joined, loop_conditions
from synfab.learn.features import FeatureTable
from synfab.learn.landmarks import REASONS, VALID
from synfab.learn.loops import Loops
from synfab.learn.read_voltage import find_read_voltage
from synfab.learn.readers.tables import Table
from synfab.learn.rejected import MANY, by_reason, likely_cause, rejected_sentence
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_sweeps
from synfab.learn.transition import RESET_DEFINITIONS
from synfab.model.conduction import Conduction

logger = logging.getLogger(__name__)


def extract_features(
    sweeps: Sweeps | Table,
    *,
    conduction: Conduction | str | None = "fit",
    u_0: float | None = None,
    reset: str = "auto",
) -> FeatureTable:
    """Return the features of every loop.

    Parameters
    ----------
    sweeps
        Measured loops, or a pandas, Polars or Arrow table of them with the columns device, cycle,
        voltage (V) and current (A).
    conduction
        I-V curves that are fitted to whole branches to find resistances. ``"fit"`` fits the curves
        to a sample of the loops; if that fails, a warning is logged, ``notes`` records it, and
        local slopes are used as with None.
    u_0
        Read voltage, at which the static resistance is defined, V. Default: 0.2 V, less for devices
        that switch at small voltages, more for those that hardly conduct at 0.2 V.
    reset
        Definition of u_reset: ``"onset"``, where the current falls below the LRS curve; ``"peak"``,
        where it is largest; or ``"auto"``, the one with which the curves reproduce the loops better
        (the onset with given curves, the peak without curves).

    Returns
    -------
    FeatureTable
        Cycles that could not be evaluated are counted by reason in ``rejected``. ``conditions``
        are those in columns and, if they vary, those detected in the loops.

    Raises
    ------
    InvalidValueError
        No loop can be evaluated.

    Examples
    --------
    >>> u = np.concatenate([np.linspace(0, -1.5, 60), np.linspace(-1.5, 1.5, 120)])
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> i = cells.apply_program(np.tile(u, 30), read="pulse").reshape(30, len(u), 12)
    >>> loops = sf.learn.sweeps_from_arrays(u, i.transpose(2, 0, 1))
    >>> features = sf.learn.extract_features(loops)
    >>> features.to_pandas().columns.tolist()
    ['device', 'cycle', 'r_hrs', 'u_set', 'r_lrs', 'u_reset']
    """
    sweeps = as_sweeps("sweeps", sweeps)
    checks.choice("reset", reset, RESET_DEFINITIONS)
    u_0 = find_read_voltage(sweeps) if u_0 is None else checks.positive("u_0", u_0)
    notes: dict[str, object] = {}
    curves, reset = _curves(sweeps, conduction, u_0, reset, notes)
    u_0 = u_0 if curves is None else curves.u_0
    names, cycles, values = [], [], []
    recorded: list[dict[str, Array]] = []
    measured: list[dict[str, Array]] = []
    rejected: Counter[str] = Counter()
    for device in sweeps.devices():
        loops = Loops(device, u_0, curves, reset)
        found = loops.features()
        good = (loops.reasons == VALID) & np.isfinite(found).all(axis=1)
        rejected.update(_rejected(loops, good))
        held, seen = loop_conditions(loops, good)
        recorded.append(held)
        measured.append(seen)
        names.append(np.full(int(good.sum()), device.name))
        cycles.append(device.cycles[good])
        values.append(found[good])
    kept = sum(map(len, values))
    if not kept:
        reasons, cause = by_reason(rejected) or "no loops", likely_cause(rejected)
        raise InvalidValueError(
            f"sweeps: no loop can be evaluated ({reasons})"
            + (f"; likely cause: {cause}" if cause else "")
        )
    if sum(rejected.values()) > MANY * (kept + sum(rejected.values())):
        logger.warning("%s", rejected_sentence(rejected, kept))
    notes |= {"set_at_positive_voltage": sweeps.mirrored(), "u_reset": reset, "u_0": u_0}
    seen = joined(measured)
    conditions = joined(recorded)
    without = detected(seen, conditions)
    if without:
        notes["detected_conditions"] = sorted(without)
    limited = seen["compliance"]
    if np.isfinite(limited).mean() > 0.5:
        notes["compliance_A"] = float(np.median(limited[np.isfinite(limited)]))
    return FeatureTable.build(
        np.concatenate(names), np.concatenate(cycles), np.concatenate(values),
        rejected=dict(rejected), notes={**sweeps.notes, **notes},
        conditions={**conditions, **without},
    )  # fmt: skip


def _curves(
    sweeps: Sweeps,
    conduction: Conduction | str | None,
    u_0: float,
    reset: str,
    notes: dict[str, object],
) -> tuple[Conduction | None, str]:
    """Return given or fitted I-V curves, None with a note if the fit fails, and the definition."""
    if isinstance(conduction, str):
        checks.choice("conduction", conduction, ("fit",))
        try:
            found = fit_conduction(sweeps, u_0=u_0, reset=reset)
        except InvalidValueError as error:
            # Slopes near 0 V are noisier than fits of whole branches.
            notes["slopes_only"] = str(error)
            logger.warning("resistances are determined from slopes near 0 V: %s", error)
            return None, "peak"
        return found.conduction, found.reset
    known = checks.optional("conduction", conduction, Conduction)
    if known is None:
        return None, "peak"
    return known, "onset" if reset == "auto" else reset


def _rejected(loops: Loops, good: Array) -> dict[str, int]:
    """Return the number of loops without features, by reason."""
    valid = loops.reasons == VALID
    reasons, counts = np.unique(loops.reasons[~valid], return_counts=True)
    found = {REASONS[k]: int(n) for k, n in zip(reasons, counts, strict=True)}
    lost = int((valid & ~good).sum())
    return {**found, "resistance within the noise": lost} if lost else found
