"""Fit of traps to statistics of relaxation, spectra of noise, and bakes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, FloatArray
from synfab.learn.readers.tables import Table
from synfab.learn.traps.data import Changes, Relaxation, Trace
from synfab.learn.traps.moments import Remaining, change_moments, mixed, remaining_at
from synfab.learn.traps.parameters import Layout, layout_of
from synfab.learn.traps.reading import read_relaxation
from synfab.learn.traps.resampling import normal_numbers
from synfab.learn.traps.result import TrapFit, described
from synfab.learn.traps.spectra import Band, bands_of, log_density
from synfab.learn.traps.statistics import MAX_GROUPS, MIN_CELLS, Group, groups_of
from synfab.model.traps import MAX_NODES, Traps

logger = logging.getLogger(__name__)

NODES = 8
# Quantiles of the conductance at which the amplitude has nodes; they are closer at the low end,
# where it rises from 0.
PLACES = np.array([0.0, 0.04, 0.1, 0.2, 0.35, 0.55, 0.8, 1.0])
MIN_REPLICATES = 20
# A correct model is not expected to be closer than this: of a mean (in standard deviations), and of
# the logarithms of the standard deviation and of the kurtosis, and of a correlation.
CLOSE = (0.02, 0.02, 0.1, 0.02)
LOSS = 2.0  # standard errors above which deviations count less
MAX_STEPS = 100
TOLERANCE = 1e-4
MAX_KNOWN = 8

Source: TypeAlias = "Relaxation | Table | str | os.PathLike[str]"


@dataclass(eq=False)
class Part:
    """Groups of cells at one temperature."""

    changes: Changes
    groups: list[Group]
    known: dict[float, Remaining] = field(default_factory=dict)

    def remaining(self, traps: Traps) -> Remaining:
        """Return ``remaining_at`` of the times; they are kept, as few attempt times occur."""
        key = traps.attempt_time
        if key not in self.known:
            if len(self.known) > MAX_KNOWN:
                self.known.clear()
            one = self.changes
            self.known[key] = remaining_at(traps, one.times, one.start, one.temperature)
        return self.known[key]


class Problem(NamedTuple):
    """Measured numbers, and what they are compared with."""

    layout: Layout
    parts: list[Part]
    bands: list[Band]

    def residuals(self, vector: Array) -> Array:
        """Return deviations of measured from modelled numbers, in standard deviations."""
        traps, values = self.layout.traps(vector), self.layout.split(vector)
        found = []
        for part in self.parts:
            for group, modelled in zip(part.groups, modelled_groups(traps, part, values),
                                       strict=True):  # fmt: skip
                scale = scales_of(group)
                found.append(_finite((modelled - flat(group.measured)) / scale, scale))
        for k, band in enumerate(self.bands):
            white = float(np.exp(values["log_white"][k]))
            found.append((log_density(traps, band, white) - np.log(band.density)) / band.error)
        return np.concatenate([*found, self.layout.expectations(vector)])

    def resampled(self, sample: int, seed: int) -> Array:
        """Return how residuals change in a bootstrap sample of cells (and of expectations)."""
        found = []
        for source in self.parts:
            for group in source.groups:
                scale = scales_of(group)
                with np.errstate(invalid="ignore"):  # those that are not used
                    moved = flat(group.replicates, sample) - flat(group.measured)
                found.append(_finite(-moved / scale, scale))
        others = sum(len(band.frequency) for band in self.bands)
        others += len(self.layout.expectations(self.layout.start))
        return np.concatenate([*found, normal_numbers(seed, sample, others)])


def fit_traps(
    data: Source | Sequence[Source],
    *,
    nodes: int = NODES,
    per_decade: int = 1,
    replicates: int = 100,
    seed: int = 0,
) -> TrapFit:
    """Return the traps that explain how conductances change with time.

    Relaxation after programming, long traces at one rate, and bakes at several temperatures can be
    given in any combination; the result says which numbers each of them determined, and which
    keep a default. The mean, standard deviation and kurtosis of the changes, the correlation of
    increments, and the spectral density of traces are fitted by least squares to the closed forms
    of ``Traps``.

    Parameters
    ----------
    data
        From ``read_relaxation``, or what it reads: a path or a table (pandas, Polars, Arrow); or a
        list of these.
    nodes
        Number of conductances at which the amplitude is fitted, 1 … 64.
    per_decade
        Traps per decade of time constants. More traps make changes more like normal numbers.
    replicates
        Bootstrap samples of the cells, from which the errors come; at least 20.
    seed
        Seed of the bootstrap.

    Returns
    -------
    TrapFit
        The traps, their errors, and what determined them; ``model.replace(traps=fit.traps)`` adds
        them to a model.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        The data are not sufficient, or an argument is not valid.
    """
    nodes = checks.integer("nodes", nodes, 1, MAX_NODES)
    per_decade = checks.integer("per_decade", per_decade, 1, 8)
    replicates = checks.integer("replicates", replicates, MIN_REPLICATES, 10_000)
    seed = checks.word("seed", seed)
    changes, traces, notes = _collected(data)
    parts = [
        Part(one, groups_of(one, replicates, seed, MAX_GROUPS * k)) for k, one in enumerate(changes)
    ]
    bands = bands_of(traces)
    layout = layout_of(changes, bands, _nodes(changes, bands, nodes), per_decade)
    return solved(Problem(layout, parts, bands), replicates, seed, notes)


def solved(problem: Problem, replicates: int, seed: int, notes: Sequence[str]) -> TrapFit:
    """Return the fit of a problem, with errors from bootstrap samples, one step each."""
    from scipy.optimize import least_squares

    layout = problem.layout
    found = least_squares(
        problem.residuals, layout.start, bounds=(layout.lower, layout.upper), x_scale="jac",
        ftol=TOLERANCE, xtol=1e-6, max_nfev=MAX_STEPS, loss="soft_l1", f_scale=LOSS,
    )  # fmt: skip
    logger.info("traps: %d evaluations, cost %.4g", found.nfev, found.cost)
    expected = len(layout.expectations(found.x))
    count = len(found.fun) - expected
    squares = found.fun[:count] ** 2
    misfit = float(np.mean(squares))
    counted = float(np.mean(2.0 * LOSS**2 * (np.sqrt(1.0 + squares / LOSS**2) - 1.0)))
    shifts = np.array([problem.resampled(k, seed) for k in range(replicates)])
    shifts[:, :count] *= max(1.0, counted) ** 0.5
    # found.jac is scaled by (1 + z)**-0.75 (soft_l1), the gradient by (1 + z)**-0.5.
    shifts *= (1.0 + (found.fun / LOSS) ** 2) ** 0.25
    steps = np.linalg.lstsq(found.jac, -shifts.T, rcond=None)[0].T
    samples = np.clip(found.x + steps, layout.lower, layout.upper)
    return described(layout, found.x, samples, problem.parts, problem.bands, misfit, notes)


def modelled_groups(traps: Traps, source: Part, values: dict[str, Array]) -> list[FloatArray]:
    """Return the statistics of the groups of a part as flat arrays."""
    noise = float(np.exp(values["log_noise"][0]))
    g = np.concatenate([group.g for group in source.groups])
    raw, joint = change_moments(traps, g, source.remaining(traps))
    found, begin = [], 0
    for group in source.groups:
        own = slice(begin, begin := begin + len(group.g))
        found.append(np.concatenate(mixed((raw[:, own], joint[own]), group.weight, noise)))
    return found


def flat(statistics: Sequence[Array], sample: int | None = None) -> FloatArray:
    """Return statistics as one array, of one bootstrap sample if they have several."""
    return np.concatenate([one if sample is None else one[sample] for one in statistics])


def scales_of(group: Group) -> FloatArray:
    """Return the standard deviations by which residuals of a group are divided; NaN: not used."""
    spread = np.exp(group.measured.log_sd)
    close: tuple[Any, ...] = (CLOSE[0] * spread, *CLOSE[1:])
    return np.concatenate([
        np.where((error > 0.0) & np.isfinite(measured), np.hypot(error, nearest), np.nan)
        for measured, error, nearest in zip(group.measured, group.error, close, strict=True)
    ])  # fmt: skip


def _finite(residual: Array, scale: Array) -> Array:
    return residual[np.isfinite(scale)]


def _nodes(changes: Sequence[Changes], bands: Sequence[Band], count: int) -> FloatArray:
    """Return the conductances (S) at which the amplitude has nodes, up to ``count``."""
    if changes:
        g = np.maximum(np.concatenate([one.g for one in changes]), 0.0)
        places = np.interp(np.linspace(0.0, 1.0, count), np.linspace(0.0, 1.0, len(PLACES)), PLACES)
        found = np.quantile(g, places if count > 1 else [0.5])
    else:
        g = np.array([band.g.mean() for band in bands])
        found = g if len(g) <= count else np.quantile(g, np.linspace(0.0, 1.0, count))
    distinct = np.unique(np.maximum(found, 0.0))
    near = 1e-3 * max(float(np.ptp(distinct)), 1e-300)
    return np.asarray(distinct[np.concatenate([[True], np.diff(distinct) > near])])


def _collected(
    data: Source | Sequence[Source],
) -> tuple[tuple[Changes, ...], tuple[Trace, ...], list[str]]:
    """Return the changes, traces and notes of all sources."""
    sources: Sequence[Any] = data if isinstance(data, (list, tuple)) else [data]
    if not sources:
        raise InvalidValueError("data: expected one or more tables, found an empty list")
    found = [one if isinstance(one, Relaxation) else read_relaxation(one) for one in sources]
    changes = tuple(one for source in found for one in source.changes)
    traces = tuple(one for source in found for one in source.traces)
    if not changes and not traces:
        raise InvalidTypeError("data: expected changes or traces, found an empty Relaxation")
    for one in changes:
        if len(one.g) < MIN_CELLS:
            raise InvalidValueError(
                f"data: expected {MIN_CELLS} or more cells that were read over time at "
                f"{one.temperature:.0f} K, found {len(one.g)}"
            )
    return changes, traces, [note for source in found for note in source.notes]
