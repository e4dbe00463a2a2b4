"""Samples of devices, whose statistics are computed once per device and reused in every split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from synfab.common.types import Array
from synfab.random.streams import Stream, words

# Fewer devices are not split into halves; each is cut into blocks of cycles instead.
MIN_DEVICES = 4
# Number of blocks, and cycles per block where available.
MIN_BLOCKS, MAX_BLOCKS, BLOCK = 6, 20, 100
# Levels at which distributions are evaluated: dense in the tails.
BODY = np.linspace(0.01, 0.99, 491)
TAIL = np.geomspace(1e-6, 0.01, 120)[:-1]
LEVELS = np.concatenate([[0.0], TAIL, BODY, 1.0 - TAIL[::-1], [1.0]])
MAX_ROWS = 400_000  # rows that determine the grid


@dataclass(frozen=True)
class Frame:
    """Units in which distances are expressed; the same for all samples of a comparison.

    Attributes
    ----------
    scale
        Standard deviation of each column of the pooled measurement, (F,).
    edges
        Values at which distributions are evaluated, ascending, (F, B).
    scored
        Which columns are compared, (F,).
    lags
        Which bands of lags are compared, (bands,); see ``lags.BANDS``.
    """

    scale: Array
    edges: Array
    scored: Array
    lags: Array = field(default_factory=lambda: np.zeros(0, bool))


# Statistic of one device: a function of its cycle numbers (T,), its features (T, F) and the frame.
Statistic: TypeAlias = Callable[[Array, Array, Frame], Any]


@dataclass
class Units:
    """Devices, or blocks of their cycles, with cached statistics of each."""

    devices: list[tuple[Array, Array]]
    frame: Frame
    known: dict[Statistic, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Statistics are over the cycles of each feature, which are then contiguous in memory.
        self.devices = [(cycles, np.asfortranarray(y)) for cycles, y in self.devices]

    def each(self, statistic: Statistic) -> Array:
        """Return a statistic of every unit, stacked, (units, …)."""
        if statistic not in self.known:
            found = [np.asarray(statistic(t, y, self.frame), np.float64) for t, y in self.devices]
            self.known[statistic] = np.stack(found)
        return self.known[statistic]

    def all(self) -> Sample:
        """Return the sample of all units."""
        return Sample(self, np.arange(len(self.devices)))


@dataclass
class Sample:
    """Some of the units; what a property is measured on."""

    units: Units
    index: Array
    sums: dict[Statistic, Array] = field(default_factory=dict)

    @property
    def frame(self) -> Frame:
        """Units in which distances are expressed."""
        return self.units.frame

    def each(self, statistic: Statistic) -> Array:
        """Return a statistic of each device of the sample, (devices, …)."""
        return np.asarray(self.units.each(statistic)[self.index])

    def total(self, statistic: Statistic) -> Array:
        """Return the sum of a statistic over the devices of the sample."""
        if statistic not in self.sums:
            self.sums[statistic] = np.asarray(self.each(statistic).sum(axis=0))
        return self.sums[statistic]


def grid(columns: list[Array]) -> Array:
    """Return values at which the distributions of data sets (N, F) are evaluated, (F, B)."""
    size = max(len(values) for values in columns)
    step = max(-(-size * len(columns) // MAX_ROWS), 1)
    pooled = np.concatenate([values[::step] for values in columns])
    edges = np.quantile(pooled, LEVELS, axis=0).T
    edges[:, 0] = np.min([values.min(axis=0) for values in columns], axis=0)
    edges[:, -1] = np.max([values.max(axis=0) for values in columns], axis=0)
    return np.asarray(edges)


def cycles_below(_: Array, y: Array, frame: Frame) -> Array:
    """Return the number of cycles at or below each edge, (F, B)."""
    ordered = np.sort(y.T, axis=1)
    return np.array(
        [np.searchsorted(row, e, "right") for row, e in zip(ordered, frame.edges, strict=True)]
    )


def cycle_count(cycles: Array, _: Array, __: Frame) -> int:
    """Return the number of cycles."""
    return len(cycles)


def blocks(devices: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Return the devices cut into blocks of consecutive cycles."""
    return [
        block
        for cycles, y in devices
        for parts in [int(np.clip(len(cycles) // BLOCK, MIN_BLOCKS, MAX_BLOCKS))]
        for block in zip(np.array_split(cycles, parts), np.array_split(y, parts), strict=True)
        if len(block[0])
    ]


def halves(units: Units, seed: int, number: int) -> tuple[Sample, Sample]:
    """Return two random halves of the units; ``number`` selects one of many splits."""
    index = np.arange(len(units.devices), dtype=np.uint32)
    zero = np.zeros_like(index)
    drawn = words(seed, (index, zero), zero + np.uint32(number), Stream.POPULATION)[0]
    order = np.argsort(drawn, kind="stable")
    half = len(order) // 2
    return Sample(units, np.sort(order[:half])), Sample(units, np.sort(order[half:]))
