"""Closed forms of the moments of the change of conductance that traps cause.

For a trap with the occupancies p_0 when the cell is programmed and q in equilibrium, let x be the
change of its occupancy between the reference at t_0 and a read at t, and R(t) the mean of
exp(-t / tau) over its interval. With e = exp(-(t - t_0) / tau) and f = exp(-t_0 / tau)

    P(x = +1) = (1 - q - (p_0 - q) f) q (1 - e),    P(x = -1) = (q + (p_0 - q) f) (1 - q) (1 - e),

where the means of e, f and e f are R(t - t_0), R(t_0) and R(t). Traps are independent, so their
cumulants add. Cells of equal conductance share A(G), and differ by exp(s_c z_c).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.learn.traps.data import Changes
from synfab.learn.traps.statistics import Statistics
from synfab.model.traps import Traps


class Remaining(NamedTuple):
    """Means of exp(-t / tau) of K traps that the moments at T times need."""

    start: Array  # at the reference, (K,)
    times: Array  # at the reads, (T, K)
    since: Array  # from the reference to the reads, (T, K)
    early: Array  # at the earlier of two reads, (T, T, K)
    until: Array  # from the reference to the earlier read
    later: Array  # from the reference to the later read
    between: Array  # from the earlier to the later read


def remaining_at(traps: Traps, times: FloatArray, start: float, temperature: float) -> Remaining:
    """Return the means for reads at ``times`` and a reference at ``start`` (s), ascending.

    They depend on the time constants and the attempt time only.
    """
    early = np.minimum(times[:, None], times[None, :])
    late = np.maximum(times[:, None], times[None, :])
    moments = (np.asarray(start), times, times - start, early, early - start, late - start,
               late - early)  # fmt: skip
    return Remaining(*(traps.remaining(t, temperature) for t in moments))


def change_moments(traps: Traps, g: FloatArray, left: Remaining) -> tuple[Array, Array]:
    """Return raw moments 1 to 4 of the changes (S**n), (4, M, T), and products (S**2), (M, T, T).

    ``g``: conductances (S) of the cells, (M,); ``left``: from ``remaining_at``.
    """
    steps, p, q = np.arange(1, 5)[:, None], traps.initial_occupancy, traps.occupancy
    moved, kept = 1.0 - left.since, (p - q) * (left.start - left.times)
    up, down = (1.0 - q) * q * moved - kept * q, q * (1.0 - q) * moved + kept * (1.0 - q)
    sign = (2.0 * traps.raising_at(g) - 1.0)[:, None, None]
    size = _power_means(steps, traps.trap_spread) * traps.spectrum**steps  # (4, K)
    r1, r3 = (sign * (up - down) * size[n] for n in (0, 2))  # (M, T, K)
    r2, r4 = ((up + down) * size[n] + 0.0 * sign for n in (1, 3))
    k1, k2 = r1.sum(-1), (r2 - r1**2).sum(-1)
    k3 = (r3 - 3 * r1 * r2 + 2 * r1**3).sum(-1)
    k4 = (r4 - 4 * r3 * r1 - 3 * r2**2 + 12 * r2 * r1**2 - 6 * r1**4).sum(-1)
    raw = np.stack([
        k1, k2 + k1**2, k3 + 3 * k2 * k1 + k1**3,
        k4 + 4 * k3 * k1 + 3 * k2**2 + 6 * k2 * k1**2 + k1**4,
    ])  # fmt: skip
    scale = traps.amplitude_at(g)[None, :, None]
    cells = _power_means(steps, traps.cell_spread)[:, :, None]
    products = _products(traps, left) * size[1]
    same = np.einsum("mik,mjk->mij", r1, r1)
    joint = products.sum(-1) + k1[:, :, None] * k1[:, None, :] - same
    return raw * scale ** steps[:, :, None] * cells, joint * scale[0, :, :, None] ** 2


def _power_means(power: Array, spread: float) -> Array:
    """Return the means of exp(n (s z - s**2)) for powers n."""
    return np.asarray(np.exp(0.5 * (power * spread) ** 2 - power * spread**2))


def _products(traps: Traps, left: Remaining) -> Array:
    """Return the mean products of x of one trap at two times, (T, T, K)."""
    p, q = traps.initial_occupancy, traps.occupancy
    found = q * (1.0 - q) * (1.0 - left.until + left.between - left.later)
    return np.asarray(found + (p - q) * (1.0 - 2.0 * q) * (left.start - left.early))


def mixed(moments: tuple[Array, Array], weight: FloatArray, noise: float) -> Statistics:
    """Return the statistics of a mixture of cells.

    Parameters
    ----------
    moments
        From ``change_moments`` of classes of cells.
    weight
        Shares of the classes at each time, (M, T).
    noise
        Standard deviation (S) of independent noise of each read, also of the reference.
    """
    raw, joint = moments
    m1, m2, m3, m4 = (raw * weight).sum(axis=1)
    variance = m2 - m1**2
    fourth = m4 - 4 * m3 * m1 + 6 * m2 * m1**2 - 3 * m1**4
    extra = 2.0 * noise**2
    fourth = fourth + 6 * variance * extra + 3 * extra**2
    total = variance + extra
    pair = np.minimum(weight[:, :, None], weight[:, None, :])
    pair = pair / np.maximum(pair.sum(axis=0), 1e-300)
    centre = (raw[0][:, :, None] * pair).sum(axis=0)
    covariance = (joint * pair).sum(axis=0) - centre * centre.T
    covariance = covariance + noise**2 * (1.0 + np.eye(len(m1)))
    steps = np.diff(np.pad(covariance, ((1, 0), (1, 0))), axis=0)
    steps = np.diff(steps, axis=1)
    own = np.diagonal(steps)
    correlation = np.diagonal(steps, 1) / np.sqrt(own[1:] * own[:-1])
    return Statistics(m1, 0.5 * np.log(total), np.log(fourth / total**2), correlation)


def expected(traps: Traps, changes: Changes, noise: float) -> Statistics:
    """Return the statistics that traps cause in the cells of ``changes`` at their times.

    ``noise`` is that of ``mixed``. Limits of the conductance, such as 0 S, are not included.
    """
    left = remaining_at(traps, changes.times, changes.start, changes.temperature)
    read = np.isfinite(changes.change).astype(np.float64)
    weight = read / np.maximum(read.sum(axis=0), 1.0)
    return mixed(change_moments(traps, changes.g, left), weight, noise)
