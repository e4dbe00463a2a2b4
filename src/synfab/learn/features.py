"""FeatureTable: the four features of every measured cycle, the input of all fits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from synfab.common import checks
from synfab.common.deprecation import warn_renamed
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike
from synfab.learn.html import features_html
from synfab.learn.readers.columns import find_columns, need
from synfab.learn.readers.labels import counted, grouped, index_labels
from synfab.learn.readers.tables import conditions_in, numeric
from synfab.model.cell_model import FEATURES
from synfab.model.conditions import checked_conditions
from synfab.model.scale import PUBLISHED, Scale
from synfab.random.streams import Stream, normals, words

if TYPE_CHECKING:
    import pandas as pd

# A switching voltage that was not measured: V, or (mean, standard deviation); None: it was.
AssumedVoltage: TypeAlias = float | tuple[float, float] | None

# A lower median resistance (ohm) indicates a wrong unit.
MIN_RESISTANCE = 50.0


@no_array("features.values or features.to_pandas()")
@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of each device and cycle, sorted; NaN for missing values.

    Attributes
    ----------
    names
        Names of the devices.
    device
        Index into ``names``, (N,).
    cycle
        Cycle numbers, ascending within a device, (N,).
    values
        r_hrs (ohm), u_set (V), r_lrs (ohm) and u_reset (V), (N, 4).
    rejected
        Number of cycles that could not be evaluated, by reason.
    notes
        Properties of the measurement for the provenance: polarity, compliance, stride, source.
    conditions
        Values of recorded or detected conditions, "compliance" (A) and "stop_voltage" (V), (N,)
        each; NaN where unknown.

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
    >>> table.values.shape, int(table.to_pandas().cycle.max())
    ((480, 4), 39)
    """

    names: tuple[str, ...]
    device: Array
    cycle: Array
    values: Array
    rejected: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, object] = field(default_factory=dict)
    conditions: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {
            name: checks.real_array(name, getattr(self, name))
            for name in ("device", "cycle", "values")
        }
        rows = columns["values"].shape[:1]
        for name, expected in (("device", rows), ("cycle", rows), ("values", (*rows, 4))):
            found = columns[name]
            if found.shape != expected or (name != "values" and found.dtype.kind == "f"):
                raise InvalidValueError(
                    f"{name}: expected {'numbers' if name == 'values' else 'integers'} of shape "
                    f"{expected}, found {found.dtype} {found.shape}"
                )
        names = checks.texts("names", self.names)
        codes = columns["device"]
        if codes.size and not (codes.min() >= 0 and codes.max() < len(names)):
            raise InvalidValueError(f"device: expected indices of the {len(names)} names")
        checks.mapping("rejected", self.rejected)
        checks.mapping("notes", self.notes)
        held = checked_conditions(self.conditions, len(columns["values"]))
        checks.freeze(self, names=names, conditions=held, **columns)

    @classmethod
    def build(
        cls,
        device: ArrayLike,
        cycle: ArrayLike,
        values: ArrayLike,
        *,
        rejected: Mapping[str, int] | None = None,
        notes: Mapping[str, object] | None = None,
        conditions: Mapping[str, ArrayLike] | None = None,
    ) -> FeatureTable:
        """Return a sorted and checked table; ``device`` can hold names, ``values`` is (N, 4) in SI.

        Raises
        ------
        InvalidValueError
            There are no rows, a cycle occurs twice, or values are infinite or not plausible.

        Notes
        -----
        Tables of cells that SET at positive voltage are mirrored, and ``notes`` records it.
        """
        rows = checks.real_array("values", values).astype(np.float64)
        if rows.size == 0:
            raise InvalidValueError("features: found no rows; expected one per device and cycle")
        number = checks.real_array("cycle", cycle).astype(np.float64)
        labels, codes = index_labels(device)
        count = len(rows) if rows.ndim else 0
        if rows.shape != (count, len(FEATURES)):
            raise InvalidValueError(
                f"values: expected shape (N, {len(FEATURES)}), found {rows.shape}"
            )
        for name, found in (("device", codes), ("cycle", number)):
            if found.shape != (count,):
                raise InvalidValueError(f"{name}: expected shape ({count},), found {found.shape}")
        bad = ~np.isfinite(number) | (number != np.rint(number))
        if bad.any():
            at = int(np.argmax(bad))
            shown = "none" if np.isnan(number[at]) else f"{number[at]:g}"
            raise InvalidValueError(
                f"cycle: expected whole numbers, found {shown} in data row {at + 1}"
            )
        if np.isinf(rows).any():
            raise InvalidValueError("features: expected finite numbers or NaN, found infinity")
        order = np.lexsort((number, codes))
        codes, number, rows = codes[order], number[order].astype(np.int64), rows[order]
        held = {
            k: x[order]
            for k, x in checked_conditions({} if conditions is None else conditions, count).items()
        }
        twice = (np.diff(codes) == 0) & (np.diff(number) == 0)
        if twice.any():
            at = int(np.argmax(twice))
            raise InvalidValueError(
                f"cycle: device {labels[codes[at]]} has cycle {number[at]} twice "
                f"({int(twice.sum())} such rows)"
            )
        lost = {} if rejected is None else dict(checks.mapping("rejected", rejected))
        found_out = {} if notes is None else dict(checks.mapping("notes", notes))
        if _sets_at_positive_voltage(rows):
            rows = rows * np.array([1.0, -1.0, 1.0, -1.0])
            found_out["set_at_positive_voltage"] = True
        _plausible(rows)
        number, notes = _without_stride(codes, number, found_out)
        return cls(labels, codes, number, rows, lost, notes, held)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        lost = sum(self.rejected.values())
        return (
            f"FeatureTable({len(self.names)} devices, {len(self)} cycles, {lost} cycles rejected)"
        )

    def _repr_html_(self) -> str:
        return features_html(self)

    def devices(self) -> Iterator[tuple[str, Array, Array]]:
        """Yield name, cycles and values of each device."""
        edges = np.searchsorted(self.device, np.arange(len(self.names) + 1))
        for name, low, high in zip(self.names, edges[:-1], edges[1:], strict=True):
            yield name, self.cycle[low:high], self.values[low:high]

    def complete(self) -> Array:
        """Return a mask of the rows without missing features, (N,)."""
        return np.asarray(np.isfinite(self.values).all(axis=1))

    def skip(self, first: int) -> FeatureTable:
        """Return the table without the first cycles of every device (wear-in)."""
        first = checks.integer("first", first, 0)
        keep = np.concatenate([np.arange(len(cycles)) >= first for _, cycles, _ in self.devices()])
        if not keep.any():
            raise InvalidValueError(f"skip: {first} leaves no cycle; found {len(self)} rows")
        notes = {**self.notes, "skipped_cycles": first}
        return FeatureTable.build(
            np.asarray(self.names)[self.device[keep]], self.cycle[keep], self.values[keep],
            rejected=self.rejected, notes=notes,
            conditions={name: values[keep] for name, values in self.conditions.items()},
        )  # fmt: skip

    def digest(self) -> str:
        """Return the SHA-256 of devices, cycles, values and conditions."""
        result = hashlib.sha256()
        for array in (self.device.astype("<i8"), self.cycle.astype("<i8"), self.values):
            result.update(np.ascontiguousarray(array).tobytes())
        for name, values in self.conditions.items():
            result.update(name.encode() + values.tobytes())
        return result.hexdigest()

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas table: device, cycle, the four features and conditions in SI units."""
        import pandas as pd

        data = {"device": np.asarray(self.names)[self.device], "cycle": self.cycle}
        data |= dict(zip(FEATURES, self.values.T, strict=True))
        return pd.DataFrame({**data, **self.conditions})

    def frame(self) -> pd.DataFrame:
        """Return ``to_pandas()``; the former name of that method."""
        warn_renamed("FeatureTable.frame", "FeatureTable.to_pandas", stacklevel=2)
        return self.to_pandas()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the columns of ``to_pandas`` in a capsule: ``polars.DataFrame(features)``."""
        return self.to_pandas().__arrow_c_stream__(requested_schema)


