"""Fit of the I-V curves: two limiting polynomials and the RESET transition between them.

At one voltage the current of a cell is linear in its static conductance G = I(U_0) / U_0:
I = alpha(U) + beta(U) G. Each branch of a loop has one G.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError, SynfabError
from synfab.common.types import Array
from synfab.learn.landmarks import (
    END,
    HRS,
    LRS,
    ONSET,
    POSITIVE,
    REASONS,
    START,
    VALID,
    ZERO,
)  # fmt: skip
from synfab.learn.loops import NOISE, OFFSET, U_RESET, Loops
from synfab.learn.monotone import fit_monotone
from synfab.learn.preparation import head
from synfab.learn.read_voltage import find_read_voltage
from synfab.learn.readers.tables import Table
from synfab.learn.rejected import by_reason
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_sweeps
from synfab.learn.transition import RESET_DEFINITIONS, fit_transition
from synfab.model.conduction import Conduction

SAMPLE_DEVICES, SAMPLE_LOOPS = 48, 1000
# Powers of U tried in addition to the first, in this order; only odd ones for symmetric cells.
POWERS: tuple[tuple[int, ...], ...] = (
    (2, 3, 4, 5, 6), (2, 3, 4, 5), (2, 3, 4), (3, 5), (2, 3), (3,), ()
)  # fmt: skip
# The current can rise before the SET, so the HRS is fitted up to this fraction of u_set.
BEFORE_SET = 0.75
MAX_STEPS = 60
RELATIVE_ERROR = 0.03  # of a curve, in addition to the noise
EDGE = 0.85  # fraction of the negative range of a sweep
# Above this error of polynomials, curves that can bend strongly are tried; they have to reduce the
# error by the factor.
BENT, BETTER = 1.5, 0.8


class ConductionFit(NamedTuple):
    """Fitted curves and how they were found.

    RMS residual (A), degree, number of loops used, definition of u_reset, and RMS residual in units
    of the noise and 3 % of the current.
    """

    conduction: Conduction
    residual: float
    degree: int
    loops: int
    reset: str
    error: float


class _Sample(NamedTuple):
    """Points of branches with one conductance each, and their loops."""

    voltage: Array
    current: Array  # without offset
    branch: Array
    device: Array
    weight: Array  # 1 / error of a point: noise and a fraction of the current
    start: Array  # initial conductances
    hrs: Array  # True for branches of the HRS
    loops: list[tuple[Loops, Array]]


def fit_conduction(
    sweeps: Sweeps | Table, *, u_0: float | None = None, reset: str = "auto"
) -> ConductionFit:
    """Return passive I-V curves, with eta and U_max.

    The curves are polynomials of the highest degree that is passive; for strongly nonlinear or
    rectifying cells, increasing polynomials of high degree (``monotone``).

    Parameters
    ----------
    sweeps
        Measured loops, or a table of them as in ``extract_features``.
    u_0
        Read voltage, V; by default chosen as in ``extract_features``.
    reset
        Definition of u_reset, from which the RESET transition begins: ``"onset"``, ``"peak"`` or
        ``"auto"``, the one that reproduces the loops better.

    Raises
    ------
    InvalidValueError
        Too few loops can be evaluated, or no passive curve fits.
    """
    sweeps = as_sweeps("sweeps", sweeps)
    checks.choice("reset", reset, RESET_DEFINITIONS)
    u_0 = find_read_voltage(sweeps) if u_0 is None else checks.positive("u_0", u_0)
    sample = _gather(sweeps, u_0)
    ends = _covered(sample)
    inside = (sample.voltage >= ends[0]) & (sample.voltage <= ends[1])
    sample = sample._replace(
        **{name: getattr(sample, name)[inside]
           for name in ("voltage", "current", "branch", "device", "weight")}
    )  # fmt: skip
    used, branch = np.unique(sample.branch, return_inverse=True)
    sample = sample._replace(branch=branch, start=sample.start[used], hrs=sample.hrs[used])
    problems: list[str] = []
    found = _polynomials(sample, ends, u_0, reset, problems)
    if found is None or found.error > BENT:
        bent = _increasing(sample, ends, u_0, reset, problems)
        if found is None or (bent is not None and bent.error < BETTER * found.error):
            found = bent
    if found is None:
        raise InvalidValueError(f"sweeps: no passive I-V curve fits ({problems[-1]})")
    return found


def _polynomials(
    sample: _Sample, ends: tuple[float, float], u_0: float, reset: str, problems: list[str]
) -> ConductionFit | None:
    """Return polynomials of the highest passive degree; None, and why in ``problems``."""
    for powers in POWERS:
        alpha, beta, g, residual, error = _fit_curves(sample, powers, u_0)
        try:
            draft = _limits(alpha, beta, g, u_0, ends)
            found = fit_transition(sample.loops, draft, reset)
        except SynfabError as problem:
            problems.append(str(problem))
            continue
        weakest, typical = (float(np.quantile(g, q)) for q in (0.1, 0.9))
        if not _rises(found.conduction, weakest, typical, sample):
            problems.append("a curve has a negative slope at a stable state")
            continue
        count = sum(len(index) for _, index in sample.loops)
        degree = max((1, *powers))
        return ConductionFit(found.conduction, residual, degree, count, found.reset, error)
    return None


def _increasing(
    sample: _Sample, ends: tuple[float, float], u_0: float, reset: str, problems: list[str]
) -> ConductionFit | None:
    """Return curves that can bend strongly; None, and why in ``problems``."""
    try:
        curves = fit_monotone(
            sample.voltage, sample.current, sample.branch, sample.weight, sample.hrs, ends, u_0
        )
        top = max(ends[1], 1.001 * u_0)
        draft = Conduction(curves.hhrs, curves.llrs, 1.0, top, u_0, ends)
        found = fit_transition(sample.loops, draft, reset)
    except SynfabError as problem:
        problems.append(str(problem))
        return None
    u = sample.voltage
    fitted = draft.current(draft.state(curves.g)[sample.branch], u)
    residual = float(np.sqrt(np.mean((fitted - sample.current) ** 2)))
    count = sum(len(index) for _, index in sample.loops)
    degree = max(len(curves.llrs), len(curves.hhrs)) - 1
    return ConductionFit(found.conduction, residual, degree, count, found.reset, curves.error)


def _gather(sweeps: Sweeps, u_0: float) -> _Sample:
    """Return the branches of a sample of loops from many devices."""
    kept: list[tuple[Loops, Array]] = []
    seen = 0
    rejected: Counter[str] = Counter()
    for device in sweeps.devices():
        loops = Loops(head(device, SAMPLE_LOOPS), u_0, None)
        good = np.flatnonzero(loops.reasons == VALID)
        seen += len(loops.reasons)
        rejected.update(REASONS[reason] for reason in loops.reasons if reason != VALID)
        if len(good):
            kept.append((loops, good))
        if len(kept) >= SAMPLE_DEVICES:
            break
    each = max(SAMPLE_LOOPS // max(len(kept), 1), 8)
    kept = [(loops, good[np.linspace(0, len(good) - 1, min(each, len(good))).astype(int)])
            for loops, good in kept]  # fmt: skip
    if sum(len(good) for _, good in kept) < 3:
        raise InvalidValueError(
            f"sweeps: {sum(len(g) for _, g in kept)} of {seen} loops can be evaluated; need 3"
            + (f" ({by_reason(rejected)})" if rejected else "")
        )
    parts: list[tuple[Array, ...]] = []  # voltage, current, branch, device, weight
    starts: list[float] = []
    of_hrs: list[bool] = []
    for owner, (loops, good) in enumerate(kept):
        offset = float(np.median(loops.numbers[good, OFFSET]))
        for k in good:
            at, base = loops.points[k], loops.device.offsets[k]
            v = loops.device.voltage[base : loops.device.offsets[k + 1]]
            i = loops.device.current[base : loops.device.offsets[k + 1]] - offset
            safe = at[ZERO] + int(0.85 * (at[ONSET] - at[ZERO]))
            for low, high, is_hrs in (
                (at[START], at[START] + int(BEFORE_SET * (at[HRS] - at[START])), True),
                (at[LRS], safe, False),
                (at[POSITIVE] + 1, at[END], True),
            ):
                if high - low < 4:
                    continue
                u, current = v[low:high], i[low:high]
                noise = max(float(loops.numbers[k, NOISE]), 1e-12)
                weight = 1.0 / np.hypot(noise, RELATIVE_ERROR * current)
                branch, owners = np.full(len(u), len(starts)), np.full(len(u), owner)
                parts.append((u, current, branch, owners, weight))
                starts.append((u @ current) / (u @ u))
                of_hrs.append(is_hrs)
    u, i, branch, owners, weight = map(np.concatenate, zip(*parts, strict=True))
    return _Sample(u, i, branch, owners, weight, np.asarray(starts), np.asarray(of_hrs), kept)


def _covered(sample: _Sample) -> tuple[float, float]:
    """Return the range of voltages at which at least a tenth of the loops has usable points."""
    # Bins of at least two voltage steps, so that coarse sweeps leave no bin empty.
    steps = np.abs(np.diff(sample.voltage))[np.diff(sample.branch) == 0]
    reach = float(np.ptp(sample.voltage))
    count = int(np.clip(reach / max(2.0 * float(np.median(steps)), 1e-12), 4, 60))
    edges = np.linspace(sample.voltage.min(), sample.voltage.max(), count + 1)
    bins = np.clip(np.searchsorted(edges, sample.voltage, "right") - 1, 0, count - 1)
    pairs = np.unique(bins.astype(np.int64) * len(sample.start) + sample.branch)
    loops = sum(len(good) for _, good in sample.loops)
    often = np.bincount(pairs // len(sample.start), minlength=count) >= 0.1 * loops
    centre = int(np.clip(np.searchsorted(edges, 0.0), 1, count - 1))
    low = high = centre
    while low > 0 and often[low - 1]:
        low -= 1
    while high < count and often[high]:
        high += 1
    return float(edges[low]), float(edges[high])


def _fit_curves(
    sample: _Sample, powers: tuple[int, ...], u_0: float
) -> tuple[Array, Array, Array, float, float]:
    """Fit curves and offsets by Gauss-Newton, with the conductance of each branch eliminated."""
    u, i, branch, owner = sample.voltage, sample.current, sample.branch, sample.device
    weight = sample.weight / sample.weight.mean()
    count, size = len(sample.start), len(powers)
    # u**k - u_0**(k - 1) u vanishes at u_0, where I = G U_0 by definition.
    shapes = np.empty((len(u), size))
    for column, k in zip(shapes.T, powers, strict=True):
        column[:] = u**k - u_0 ** (k - 1) * u
    scale = np.sqrt((shapes**2).mean(axis=0)) + 1e-300
    shapes = shapes / scale
    unit = float(np.median(np.abs(sample.start)))
    devices = int(owner.max()) + 1
    rows = np.arange(len(u))
    theta = np.zeros(2 * size + devices)

    def parts(theta: Array) -> tuple[Array, Array, Array, Array]:
        known = shapes @ theta[:size] + theta[2 * size :][owner]
        beta = weight * (u + shapes @ theta[size : 2 * size] / unit)
        square = np.bincount(branch, beta**2, count)
        g = np.bincount(branch, beta * weight * (i - known), count) / square
        return beta, square, g, weight * (i - known) - beta * g[branch]

    beta, square, g, rest = parts(theta)
    damping = 1e-6
    for _ in range(MAX_STEPS):
        design = np.zeros((len(u), len(theta)))
        design[:, :size] = shapes * weight[:, None]
        design[:, size : 2 * size] = shapes * (g[branch] / unit)[:, None] * weight[:, None]
        for k in range(2 * size):
            share = np.bincount(branch, beta * design[:, k], count) / square
            design[:, k] -= beta * share[branch]
        # A branch is of one device, so only the column of this device is not zero in its rows.
        share = np.bincount(branch, beta * weight, count) / square
        design[rows, 2 * size + owner] = weight - beta * share[branch]
        normal, target = design.T @ design, design.T @ rest
        before = float(rest @ rest)
        while True:
            damped = normal + damping * np.diag(np.diag(normal) + 1e-12 * np.trace(normal))
            trial = theta + np.linalg.solve(damped, target)
            found = parts(trial)
            after = float(found[3] @ found[3])
            if after <= before or damping > 1e6:
                break
            damping *= 10.0
        theta, (beta, square, g, rest) = trial, found
        damping = max(damping / 10.0, 1e-9)
        if before - after <= 1e-9 * before:
            break
    residual = float(np.sqrt(np.mean((rest / weight) ** 2)))

    def polynomial(coefficients: Array, linear: float) -> Array:
        row = np.zeros(max((1, *powers)) + 1)  # highest power first
        row[-2] = linear
        for c, k in zip(coefficients / scale, powers, strict=True):
            row[-1 - k] += c
            row[-2] -= c * u_0 ** (k - 1)
        return row

    alpha = polynomial(theta[:size], 0.0)
    error = float(np.sqrt(np.mean(np.minimum(np.abs(rest * sample.weight.mean()), 10.0) ** 2)))
    return alpha, polynomial(theta[size : 2 * size] / unit, 1.0), g, residual, error


def _limits(
    alpha: Array, beta: Array, g: Array, u_0: float, voltage_range: tuple[float, float]
) -> Conduction:
    """Return curves of the limiting states: highest conductance, and lowest passive one."""
    u = np.linspace(*voltage_range, 801)
    u = u[np.abs(u) > 0.05 * u_0]
    a, b = np.polyval(alpha, u) / u, np.polyval(beta, u) / u
    if (b <= 0.0).any():
        raise InvalidValueError("conduction: the curves of HRS and LRS cross")
    least = float((-a / b).max())  # a lower conductance would not be passive
    g_llrs = float(np.quantile(g, 0.999))
    g_hhrs = max(min(least, 0.5 * float(g.min())), 0.0) if least < g.min() else least
    if least > float(np.quantile(g, 0.02)):
        raise InvalidValueError("conduction: measured HRS curves would not be passive")
    return Conduction(
        alpha + beta * g_hhrs, alpha + beta * g_llrs, 1.0, max(voltage_range[1], 1.001 * u_0), u_0,
        voltage_range,
    )  # fmt: skip


def _rises(conduction: Conduction, weakest: float, typical: float, sample: _Sample) -> bool:
    """Return True if the current increases with voltage wherever these two states are stable."""
    low, high = conduction.voltage_range
    onset = np.concatenate([loops.numbers[k, U_RESET] for loops, k in sample.loops])
    # A series resistance bends the LRS down at the far negative end of a sweep: data, not a fault.
    lrs = np.linspace(EDGE * low, min(float(np.quantile(onset, 0.9)), high), 200)
    hrs = np.linspace(EDGE * low, high, 200)
    for g, u in ((typical, lrs), (weakest, hrs)):
        if (conduction.slope(conduction.state(g), u) < 0.0).any():
            return False
    return True
