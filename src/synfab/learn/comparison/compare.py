"""Comparison of a model with a measurement, by generating the same devices and cycles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array
from synfab.learn.comparison import lags, loops
from synfab.learn.comparison.advice import Situation, advice_on
from synfab.learn.comparison.data import Data, generate, measured_data, not_scored
from synfab.learn.comparison.devices import rare_counts
from synfab.learn.comparison.properties import INNER, PROPERTIES, quantile_property
from synfab.learn.comparison.sample import MIN_DEVICES, Frame, Units, blocks, cycle_count, grid
from synfab.learn.comparison.verdicts import (
    Counts,
    Verdict,
    counts,
    headline,
    judged,
    next_steps,
    worst_first,
)
from synfab.learn.comparison.yardstick import Result, Splits, results
from synfab.learn.features import FeatureTable
from synfab.learn.html import comparison_html
from synfab.learn.rare_states import LoopNoise, Rare, facts_of, loop_noise
from synfab.learn.readers.tables import Table
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_features, as_sweeps
from synfab.model.cell_model import FEATURES, CellModel
from synfab.random.streams import check_seed

if TYPE_CHECKING:
    import pandas as pd

# Generated data sets: fewer for large measurements, for which they take longer.
REPEATS, FEWER_REPEATS, LARGE = 5, 3, 1_000_000


@no_array("comparison.to_pandas()")
@dataclass(frozen=True)
class Comparison:
    """Distances between generated and measured cells, each with what a correct model would show.

    Attributes
    ----------
    results
        One ``Result`` for each property and feature that is scored.
    contradicted
        Largest ratio of distance and yardstick among nine quantiles of each feature, and the level
        of that quantile: a distribution does not agree if it is above 2.
    not_scored
        Features, and "loops", that say nothing about the model, with the reason.
    measured, generated
        The data; of the generated data sets the first.
    names
        Device names in the order of ``measured.devices``.
    short_devices, incomplete_cycles
        Number of devices left out because they have too few complete cycles, and number of cycles
        of the other devices left out because a feature is missing.
    rejected
        Number of measured cycles that could not be evaluated, by reason.
    rare_measured, rare_generated
        Rare states of cells; see ``synfab.learn.rare_states``.
    noise
        Noise and steps within the measured loops; None without loops.
    data_sha256
        Digest of the measured features.
    seed
        Seed of the generated cells.
    shifts
        Effect of the conditions that was removed from ``measured``, (T, 4) per device.
    """

    results: tuple[Result, ...]
    contradicted: Mapping[str, tuple[float, float]]
    not_scored: Mapping[str, str]
    measured: Data
    generated: Data
    model: CellModel
    names: tuple[str, ...]
    short_devices: int
    incomplete_cycles: int
    data_sha256: str
    seed: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    rare_measured: Mapping[str, Rare] = field(default_factory=dict)
    rare_generated: Mapping[str, Rare] = field(default_factory=dict)
    noise: LoopNoise | None = None
    shifts: tuple[Array, ...] = ()

    def result(self, key: str, feature: str = "") -> Result:
        """Return the result of a property, such as ``result("memory", "r_lrs")``.

        Raises
        ------
        InvalidValueError
            The property or the feature was not scored.
        """
        key, feature = checks.text("key", key), checks.text("feature", feature)
        for found in self.results:
            if (found.key, found.feature) == (key, feature):
                return found
        known = ", ".join(dict.fromkeys(found.key for found in self.results))
        raise InvalidValueError(
            f"key: {key} {feature}".rstrip() + f" was not scored; scored properties: {known}"
        )

    @property
    def situation(self) -> Situation:
        """Size of the measurement and order of the model, on which the advice depends."""
        lengths = [len(cycles) for cycles, _ in self.measured.devices]
        white = self.model.provenance.get("white_order")
        return Situation(
            len(lengths),
            int(np.median(lengths)),
            self.model.orders[-1],
            white if isinstance(white, int) else None,
        )

    def verdicts(self) -> list[Verdict]:
        """Return a verdict on every property that was scored, in the order of ``results``."""
        advice = partial(advice_on, situation=self.situation)
        return judged(self.results, self.contradicted, advice)

    def worst_first(self) -> list[Verdict]:
        """Return the verdicts with the worst property first, and what to try for each.

        Properties that differ come first, then those that differ a little, that cannot be judged,
        and that agree; of each group the one with the largest distance in yardsticks.
        """
        return worst_first(self.verdicts())

    def counts(self) -> Counts:
        """Return how many properties agree, differ, and cannot be judged; they add up to all."""
        return counts(self.verdicts())

    def headline(self) -> str:
        """Return a sentence with ``counts``."""
        return headline(self.counts())

    def __str__(self) -> str:
        """Return the headline, and what to try, for the worst property first."""
        return "\n  ".join([self.headline(), *next_steps(self.verdicts())])

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas table with one row for each property and feature that is scored.

        The columns are the fields of ``Result``, with ``ratio`` as the last.
        """
        import pandas as pd

        rows = [{**dataclasses.asdict(one), "ratio": one.ratio} for one in self.results]
        names = [*(f.name for f in dataclasses.fields(Result)), "ratio"]
        return pd.DataFrame(rows, columns=names)

    def _repr_html_(self) -> str:
        return comparison_html(self)

    def summary(self) -> dict[str, object]:
        """Return the results as JSON values; NaN is None."""
        return {
            "properties": [
                {
                    "property": r.key, "feature": r.feature or None, "unit": r.unit,
                    **{name: _json(getattr(r, name)) for name in
                       ("measured", "generated", "distance", "yardstick", "ratio", "detects")},
                    "verdict": v.words, "basis": v.basis or None, "advice": v.advice or None,
                }
                for r, v in zip(self.results, self.verdicts(), strict=True)
            ],
            "counts": self.counts()._asdict(),
            "not_scored": dict(self.not_scored),
            "devices": len(self.measured.devices),
            "cycles": sum(len(y) for _, y in self.measured.devices),
            "left_out": {
                "devices_with_too_few_cycles": self.short_devices,
                "incomplete_cycles": self.incomplete_cycles,
                "rejected_cycles": dict(self.rejected),
            },
            "rare_states": {
                name: {"measured": _finite(facts), "generated": _finite(self.rare_generated[name])}
                for name, facts in self.rare_measured.items()
            },
            "noise_of_loops": None if self.noise is None else _finite(self.noise),
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "data_sha256": self.data_sha256,
            "seed": self.seed,
        }  # fmt: skip