def to_y(values: Array, scales: tuple[Scale, ...] = PUBLISHED) -> Array:
    """Return features (…, 4) on scales; by default log10 of r_hrs, the others unchanged."""
    return np.stack([scale.y(values[..., f]) for f, scale in enumerate(scales)], axis=-1)


def from_y(y: Array, scales: tuple[Scale, ...] = PUBLISHED) -> Array:
    """Return features in ohm and V, the inverse of ``to_y``."""
    return np.stack([scale.feature(y[..., f]) for f, scale in enumerate(scales)], axis=-1)


def row_normals(seed: int, count: int, stream: Stream) -> Array:
    """Return a standard normal number for each of ``count`` rows, float64."""
    rows = np.arange(count, dtype=np.uint32)
    zero = np.zeros_like(rows)
    return np.asarray(normals(words(seed, (rows, zero), zero, stream))[0], np.float64)


def _sets_at_positive_voltage(rows: Array) -> bool:
    """Return True if u_set is positive and u_reset negative in most rows that have them."""
    voltages = [column[np.isfinite(column)] for column in (rows[:, 1], -rows[:, 3])]
    return all(len(column) > 0 and (column > 0.0).mean() > 0.5 for column in voltages)


def _plausible(rows: Array) -> None:
    """Raise for values of wrong columns or units, which a fit would not detect."""
    with np.errstate(invalid="ignore"):
        for f in (0, 2):
            column = rows[:, f][np.isfinite(rows[:, f])]
            if len(column) == 0:
                raise InvalidValueError(f"{FEATURES[f]}: found no number in any row")
            if f == 0 and (column <= 0.0).any():
                raise InvalidValueError(
                    f"r_hrs: expected ohm above 0, found {int((column <= 0).sum())} rows at or "
                    "below 0"
                )
            middle = float(np.median(column))
            if middle < MIN_RESISTANCE:
                raise InvalidValueError(
                    f"{FEATURES[f]}: median {middle:.3g} ohm, expected at least "
                    f"{MIN_RESISTANCE:.0f}: if it is in kohm, call the column "
                    f"'{FEATURES[f]} [kohm]'; if it comes from loops, state the unit of "
                    "their current, such as 'current [uA]'"
                )
        both = np.isfinite(rows[:, 0]) & np.isfinite(rows[:, 2])
        swapped = rows[both, 0] < rows[both, 2]
        if swapped.mean() > 0.5:
            raise InvalidValueError(
                f"r_hrs: below r_lrs in {100 * swapped.mean():.0f} % of the rows; medians "
                f"{np.median(rows[both, 0]):.3g} and {np.median(rows[both, 2]):.3g} ohm"
            )
        for f, sign in ((1, "below"), (3, "above")):
            column = rows[:, f][np.isfinite(rows[:, f])]
            wrong = column >= 0.0 if f == 1 else column <= 0.0
            if len(column) and wrong.mean() > 0.5:
                raise InvalidValueError(
                    f"{FEATURES[f]}: expected u_set < 0 < u_reset, or u_set > 0 > u_reset; found "
                    f"{100 * wrong.mean():.0f} % of the rows not {sign} 0 V"
                )


