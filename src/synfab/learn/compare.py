"""Distances of generated cells from measured ones, compared with those within the measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.conditions import at_reference
from synfab.learn.features import FeatureTable, to_y
from synfab.learn.readers.tables import Table
from synfab.learn.rejected import by_reason
from synfab.learn.standardised import MIN_CYCLES
from synfab.learn.tables import as_features
from synfab.model.cell_model import FEATURES, CellModel
from synfab.random.streams import Stream, check_seed, words

LAGS = 20
HALVES = 30
# With too few devices to split them into halves, each device is cut into pieces: their number, and
# their cycles if available, twice the lags so that every piece contains all of them.
MIN_PIECES, MAX_PIECES, PIECE = 6, 20, 2 * LAGS
MIN_PAIRS = 20  # pairs of cycles in each half for a lag to be compared
GRID = (np.arange(2000) + 0.5) / 2000
MAX_ROWS = 200_000
REPEATS = 5  # generated data sets; their median distance is used
QUANTILES = np.linspace(0.0, 1.0, 203)[1:-1]


@dataclass(frozen=True)
class Data:
    """Cycle numbers (T,) and features y (T, 4) of each device, on the scale of the model."""

    devices: list[tuple[Array, Array]]

    @cached_property
    def products(self) -> list[tuple[Array, Array]]:
        """Sums of lagged products of each device and the number of pairs; see ``correlations``."""
        return [_products(cycles, y) for cycles, y in self.devices]

    def part(self, index: Array) -> Data:
        """Return the devices of an index with their cached products."""
        some = Data([self.devices[k] for k in index])
        some.__dict__["products"] = [self.products[k] for k in index]
        return some

    def thinned(self) -> Array:
        """Return the cycles of all devices, only every k-th if there are more than ``MAX_ROWS``."""
        step = -(-sum(len(y) for _, y in self.devices) // MAX_ROWS)
        return np.concatenate([y[::step] for _, y in self.devices])

    def pooled(self) -> Array:
        """Return all cycles of all devices, (N, 4)."""
        return np.concatenate([y for _, y in self.devices])


@dataclass(frozen=True)
class Comparison:
    """Distances between generated and measured cells, each with that within the measurement.

    Attributes
    ----------
    wasserstein, yardstick
        Wasserstein distance per feature, in standard deviations of the pooled measurement; the
        yardstick is the 95 % quantile of the distances between random halves of the measurement.
    correlation_error, correlation_yardstick
        Largest error of auto- and cross-correlations per feature over those lags 0 … 20 with at
        least 20 pairs in each half of the measurement; NaN without such lags.
    covariance_error, covariance_yardstick
        Relative error (Frobenius norm) of the covariance of the device parameters (mu, sigma); NaN
        with one or two devices.
    outliers
        Fraction of devices outside the 99.9 % ellipsoid of the bulk: measured, generated.
    names
        Device names in the order of ``measured.devices``.
    data_sha256
        Digest of the measured features.
    seed
        Seed of the generated cells.
    rejected
        Number of measured cycles that could not be evaluated, by reason.
    shifts
        Effect of the conditions that was removed from ``measured``, (T, 4) per device.
    """

    wasserstein: Mapping[str, float]
    yardstick: Mapping[str, float]
    correlation_error: Mapping[str, float]
    correlation_yardstick: Mapping[str, float]
    covariance_error: float
    covariance_yardstick: float
    outliers: tuple[float, float]
    measured: Data
    generated: Data
    model: CellModel
    names: tuple[str, ...]
    data_sha256: str
    seed: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    shifts: tuple[Array, ...] = ()

    def summary(self) -> dict[str, object]:
        """Return the results as JSON values."""
        return {
            "wasserstein_sigma": dict(self.wasserstein),
            "wasserstein_yardstick": dict(self.yardstick),
            "correlation_error": dict(self.correlation_error),
            "correlation_yardstick": dict(self.correlation_yardstick),
            "covariance_error": self.covariance_error,
            "covariance_yardstick": self.covariance_yardstick,
            "outlier_share": {"measured": self.outliers[0], "generated": self.outliers[1]},
            "devices": len(self.measured.devices),
            "cycles": len(self.measured.pooled()),
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "data_sha256": self.data_sha256,
            "seed": self.seed,
            "rejected_cycles": dict(self.rejected),
        }


def compare(model: CellModel, features: FeatureTable | Table, *, seed: int = 0) -> Comparison:
    """Compare a model with measured features by generating as many devices and cycles.

    Parameters
    ----------
    model
        Model to compare.
    features
        Measured features, or a pandas, Polars or Arrow table of them as in ``fit``.
    seed
        Seed of the generated cells and of the random halves.

    Raises
    ------
    InvalidValueError
        No device has enough complete cycles.
    """
    checks.instance("model", model, CellModel)
    features = as_features("features", features)
    seed = check_seed(seed)
    names, measured, shifts = _measured(features, model)
    pooled = measured.pooled()
    scale = pooled.std(axis=0)
    # A constant feature has no standard deviation.
    scale = np.where(scale > 1e-6 * np.abs(pooled.mean(axis=0)), scale, 1.0)
    made = generate(model, measured, seed, REPEATS)
    distances = np.array([_wasserstein(measured, data, scale) for data in made])
    target, count = correlations(measured), len(measured.devices)
    halves = [_halves(measured, seed, k) for k in range(HALVES)]
    seen = np.all([_counts(half) >= MIN_PAIRS for both in halves for half in both], axis=0)
    errors = np.array([_largest_error(correlations(data), target, seen) for data in made])
    own = np.array([_wasserstein(a, b, scale) for a, b in halves])
    own_errors = np.array(
        [_largest_error(correlations(a), correlations(b), seen) for a, b in halves]
    )
    covariance, covariance_own = float("nan"), float("nan")
    if count > 2:
        exact = _device_covariance(measured)
        covariance = float(np.median([_relative(_device_covariance(d), exact) for d in made]))
        if count > 5:
            covariance_own = float(
                np.quantile(
                    [_relative(_device_covariance(a), _device_covariance(b)) for a, b in halves],
                    0.95,
                )
            )

    def named(row: Array) -> dict[str, float]:
        return {name: float(value) for name, value in zip(FEATURES, row, strict=True)}

    return Comparison(
        wasserstein=named(np.median(distances, axis=0)),
        yardstick=named(np.quantile(own, 0.95, axis=0)),
        correlation_error=named(np.median(errors, axis=0)),
        correlation_yardstick=named(np.quantile(own_errors, 0.95, axis=0)),
        covariance_error=covariance,
        covariance_yardstick=covariance_own,
        outliers=(_outliers(measured), float(np.median([_outliers(data) for data in made]))),
        measured=measured,
        generated=made[0],
        model=model,
        names=names,
        data_sha256=features.digest(),
        seed=seed,
        rejected=dict(features.rejected),
        shifts=shifts,
    )


def _measured(
    features: FeatureTable, model: CellModel
) -> tuple[tuple[str, ...], Data, tuple[Array, ...]]:
    """Return the names, the features at the model's reference conditions, and the shifts."""
    names, devices, shifts = [], [], []
    plain = at_reference(features, model.conditions, model.scales)
    for (name, cycles, values), (_, _, raw) in zip(
        plain.devices(), features.devices(), strict=True
    ):
        good = np.isfinite(values).all(axis=1)
        if good.sum() >= MIN_CYCLES:
            names.append(name)
            devices.append((cycles[good], to_y(values[good])))
            shifts.append(to_y(raw[good]) - devices[-1][1])
    if not devices:
        lost = by_reason(features.rejected)
        raise InvalidValueError(
            f"features: no device has at least {MIN_CYCLES} complete cycles"
            + (f"; cycles that could not be evaluated: {lost}" if lost else "")
        )
    return tuple(names), Data(devices), tuple(shifts)


