"""Wear-in: how mean and spread of the features of the first cycles differ from later ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.features import FeatureTable, from_y, to_y
from synfab.learn.standardised import MIN_CYCLES
from synfab.model.scale import Scale
from synfab.model.wear import N_FEATURES, WearIn

# Time constants that are tried, in cycles; a record must be this many times longer.
TIMES = (0.5, 5.0, 50.0, 500.0)
RECORDS = 5.0
MIN_DEVICES = 6  # fewer do not show what is common to them
# Least effect in standard deviations of a device, and in standard errors.
LEAST, SIGNIFICANT = 0.1, 4.0
STEPS = 3
# Of larger tables a part of the devices is used, but not fewer than this number.
MAX_ROWS, ENOUGH_DEVICES = 300_000, 64


class _Device(NamedTuple):
    n: Array  # cycles since the first of the record
    y: Array  # (T, 4)


def find_wear_in(features: FeatureTable, scales: tuple[Scale, ...]) -> WearIn | None:
    """Return the common deviation of first cycles, or None if the record shows none.

    The cycles of a device are counted from the first cycle in the whole table, which becomes
    cycle 0 of the model.
    """
    devices = _devices(features, scales)
    if len(devices) < MIN_DEVICES:
        return None
    length = float(np.median([np.ptp(one.n) + 1 for one in devices]))
    first = float(np.median([one.n[0] for one in devices]))
    times = [t for t in TIMES if t * RECORDS <= length and first < 3.0 * t + 1.0]
    if not times:
        return None
    zero = np.zeros((len(times), N_FEATURES))
    wear = WearIn(times, zero, zero)
    for _ in range(STEPS):
        shift = _effect(devices, wear, _relative)
        wear = WearIn(times, shift, wear.log_spread)
        # The derivative of r^2 with respect to the logarithm of the spread is 2 where r^2 is 1.
        spread = wear.log_spread + _effect(devices, wear, _squares)
        wear = WearIn(times, shift, np.clip(spread, -1.5, 1.5))
    used = [k for k in range(len(times)) if wear.shift[k].any() or wear.log_spread[k].any()]
    if not used:
        return None
    return WearIn(wear.cycles[used], wear.shift[used], wear.log_spread[used])


def without_wear_in(
    features: FeatureTable, scales: tuple[Scale, ...], wear: WearIn
) -> FeatureTable:
    """Return the table as it would be without the wear-in."""
    values = features.values.copy()
    first = int(features.cycle.min())
    edges = np.searchsorted(features.device, np.arange(len(features.names) + 1))
    for low, high in pairwise(edges):
        part = values[low:high]
        y = to_y(part, scales)
        good = np.isfinite(y).all(axis=1)
        if good.sum() < MIN_CYCLES:
            continue
        n = features.cycle[low:high][good] - first
        mean, spread = _level(_Device(n, y[good]), wear)
        spread = np.where(np.isfinite(spread), spread, 0.0)  # a constant feature stays as it is
        relative = (y[good] - mean - spread * wear.shift_at(n)) / wear.spread_at(n)
        found = mean + relative
        part[good] = from_y(found, scales)
    return replace(features, values=values, notes={**features.notes, "wear_in_removed": True})


def _devices(features: FeatureTable, scales: tuple[Scale, ...]) -> list[_Device]:
    first, found = int(features.cycle.min()), []
    for _, cycles, values in features.devices():
        y = to_y(values, scales)
        good = np.isfinite(y).all(axis=1)
        if good.sum() >= max(MIN_CYCLES, 10):
            found.append(_Device(cycles[good] - first, y[good]))
    total = sum(len(one.n) for one in found)
    step = min(max(1, total // MAX_ROWS), max(1, len(found) // ENOUGH_DEVICES))
    return found[::step]


def _level(device: _Device, wear: WearIn) -> tuple[Array, Array]:
    """Return mean and standard deviation of the stationary part of a device."""
    factor, shift = wear.spread_at(device.n), wear.shift_at(device.n)
    spread = device.y.std(axis=0, ddof=1)
    mean = device.y.mean(axis=0)
    for _ in range(2):
        weight = factor**-2.0
        mean = ((device.y - spread * shift) * weight).sum(axis=0) / weight.sum(axis=0)
        spread = ((device.y - mean - spread * shift) / factor).std(axis=0, ddof=1)
    return mean, np.where(spread > 0.0, spread, np.inf)


def _relative(device: _Device, wear: WearIn) -> Array:
    """Return features relative to their stationary mean and spread, (T, 4)."""
    mean, spread = _level(device, wear)
    return np.asarray((device.y - mean) / spread)


def _squares(device: _Device, wear: WearIn) -> Array:
    """Return half of the squared residuals that the present spread leaves, minus a half."""
    x = _relative(device, wear) - wear.shift_at(device.n)
    residual = x / wear.spread_at(device.n)
    return np.asarray(0.5 * (np.minimum(residual**2, 25.0) - 1.0))


def _effect(
    devices: list[_Device], wear: WearIn, response: Callable[[_Device, WearIn], Array]
) -> Array:
    """Return the coefficients of exp(-n / tau) in a response within devices, (J, 4).

    Standard errors are those of the scatter between devices. Terms that are not significant are
    left out, one after the other, so that the others represent what remains.
    """
    count = len(wear.cycles)
    grams, sides = [], []
    for one in devices:
        basis = np.exp(-one.n[:, None] / wear.cycles)
        basis = basis - basis.mean(axis=0)
        value = response(one, wear)
        grams.append(basis.T @ basis)
        sides.append(basis.T @ (value - value.mean(axis=0)))
    gram, side = np.sum(grams, axis=0), np.sum(sides, axis=0)
    result = np.zeros((count, N_FEATURES))
    for f in range(N_FEATURES):
        kept = list(range(count))
        while kept:
            inverse = np.linalg.pinv(gram[np.ix_(kept, kept)])
            found = inverse @ side[kept, f]
            scores = np.array([
                s[kept, f] - g[np.ix_(kept, kept)] @ found
                for g, s in zip(grams, sides, strict=True)
            ])  # fmt: skip
            error = np.sqrt(np.diagonal(inverse @ (scores.T @ scores) @ inverse))
            certainty = np.where(np.abs(found) > LEAST, np.abs(found) / (error + 1e-12), 0.0)
            worst = int(np.argmin(certainty))
            if certainty[worst] > SIGNIFICANT:
                result[kept, f] = found
                break
            kept.pop(worst)
    return result
