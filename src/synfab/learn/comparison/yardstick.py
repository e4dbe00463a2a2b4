"""Distances of generated from measured data, and those expected of a correct model.

The measurement (n devices) is split at random into halves of n1 and n2 devices. The squared
distance of their statistics is in proportion to 1/n1 + 1/n2; that of the measurement from the mean
of R generated data sets of n devices each, made by a correct model, is in proportion to
(1 + 1/R) / n. The distances between halves are therefore multiplied by the root of the ratio of
both, about 0.55. With few devices their scatter is uncertain itself, for which the factor contains
the ratio of the 97.5 % quantiles of Student's t and of the normal distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synfab.common.types import Array
from synfab.learn.comparison.properties import NAMES, Property
from synfab.learn.comparison.sample import Frame, Sample, Units, halves
from synfab.model.cell_model import FEATURES

SPLITS = 100
QUANTILE = 0.95  # of the distances of a correct model: the yardstick
# A distance above this multiple of the yardstick is called different.
FAR = 2.0
POWER = 0.8  # probability with which a deviation of the stated size is called different
# Fewer devices have too few different halves.
MIN_SPLIT_DEVICES = 6


@dataclass(frozen=True)
class Result:
    """Distance of generated from measured data in one property.

    Attributes
    ----------
    key, feature
        Property and feature; the feature is empty if the property has one row.
    name, unit
        Name for readers; meaning and unit of the distance.
    measured, generated
        Value of the property; NaN if no single number describes it.
    distance
        Distance of the measurement from the mean of the generated data sets.
    yardstick
        Distance that a correct model does not exceed with a probability of 95 %; NaN if the
        measurement is too small.
    detects
        Deviation that is called different, i.e. exceeds twice the yardstick, with a probability of
        at least 80 %: twice the yardstick plus the 80 % quantile of the distance of a correct
        model (triangle inequality).
    basis
        Counts that the result rests on, with their uncertainty, if they are few; may be empty.
    """

    key: str
    feature: str
    name: str
    unit: str
    measured: float
    generated: float
    distance: float
    yardstick: float
    detects: float
    basis: str = ""

    @property
    def ratio(self) -> float:
        """Distance divided by the yardstick; NaN if the yardstick is not known."""
        if self.yardstick > 0.0:
            return self.distance / self.yardstick
        return 0.0 if self.distance == 0.0 else math.nan if math.isnan(self.yardstick) else math.inf


@dataclass
class Splits:
    """Random halves of the measurement."""

    pairs: list[tuple[Sample, Sample]]
    whole: Sample
    repeats: int
    of_devices: bool  # halves are sets of devices, not of blocks of their cycles

    @classmethod
    def of(cls, units: Units, seed: int, repeats: int, *, of_devices: bool) -> Splits:
        """Return the halves of the measured units."""
        pairs = [halves(units, seed, number) for number in range(SPLITS)]
        return cls(pairs, units.all(), repeats, of_devices)

    def of_units(self, units: Units) -> Splits:
        """Return the same halves of other units, such as generated devices."""
        pairs = [(Sample(units, a.index), Sample(units, b.index)) for a, b in self.pairs]
        return Splits(pairs, units.all(), self.repeats, self.of_devices)

    @property
    def factor(self) -> float:
        """Factor from a distance between halves to that of a correct model."""
        from scipy.stats import norm, t

        first, second = (len(half.index) for half in self.pairs[0])
        count = first + second
        if not first:
            return math.nan
        size = (1.0 + 1.0 / self.repeats) / count / (1.0 / first + 1.0 / second)
        return float(np.sqrt(size) * t.ppf(0.975, count - 1) / norm.ppf(0.975))


def results(entry: Property, splits: Splits, measured: Units, made: list[Units]) -> list[Result]:
    """Return the results of a property, one for each row."""
    frame = measured.frame
    target = np.asarray(entry.measure(measured.all()))
    mean = np.mean([entry.measure(units.all()) for units in made], axis=0)
    distance = np.atleast_1d(entry.distance(mean, target, frame))
    scaled = _null(entry, splits, frame, len(distance))
    if entry.own_scatter and splits.of_devices:
        other = _null(entry, splits.of_units(made[0]), frame, len(distance))
        wider = np.quantile(other, QUANTILE, axis=0) > np.quantile(scaled, QUANTILE, axis=0)
        scaled = np.where(wider, other, scaled)
    if entry.supported is not None:
        scaled = np.where(entry.supported(splits.whole.units), scaled, np.nan)
    values = [
        np.broadcast_to(entry.value(statistic, frame), distance.shape)
        for statistic in (target, mean)
    ]
    basis = [""] if entry.basis is None else entry.basis(measured)
    rows = []
    for f in range(len(distance)):
        if entry.per_feature and not frame.scored[f]:
            continue
        yardstick = float(np.quantile(scaled[:, f], QUANTILE))
        own = float(np.quantile(scaled[:, f], POWER))
        if entry.floor is not None and math.isfinite(yardstick):
            yardstick = max(yardstick, entry.floor(splits.whole))
        if entry.share_of_devices and math.isfinite(yardstick):
            yardstick = _binomial(float(target), float(mean), len(measured.devices), len(made))
            own = yardstick / 2.0
        feature = FEATURES[f] if entry.per_feature else ""
        name = entry.name.format(NAMES[feature]) if feature else entry.name
        rows.append(
            Result(
                entry.key, feature, name, entry.unit, float(values[0][f]), float(values[1][f]),
                float(distance[f]), yardstick, FAR * yardstick + own,
                basis[f if len(basis) > 1 else 0],
            )
        )  # fmt: skip
    return rows


def _binomial(measured: float, generated: float, count: int, repeats: int) -> float:
    """Return the yardstick of a share of the devices, at least one device."""
    share = (measured + repeats * generated) / (1.0 + repeats)
    return max(1.96 * math.sqrt(share * (1.0 - share) * (1.0 + 1.0 / repeats) / count), 1.0 / count)


def _null(entry: Property, splits: Splits, frame: Frame, rows: int) -> Array:
    """Return the distances expected of a correct model, (splits, rows); NaN without halves."""
    few = len(splits.whole.index) < MIN_SPLIT_DEVICES
    if entry.of_devices and (few or not splits.of_devices):
        return np.full((1, rows), np.nan)
    if entry.share_of_devices:  # binomial; halves say nothing about rare devices
        return np.zeros((1, rows))
    found = [
        np.atleast_1d(entry.distance(entry.measure(a), entry.measure(b), frame))
        for a, b in splits.pairs
    ]
    return splits.factor * np.asarray(found)
