"""Counts that a result rests on, and how uncertain a share is that few events determine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synfab.common.types import Array
from synfab.learn.comparison.sample import Sample, Units, cycle_count

CONFIDENCE = 0.95
# With more devices than this, their number is no news.
FEW_DEVICES = 30


def share_interval(events: float, cases: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Clopper and Pearson 1934).

    Both numbers may be fractions: those of independent cases that correlated ones are worth.
    """
    from scipy.stats import beta

    tail = (1.0 - CONFIDENCE) / 2.0
    low = beta.ppf(tail, events, cases - events + 1.0) if events > 0.0 else 0.0
    high = beta.ppf(1.0 - tail, events + 1.0, cases - events) if events < cases else 1.0
    return float(low), float(high)


def share_of_devices(measure: Callable[[Sample], Array]) -> Callable[[Units], list[str]]:
    """Return a function that states of how many devices a share is, with its interval."""

    def basis(units: Units) -> list[str]:
        count = len(units.devices)
        share = float(measure(units.all()))
        return [_share_text(share * count, count, "devices", 1.0) if np.isfinite(share) else ""]

    return basis


def share_of_cycles(measure: Callable[[Sample], Array]) -> Callable[[Units], list[str]]:
    """Return a function that states of how many cycles shares are, with their intervals.

    Events that occur in few devices are worth fewer cases: the variance of the share follows from
    the scatter over the devices.
    """

    def basis(units: Units) -> list[str]:
        count = units.each(cycle_count)
        total = float(count.sum())
        share = np.atleast_1d(measure(units.all()))
        single = [Sample(units, np.array([k])) for k in range(len(count))]
        each = np.stack([np.atleast_1d(measure(one)) for one in single])
        devices = len(count)
        apart = ((count[:, None] * (each - share)) ** 2).sum(axis=0) / total**2
        apart *= devices / max(devices - 1.0, 1.0)
        simple = share * (1.0 - share) / total
        effect = np.where(simple > 0.0, apart / np.where(simple > 0.0, simple, 1.0), 1.0)
        return [
            _share_text(p * total, total, "cycles", max(float(e), 1.0))
            for p, e in zip(share, effect, strict=True)
        ]

    return basis


def number_of_devices(units: Units) -> list[str]:
    """Return the number of devices as text if they are few."""
    count = len(units.devices)
    return [f"{count} device{'s' * (count != 1)}"] if count < FEW_DEVICES else [""]


def _share_text(events: float, cases: float, what: str, effect: float) -> str:
    low, high = share_interval(events / effect, cases / effect)
    return (
        f"{events:.0f} of {cases:.0f} {what}; {CONFIDENCE:.0%} interval "
        f"{_percent(low)} to {_percent(high)} %"
    ).replace("95%", "95 %")


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g}" if share < 0.995 else f"{100.0 * share:.3g}"
