"""Registry of the properties that are compared; each is one entry, here or in another module.

A property measures a statistic of a sample of devices, and defines the distance of two statistics.
Distances obey the triangle inequality and are in fixed units, so that the yardstick and the
detectable deviation follow from the distances between halves of the measurement (``yardstick``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synfab.common import checks
from synfab.common.types import Array
from synfab.learn.comparison import basis, devices, lags
from synfab.learn.comparison.sample import Frame, Sample, Units, cycle_count, cycles_below
from synfab.learn.rare_states import CLOSED, STATES
from synfab.model.cell_model import FEATURES


@dataclass(frozen=True)
class Property:
    """A property of a technology that a model should reproduce.

    Parameters
    ----------
    key
        Name in the JSON summary.
    name
        Name for readers; ``{}`` stands for the feature.
    unit
        Meaning and unit of the distance.
    measure
        Returns the statistic of a sample: an array that can be averaged over samples.
    distance
        Returns the distances of two statistics, (features,) or a number.
    value
        Returns the values to print, (features,) or a number; NaN if no single number describes the
        statistic.
    per_feature
        One row for each feature; otherwise one row.
    needs
        Features without which the property is not scored (only if it has one row).
    of_devices
        Concerns differences between devices, or the beginning or end of their records, so that
        blocks of cycles cannot replace devices.
    floor
        Smallest yardstick, as a function of the measurement; for shares of rare events, which
        halves without events would set to 0.
    share_of_devices
        The statistic is a share of the devices, so that the yardstick is that of the binomial
        distribution.
    supported
        Returns for which features the measurement is large enough, (F,).
    own_scatter
        The yardstick is the larger of those from halves of the measurement and of the generated
        data; for statistics that few devices determine, which a sample may not contain.
    basis
        Returns the counts that the statistic rests on as text, for each row or one for all; empty
        if they are many.
    """

    key: str
    name: str
    unit: str
    measure: Callable[[Sample], Array]
    distance: Callable[[Array, Array, Frame], Array]
    value: Callable[[Array, Frame], Array]
    per_feature: bool = True
    needs: tuple[str, ...] = ()
    of_devices: bool = False
    floor: Callable[[Sample], float] | None = None
    share_of_devices: bool = False
    supported: Callable[[Units], Array] | None = None
    own_scatter: bool = False
    basis: Callable[[Units], list[str]] | None = None


PROPERTIES: list[Property] = []


def register_property(entry: Property) -> Property:
    """Add a property to those that ``compare`` scores; a key that exists is replaced."""
    entry = checks.instance("entry", entry, Property)
    PROPERTIES[:] = [known for known in PROPERTIES if known.key != entry.key]
    PROPERTIES.append(entry)
    return entry


# ---- distances and values ---------------------------------------------------------------------


def difference(a: Array, b: Array, _: Frame) -> Array:
    """Return the absolute difference."""
    return np.asarray(np.abs(a - b))


def largest(a: Array, b: Array, _: Frame) -> Array:
    """Return the largest absolute difference over the last axis; NaN if it is empty."""
    if a.shape[-1] == 0:
        return np.full(a.shape[:-1], np.nan)
    return np.asarray(np.abs(a - b).max(axis=-1))


def itself(a: Array, _: Frame) -> Array:
    """Return the statistic."""
    return a


def average(a: Array, _: Frame) -> Array:
    """Return the mean over the last axis; NaN if it is empty."""
    return np.asarray(a.mean(axis=-1)) if a.shape[-1] else np.full(a.shape[:-1], np.nan)


# ---- distributions ----------------------------------------------------------------------------


def distribution(sample: Sample) -> Array:
    """Return the cumulative distribution of each feature at the edges of the frame, (F, B)."""
    return np.asarray(sample.total(cycles_below) / max(float(sample.total(cycle_count)), 1.0))


def wasserstein(a: Array, b: Array, frame: Frame) -> Array:
    """Return the area between two cumulative distributions, in standard deviations, (F,)."""
    width = np.diff(frame.edges, axis=1)
    return np.asarray((np.abs(a - b)[:, :-1] * width).sum(axis=1) / frame.scale)


def quantiles(cumulative: Array, edges: Array, level: float) -> Array:
    """Return the quantiles of distributions given at edges (F, B), interpolated, (F,)."""
    result = np.empty(len(edges))
    for f, (known, values) in enumerate(zip(cumulative, edges, strict=True)):
        upper = min(int(np.searchsorted(known, level)), len(values) - 1)
        lower = max(upper - 1, 0)
        gap = known[upper] - known[lower]
        part = (level - known[lower]) / gap if gap > 0.0 else 1.0
        result[f] = values[lower] + np.clip(part, 0.0, 1.0) * (values[upper] - values[lower])
    return result


register_property(
    Property(
        "distribution", "Distribution of {}", "Wasserstein distance, standard deviations",
        distribution, wasserstein, lambda a, frame: quantiles(a, frame.edges, 0.5),
    )
)  # fmt: skip

# Levels that are scored by themselves, and those that only the distribution may not contradict.
TAILS = (0.001, 0.01, 0.99, 0.999)
INNER = (0.05, 0.25, 0.5, 0.75, 0.95)
# Cycles and devices beyond a quantile in the measurement, for it to be compared.
MIN_BEYOND, MIN_BEYOND_DEVICES = 10.0, 5.0
MANY_BEYOND = 1000.0


def quantile_property(level: float) -> Property:
    """Return the property that compares one quantile; NaN where the sample is too small for it.

    The cycles beyond the quantile have to be at least ``MIN_BEYOND``, of at least
    ``MIN_BEYOND_DEVICES`` devices in effect (the square of their sum by the sum of their squares).
    """

    def measure(sample: Sample) -> Array:
        found = quantiles(distribution(sample), sample.frame.edges, level)
        return np.asarray(found / sample.frame.scale)

    percent = f"{100.0 * level:g}"
    return Property(
        f"quantile_{percent}", f"{percent} % quantile of {{}}", "difference, standard deviations",
        measure, difference, lambda a, frame: a * frame.scale,
        supported=lambda units: _cycles_suffice(units, level), own_scatter=True,
        basis=lambda units: _beyond_text(units, level),
    )  # fmt: skip


def _cycles_suffice(units: Units, level: float) -> Array:
    """Return whether a quantile is determined by enough cycles and devices, (F,)."""
    count = float(units.all().total(cycle_count))
    if min(level, 1.0 - level) * count < MIN_BEYOND * (1.0 - 1e-9):
        return np.zeros(len(units.frame.scale), bool)
    return np.asarray(_devices_in_effect(_beyond(units, level)) >= MIN_BEYOND_DEVICES)


def _beyond(units: Units, level: float) -> Array:
    """Return the number of cycles of each device beyond a quantile, (devices, F)."""
    whole = units.all()
    cumulative = distribution(whole)
    edge = np.array([min(int(np.searchsorted(row, level)), len(row) - 1) for row in cumulative])
    below = np.take_along_axis(whole.each(cycles_below), edge[None, :, None], axis=2)[:, :, 0]
    return np.asarray(below if level < 0.5 else whole.each(cycle_count)[:, None] - below)


def _devices_in_effect(beyond: Array) -> Array:
    squares = np.maximum((beyond**2).sum(axis=0), 1e-300)
    return np.asarray(beyond.sum(axis=0) ** 2 / squares)


def _beyond_text(units: Units, level: float) -> list[str]:
    beyond = _beyond(units, level)
    return [
        f"{total:.0f} cycle{'s' * bool(total != 1)} beyond it, of {number:.0f} "
        f"device{'s' * (round(number) != 1)} in effect"
        if total < MANY_BEYOND
        else ""
        for total, number in zip(beyond.sum(axis=0), _devices_in_effect(beyond), strict=True)
    ]


for tail in TAILS:
    register_property(quantile_property(tail))

# ---- devices ----------------------------------------------------------------------------------

register_property(
    Property(
        "within_spread", "Spread of {} within devices",
        "difference of the logarithms (0.1 = 10 %) of the typical standard deviation",
        lambda sample: devices.trimmed_mean(sample.each(devices.log_spread)),
        difference, lambda a, frame: np.exp(a) * frame.scale,
    )
)  # fmt: skip


def between(sample: Sample) -> Array:
    """Return the logarithm of the robust spread of the means of devices, (F,)."""
    spread = devices.robust_spread(sample.each(devices.mean))
    return np.asarray(np.log(np.maximum(spread, devices.SMALLEST)))


register_property(
    Property(
        "between_spread", "Spread of {} between devices",
        "difference of the logarithms (0.1 = 10 %) of the spread of their means",
        between, difference, lambda a, frame: np.exp(a) * frame.scale, of_devices=True,
        basis=basis.number_of_devices,
    )
)  # fmt: skip
register_property(
    Property(
        "spread_of_spreads", "Spread of the spreads of {}",
        "difference of the standard deviations of ln(sigma), robust",
        lambda sample: devices.robust_spread(sample.each(devices.log_spread)),
        difference, itself, of_devices=True, basis=basis.number_of_devices,
    )
)  # fmt: skip


def root_mean_square(a: Array, b: Array, frame: Frame) -> Array:
    """Return the root mean square error of the correlations of different parameters."""
    count = 2 * int(frame.scored.sum())
    off_diagonal = (a - b) * (1.0 - np.eye(len(a)))
    return np.asarray(np.linalg.norm(off_diagonal) / np.sqrt(max(count * (count - 1), 1)))


register_property(
    Property(
        "device_correlations", "Correlations between devices",
        "root mean square error of the rank correlations of levels and ln(spreads)",
        devices.rank_correlation, root_mean_square, lambda a, _: np.asarray(np.nan),
        per_feature=False, of_devices=True, basis=basis.number_of_devices,
    )
)  # fmt: skip

# ---- cycles -----------------------------------------------------------------------------------


def correlation_property(
    key: str, name: str, unit: str, bands: Array, *, others: bool = False
) -> Property:
    """Return a property that compares correlations of a feature with itself, or with the others.

    ``bands`` (bands,) selects the lags; of those only what the record carries is compared.
    """

    def measure(sample: Sample) -> Array:
        found = lags.sample_correlations(sample)[bands & sample.frame.lags]
        itself_only = np.eye(found.shape[1], dtype=bool)
        if not others:
            return np.asarray([found[:, f, f] for f in range(found.shape[1])])
        compared = ~itself_only & sample.frame.scored
        # The number of values is the same in each row: those that are not compared are 0.
        return np.asarray(
            np.moveaxis(np.where(compared, found, 0.0), 1, 0).reshape(len(compared), -1)
        )

    return Property(key, name, unit, measure, largest, average)


ERROR = "largest error of a correlation"
register_property(correlation_property("memory", "Memory of {}, lags 1 to 20", ERROR, lags.SHORT))
register_property(
    correlation_property("long_memory", "Memory of {}, lags 21 to 100", ERROR, lags.LONG)
)
register_property(
    correlation_property(
        "cross_memory", "Cross-memory of {}, lags 1 to 20", ERROR, lags.SHORT, others=True
    )
)
register_property(
    correlation_property(
        "same_cycle", "Correlations of {}",
        f"{ERROR} within a cycle", lags.CENTRES == 0.0, others=True,
    )
)  # fmt: skip

DRIFT = "difference, standard deviations of the device"
register_property(
    Property(
        "first_cycles", "First cycles of {}", f"mean minus that of the later cycles: {DRIFT}",
        lambda sample: sample.each(devices.first_cycles).mean(axis=0),
        difference, itself, of_devices=True, basis=basis.number_of_devices,
    )
)  # fmt: skip
register_property(
    Property(
        "trend", "Trend of {}", DRIFT,
        lambda sample: sample.each(devices.trend).mean(axis=0),
        difference, itself, of_devices=True, basis=basis.number_of_devices,
    )
)  # fmt: skip

# ---- rare events ------------------------------------------------------------------------------

# No event in n cases: the share is below 3 / n with 95 % confidence.
RULE_OF_THREE = 3.0


def cycle_floor(sample: Sample) -> float:
    """Return the smallest yardstick of a share of the cycles."""
    return RULE_OF_THREE / max(float(sample.total(cycle_count)), 1.0)


def closed_share(sample: Sample) -> Array:
    """Return the share of cycles whose window is closed."""
    return np.asarray(sample.total(devices.closed_cycles) / sample.total(cycle_count))


def impossible_share(sample: Sample) -> Array:
    """Return the share of cycles with a resistance or a voltage of the wrong sign."""
    return np.asarray(sample.total(devices.impossible_cycles) / sample.total(cycle_count))


def dead_share(sample: Sample) -> Array:
    """Return the share of devices that died within their records."""
    return np.asarray(sample.each(devices.dead).mean())


def outlying(sample: Sample) -> Array:
    """Return the share of devices outside the bulk."""
    return np.asarray(devices.outlier_share(sample))


register_property(
    Property(
        "closed_window", "Closed window",
        f"difference of the shares of cycles with r_hrs < {CLOSED} r_lrs",
        closed_share,
        difference, itself, per_feature=False, needs=("r_hrs", "r_lrs"), floor=cycle_floor,
        basis=basis.share_of_cycles(closed_share),
    )
)  # fmt: skip


def rare_property(
    key: str, name: str, unit: str, states: tuple[str, ...], needs: tuple[str, ...] = ()
) -> Property:
    """Return the property that compares the share of cycles in a rare state, or one per feature."""
    columns = [STATES.index(state) for state in states]

    def measure(sample: Sample) -> Array:
        return np.asarray(sample.total(devices.rare_counts)[columns, 0] / sample.total(cycle_count))

    return Property(
        key, name, f"difference of the shares of cycles {unit}", measure, difference, itself,
        per_feature=len(states) > 1, needs=needs, floor=cycle_floor,
        basis=basis.share_of_cycles(measure),
    )  # fmt: skip


for event, side in (("SET", "HRS"), ("RESET", "LRS")):
    register_property(
        rare_property(
            f"failed_{event.lower()}", f"Failed {event}", f"with a closed window in the {side}",
            (f"failed {event}",), ("r_hrs", "r_lrs"),
        )
    )  # fmt: skip
register_property(
    rare_property(
        "jumps", "Jumps of {}", "more than 5 robust standard deviations from the device's median",
        tuple(f"jumps of {name}" for name in FEATURES),
    )
)  # fmt: skip
register_property(
    rare_property(
        "second_level", "Second level of {}", "in the smaller of two separated levels",
        tuple(f"second level of {name}" for name in FEATURES),
    )
)  # fmt: skip
register_property(
    Property(
        "impossible", "Values of the wrong sign",
        "difference of the shares of cycles with R <= 0, u_set >= 0 or u_reset <= 0",
        impossible_share,
        difference, itself, per_feature=False, floor=cycle_floor,
        basis=basis.share_of_cycles(impossible_share),
    )
)  # fmt: skip
register_property(
    Property(
        "deaths", "Deaths",
        f"difference of the shares of devices whose last {devices.DEAD_CYCLES} windows are closed",
        dead_share,
        difference, itself, per_feature=False, needs=("r_hrs", "r_lrs"), of_devices=True,
        share_of_devices=True, basis=basis.share_of_devices(dead_share),
    )
)  # fmt: skip
register_property(
    Property(
        "outlying_devices", "Outlying devices",
        "difference of the shares of devices outside the 99.9 % ellipsoid of the bulk",
        outlying,
        difference, itself, per_feature=False, of_devices=True, share_of_devices=True,
        basis=basis.share_of_devices(outlying),
    )
)  # fmt: skip

RARE = ("failed_set", "failed_reset", "jumps", "second_level")
NAMES = dict(zip(FEATURES, ("R_HRS", "U_SET", "R_LRS", "U_RESET"), strict=True))