def loop_features(found: Comparison, index: int) -> tuple[Array, Array]:
    """Return cycles (T,) and features y (T, 4) of a measured device as its loops show them."""
    cycles, y = found.measured.devices[index]
    return cycles, y + found.shifts[index] if found.shifts else y


def generate(model: CellModel, like: Data, seed: int, repeats: int = 1) -> list[Data]:
    """Return generated data with the devices and cycle numbers of ``like``, ``repeats`` times."""
    count = len(like.devices)
    longest = max(int(cycles[-1] - cycles[0]) + 1 for cycles, _ in like.devices)
    cells = CellArray(model, count * repeats, seed=seed)
    record = np.empty((longest, count * repeats, 4), np.float32)
    full = max(1.05 * model.conduction.u_max, 0.1)
    for n in range(longest):
        found = cells.features
        for f, name in enumerate(FEATURES):
            record[n, :, f] = found[name]
        # Voltages that SET and completely RESET every cell.
        cells.apply_voltage(np.minimum(found["u_set"] * 1.5, -0.01) - 0.01)
        cells.apply_voltage(np.maximum(full, found["u_reset"] + 0.01))
    return [
        Data(
            [
                (cycles, to_y(record[cycles - cycles[0], repeat * count + k]))
                for k, (cycles, _) in enumerate(like.devices)
            ]
        )
        for repeat in range(repeats)
    ]