def compare(
    model: CellModel,
    features: FeatureTable | Table,
    sweeps: Sweeps | Table | None = None,
    *,
    seed: int = 0,
) -> Comparison:
    """Compare a model with measured features by generating as many devices and cycles.

    Parameters
    ----------
    model
        Model to compare.
    features
        Measured features, or a pandas, Polars or Arrow table of them as in ``fit``.
    sweeps
        Loops that the features come from, or a table; with them the currents are compared too.
    seed
        Seed of the generated cells and of the random halves.

    Raises
    ------
    InvalidValueError
        No device has enough complete cycles.

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> found = sf.learn.compare(sf.load_model(), table)
    >>> "key" in found.to_pandas().columns
    True
    """
    checks.instance("model", model, CellModel)
    features = as_features("features", features)
    sweeps = None if sweeps is None else as_sweeps("sweeps", sweeps)
    seed = check_seed(seed)
    found = measured_data(features, model)
    cycles = sum(len(y) for _, y in found.data.devices)
    repeats = REPEATS if cycles < LARGE else FEWER_REPEATS
    made = generate(model, found.data, seed, repeats)
    left_out = not_scored(found.data, features.notes)
    measured, generated, splits = prepared(found.data, made, set(left_out), seed)
    rows = [
        row
        for entry in PROPERTIES
        if not (entry.needs and set(entry.needs) & set(left_out))
        for row in results(entry, splits, measured, generated)
    ]
    contradicted = _contradicted(rows, splits, measured, generated)
    noise = None if sweeps is None else loop_noise(sweeps)
    if sweeps is not None and noise is not None:
        if model.provenance.get("conduction") == "given":
            left_out["loops"] = "the I-V curves were given by the user"
        else:
            rows += loops.compared(model, sweeps, found.names, features.notes, noise, seed)
    return Comparison(
        results=tuple(rows),
        contradicted=contradicted,
        not_scored=left_out,
        measured=found.data,
        generated=made[0],
        model=model,
        names=found.names,
        short_devices=found.short_devices,
        incomplete_cycles=found.incomplete_cycles,
        data_sha256=features.digest(),
        seed=seed,
        rejected=dict(features.rejected),
        rare_measured=_rare(measured, left_out),
        rare_generated=_rare(generated[0], left_out),
        noise=noise,
        shifts=found.shifts,
    )


def loop_features(found: Comparison, index: int) -> tuple[Array, Array]:
    """Return cycles (T,) and features y (T, 4) of a measured device as its loops show them."""
    cycles, y = found.measured.devices[index]
    return cycles, y + found.shifts[index] if found.shifts else y


def prepared(
    data: Data, made: list[Data], left_out: set[str], seed: int
) -> tuple[Units, list[Units], Splits]:
    """Return units of measured and generated data, and halves of the measurement."""
    pooled = data.pooled()
    spread = pooled.std(axis=0)
    scored = np.array([name not in left_out for name in FEATURES])
    scale = np.where(spread > 0.0, spread, 1.0)
    frame = Frame(scale, grid([pooled, *(one.pooled() for one in made)]), scored)
    measured = Units(data.devices, frame)
    of_devices = len(data.devices) >= MIN_DEVICES
    split = measured if of_devices else Units(blocks(data.devices), frame)
    splits = Splits.of(split, seed, len(made), of_devices=of_devices)
    seen = np.all(
        [lags.pair_counts(half) >= lags.MIN_PAIRS for both in splits.pairs for half in both], axis=0
    )
    frame = replace(frame, lags=seen)
    measured.frame = split.frame = frame
    return measured, [Units(one.devices, frame) for one in made], splits


def _contradicted(
    rows: list[Result], splits: Splits, measured: Units, generated: list[Units]
) -> dict[str, tuple[float, float]]:
    """Return the largest ratio among the quantiles of each feature, and its level."""
    known = [row for row in rows if row.key.startswith("quantile_")]
    inner = [
        row
        for level in INNER
        for row in results(quantile_property(level), splits, measured, generated)
    ]
    worst: dict[str, tuple[float, float]] = {}
    for row in known + inner:
        level = float(row.key.removeprefix("quantile_")) / 100.0
        if math.isfinite(row.ratio) and row.ratio > worst.get(row.feature, (0.0, 0.0))[0]:
            worst[row.feature] = (row.ratio, level)
    return worst


def _rare(units: Units, left_out: Mapping[str, str]) -> dict[str, Rare]:
    """Return the rare states, without those of features that are not scored."""
    found = facts_of(units.each(rare_counts), int(units.each(cycle_count).sum()))
    return {name: facts for name, facts in found.items() if name.rsplit(" ", 1)[-1] not in left_out}


def _finite(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: _json(x) if isinstance(x, float) else x for name, x in facts.items()}


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None
