"""Python scripts that reproduce the numbers of a page of the explorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from synfab.common.errors import InvalidValueError
from synfab.explore.measurement import Measured
from synfab.explore.settings import Settings
from synfab.explore.stages import (
    LEVEL_CELLS,
    LOG_TIMES,
    LOOP_POINTS,
    SET_VOLTAGE,
    SHOWN_DEVICES,
    levels,
)
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model


class Origin(NamedTuple):
    """How a script loads the model: an expression, and a comment on it."""

    expression: str
    comment: str = ""


def origin_of(model: CellModel, source: str | None) -> Origin:
    """Return how a script loads a model that was loaded from ``source``; None: not from a file.

    Raises
    ------
    InvalidValueError
        The source holds another model.
    """
    for place in ("published",) if source is None else (source,):
        loaded = load_model(place)
        if loaded.fingerprint == model.fingerprint:
            return Origin(f"sf.load_model({place!r})")
        condition = model.provenance.get("condition")
        if loaded.conditions is not None and isinstance(condition, Mapping):
            values = {str(name): float(value) for name, value in condition.items()}
            if loaded.at(**values).fingerprint == model.fingerprint:
                given = ", ".join(f"{name}={value!r}" for name, value in values.items())
                return Origin(f"sf.load_model({place!r}).at({given})")
    if source is not None:
        raise InvalidValueError(f"source: {source} holds another model")
    return Origin(
        'sf.load_model("model.json")', '  # written by sf.save_model(model, "model.json")'
    )


def script(
    model: CellModel, origin: Origin, now: Settings, measured: Measured | None = None
) -> str:
    """Return a complete script that prints the numbers of the page as JSON."""
    parts = [_head(model, origin), _loops(now), _crossbar(model, now)]
    if model.traps is not None:
        parts.append(_drift(model, now))
    if measured is not None:
        parts.append(_measurement(measured))
    parts.append("print(json.dumps(numbers, indent=1))\n")
    return "\n".join(parts)


def _head(model: CellModel, origin: Origin) -> str:
    return f'''"""Numbers of a page of `synfab explore`, in SI units."""

import json

import numpy as np

import synfab as sf

model = {origin.expression}{origin.comment}
assert model.fingerprint.startswith({model.fingerprint[:16]!r}), "the model has changed"
numbers = {{}}


def spread(values):
    values = np.asarray(values)
    return np.percentile(values[np.isfinite(values)], [5.0, 50.0, 95.0]).tolist()

'''


def _loops(now: Settings) -> str:
    return f"""# I-V loops of {now.cells} devices, {now.cycles} cycles
cells = sf.CellArray(model, ({now.cells},), order={now.order}, seed={now.seed})
corners = [0.0, {now.u_min!r}, 0.0, {now.u_max!r}, 0.0]
voltage = np.interp(np.linspace(0.0, 4.0, {LOOP_POINTS + 1}), range(5), corners)
features = {{name: [] for name in sf.FEATURES}}
currents = []
for _ in range({now.cycles}):
    for name, values in cells.features.items():
        features[name].append(np.asarray(values, np.float64))
    current = cells.apply_program(voltage, read="pulse", noise=False)
    # The compliance limits the current in the half of the SET.
    limited = np.maximum(current, -model.compliance)
    currents.append(np.where(voltage[:, None] < 0.0, limited, current))
for name, values in features.items():
    numbers[name] = spread(values)
shown = np.stack(currents)[:, :, :{SHOWN_DEVICES}]  # cycles, points, devices
numbers["currents"] = [float(shown.min()), float(shown.max())]
"""


def _crossbar(model: CellModel, now: Settings) -> str:
    wait = ""
    if model.traps is not None:
        wait = f"array.wait({now.seconds!r}, {now.temperature!r})\n"
    wires = "real = ideal\n"
    if now.wire_resistance:
        wires = (
            f"crossbar = sf.crossbar.Crossbar(array, wire_resistance={now.wire_resistance!r})\n"
            "real = np.asarray(crossbar.solve(v).currents)\n"
        )
    return f"""# Crossbar of cells in LRS, every second one RESET, read at {now.read_voltage:g} V
array = sf.CellArray(model, ({now.rows}, {now.rows}), order={now.order}, seed={now.seed})
where = np.indices(array.shape).sum(axis=0) % 2 == 1
array.apply_voltage({SET_VOLTAGE!r}).apply_voltage({now.u_max!r}, where=where)
{wait}v = np.full({now.rows}, {now.read_voltage!r})
ideal = np.asarray(array.matvec(v, noise=False))
{wires}numbers["row_current"] = float(ideal.mean())
numbers["wire_error"] = float(np.abs(real / ideal - 1.0).max())
"""


def _drift(model: CellModel, now: Settings) -> str:
    low, high, count = LOG_TIMES
    return f"""# Conductances (S) after {10.0**high:g} s at {now.temperature:g} K
times = np.logspace({low!r}, {high!r}, {count})
for k, g in enumerate({levels(model)!r}):
    cells = sf.CellArray(model, {LEVEL_CELLS}, seed={now.seed}).set_conductance(g)
    for step in np.diff(times, prepend=0.0):
        cells.wait(float(step), {now.temperature!r})
    numbers[f"drift_{{k}}"] = spread(model.conduction.conductance(cells.r))
"""


def _measurement(measured: Measured) -> str:
    columns = "" if measured.columns is None else f", columns={measured.columns!r}"
    read = f"sf.learn.read_features({measured.source!r}{columns})"
    if measured.loops:
        read = f"sf.learn.extract_features(sf.learn.read_sweeps({measured.source!r}{columns}))"
    return f"""# Measurement
table = {read}
for f, name in enumerate(sf.FEATURES):
    numbers[f"measured_{{name}}"] = spread(table.values[:, f])
"""