def _wasserstein(a: Data, b: Data, scale: Array) -> Array:
    """Return the Wasserstein distance of the pooled distributions from their quantiles."""
    one, two = (np.quantile(data.thinned(), GRID, axis=0) for data in (a, b))
    return np.asarray(np.abs(one - two).mean(axis=0) / scale)


def correlations(data: Data) -> Array:
    """Return the correlations within devices of feature i with earlier j, (lags + 1, 4, 4)."""
    sums = sum(total for total, _ in data.products)
    return np.asarray(sums / np.maximum(_counts(data), 1.0)[:, None, None])


def _counts(data: Data) -> Array:
    """Return the number of pairs of cycles at each lag, (lags + 1,)."""
    return np.asarray(np.sum([count for _, count in data.products], axis=0))


def _products(cycles: Array, y: Array) -> tuple[Array, Array]:
    sums, counts = np.zeros((LAGS + 1, 4, 4)), np.zeros(LAGS + 1)
    spread = y.std(axis=0)
    x = (y - y.mean(axis=0)) / np.where(spread > 0.0, spread, np.inf)
    for lag in range(min(LAGS + 1, len(x))):
        pairs = cycles[lag:] - cycles[: len(cycles) - lag] == lag
        if pairs.all():
            sums[lag] = x[lag:].T @ x[: len(x) - lag]
        else:
            sums[lag] = x[lag:][pairs].T @ x[: len(x) - lag][pairs]
        counts[lag] = pairs.sum()
    return sums, counts


def _largest_error(a: Array, b: Array, lags: Array) -> Array:
    if not lags[1:].any():
        return np.full(4, np.nan)
    return np.asarray(np.abs(a - b)[lags].max(axis=(0, 2)))


def _parameters(data: Data) -> Array:
    return np.array([np.concatenate([y.mean(axis=0), y.std(axis=0)]) for _, y in data.devices])


def _device_covariance(data: Data) -> Array:
    parameters = _parameters(data)
    return np.cov(parameters, rowvar=False) if len(parameters) > 1 else np.zeros((8, 8))


def _relative(found: Array, exact: Array) -> float:
    scale = np.sqrt(np.diag(exact))
    scale = np.where(scale > 0.0, scale, 1.0)
    unit = np.outer(scale, scale)
    return float(np.linalg.norm((found - exact) / unit) / np.linalg.norm(exact / unit))


def _outliers(data: Data) -> float:
    """Return the fraction of devices far from the bulk by robust estimates of its ellipsoid."""
    from scipy.stats import chi2

    parameters = _parameters(data)
    if len(parameters) < 10:
        return 0.0
    low, middle, high = np.quantile(parameters, [0.16, 0.5, 0.84], axis=0)
    spread = (high - low) / 2.0
    varies = spread > 1e-9 * np.maximum(np.abs(middle), 1e-12)
    z = (parameters[:, varies] - middle[varies]) / spread[varies]
    inside = (np.abs(z) < 3.0).all(axis=1)
    correlation = np.corrcoef(z[inside], rowvar=False) + 1e-6 * np.eye(int(varies.sum()))
    distance = np.einsum("ni,ni->n", z @ np.linalg.inv(correlation), z)
    return float((distance > chi2.ppf(0.999, int(varies.sum()))).mean())


def _halves(data: Data, seed: int, number: int) -> tuple[Data, Data]:
    """Split at random by devices, or by runs of cycles if there are few devices."""
    whole = data
    if len(data.devices) < 4:
        pieces = [
            piece
            for cycles, values in data.devices
            for parts in [int(np.clip(len(cycles) // PIECE, MIN_PIECES, MAX_PIECES))]
            for piece in zip(
                np.array_split(cycles, parts), np.array_split(values, parts), strict=True
            )
        ]
        whole = Data(pieces)
    index = np.arange(len(whole.devices), dtype=np.uint32)
    zero = np.zeros_like(index)
    drawn = words(seed, (index, zero), zero + np.uint32(number), Stream.POPULATION)[0]
    order = np.argsort(drawn, kind="stable")
    half = len(order) // 2
    return whole.part(np.sort(order[:half])), whole.part(np.sort(order[half:]))