def _without_stride(
    codes: Array, cycle: Array, notes: dict[str, object]
) -> tuple[Array, dict[str, object]]:
    """Return consecutive numbers if only every k-th cycle was read out, and notes that record k."""
    steps = np.diff(cycle)[np.diff(codes) == 0]
    if len(steps) == 0:
        return cycle, notes
    stride = int(np.gcd.reduce(steps))
    if stride <= 1:
        return cycle, notes
    return cycle // stride, {**notes, "cycles_between_readouts": stride}


def read_frame(
    frame: pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    *,
    u_set: AssumedVoltage = None,
    u_reset: AssumedVoltage = None,
    notes: Mapping[str, object] | None = None,
) -> FeatureTable:
    """Return a feature table from a frame with columns device, cycle, r_hrs, r_lrs, u_set, u_reset.

    ``u_set`` and ``u_reset`` replace missing columns of switching voltages (endurance tables): a
    constant (V), or (mean, standard deviation).
    """
    found = find_columns(frame.columns, columns)
    need(found, ("r_hrs", "r_lrs"), frame.columns)

    def column(name: str) -> Array:
        source, scale = found[name]
        return scale * numeric(frame[source], source)

    count = len(frame)
    values = np.full((count, 4), np.nan)
    given = {"u_set": u_set, "u_reset": u_reset}
    assumed: dict[str, Any] = {}
    for f, name in enumerate(FEATURES):
        if name in found:
            values[:, f] = column(name)
            continue
        if given[name] is None:
            raise InvalidValueError(
                f"{name}: no such column; pass {name}=V, or {name}=(mean, standard deviation) "
                f"(--{name.replace('_', '-')} V, or mean,deviation)"
            )
        mean, spread = assumed_voltage(name, given[name])
        z = np.zeros(count)
        if spread:
            z = row_normals(f, count, Stream.POPULATION)
        values[:, f] = mean + spread * z
        assumed[name] = [mean, spread]
    device = frame[found["device"][0]] if "device" in found else np.zeros(count, int)
    cycle = column("cycle") if "cycle" in found else counted(grouped(device)[1], count)
    extra = {"assumed_voltages": assumed} if assumed else {}
    return FeatureTable.build(
        device, cycle, values, notes={**(notes or {}), **extra},
        conditions=conditions_in(frame, found),
    )  # fmt: skip


def assumed_voltage(name: str, value: object) -> tuple[float, float]:
    """Return mean and standard deviation (V) of a voltage that was not measured."""
    found = np.atleast_1d(checks.real_array(name, value)).astype(np.float64)
    if found.shape not in ((1,), (2,)) or not np.isfinite(found).all():
        raise InvalidValueError(f"{name}: expected V, or (mean, deviation), found {found}")
    return float(found[0]), float(found[1]) if len(found) == 2 else 0.0
