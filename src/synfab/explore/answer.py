"""What the page receives for its settings: the columns of figures, numbers and the script."""

from __future__ import annotations

import base64
import time
from typing import Any

import numpy as np

from synfab.common.types import Array
from synfab.explore.measurement import Measured, Shelf
from synfab.explore.numbers import histogram, numbers
from synfab.explore.script import Origin, script
from synfab.explore.settings import Settings
from synfab.explore.stages import Loops, Stages
from synfab.model.cell_model import FEATURES

# Settings that a panel of the page depends on. Those of no panel only change what the page shows.
DEVICES = ("u_min", "u_max", "cycles", "cells", "order", "seed", "measurement")
CROSSBAR = ("rows", "order", "seed", "u_max", "read_voltage", "log_time", "temperature")
PANELS = {
    "loops": DEVICES,
    "features": DEVICES,
    "map": CROSSBAR,
    "rows": (*CROSSBAR, "wire_resistance"),
    "time": ("seed", "temperature"),
}


def answer(
    stages: Stages, origin: Origin, shelf: Shelf, now: Settings, panels: tuple[str, ...]
) -> dict[str, Any]:
    """Return the columns of the panels, the numbers and the script for some settings.

    Raises
    ------
    FileFormatError
        The measurement is not loaded any more.
    """
    start, before = time.perf_counter(), stages.computed.copy()
    measured = shelf.get(now.measurement)
    loops, readout, real = stages.loops(now), stages.readout(now), stages.real(now)
    aging = stages.aging(now) if stages.model.traps is not None else None
    columns: dict[str, Any] = {}
    if "loops" in panels:
        columns["loops"] = _loop_columns(loops, measured)
    if "features" in panels:
        columns["features"] = _feature_columns(loops, measured)
    if "map" in panels:
        columns["map"] = {"rows": now.rows, "conductance": encoded(1e6 * readout.conductance)}
    if "rows" in panels:
        columns["rows"] = {"ideal": encoded(1e6 * readout.ideal), "real": encoded(1e6 * real)}
    if "time" in panels and aging is not None:
        columns["time"] = {
            "time": encoded(aging.times),
            "bands": [[encoded(1e6 * one) for one in band] for band in aging.bands.values()],
        }
    return {
        "columns": columns,
        "numbers": numbers(loops, readout, real, aging, measured),
        "measurement": None if measured is None else described(measured),
        "script": script(stages.model, origin, now, measured),
        "computed": list((stages.computed - before).keys()),
        "seconds": time.perf_counter() - start,
    }


def described(measured: Measured) -> dict[str, Any]:
    """Return the facts of a measurement that the page states."""
    return {"key": measured.key, "name": measured.name, "devices": measured.devices,
            "cycles": len(measured.features), "voltages": measured.voltages}  # fmt: skip


def encoded(values: Array) -> str:
    """Return numbers as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _loop_columns(loops: Loops, measured: Measured | None) -> dict[str, Any]:
    cycles, points, devices = loops.current.shape
    lines = [] if measured is None else [
        {"device": k, "voltage": encoded(u), "current": encoded(1e6 * i), "cycle": int(cycle)}
        for k, one in enumerate(measured.loops)
        for u, i, cycle in zip(one.voltage, one.current, one.cycle, strict=True)
    ]  # fmt: skip
    return {
        "devices": devices, "cycles": cycles, "points": points,
        "voltage": encoded(loops.voltage),
        "current": encoded(1e6 * loops.current.transpose(2, 0, 1)),
        "measured": lines,
    }  # fmt: skip


def _feature_columns(loops: Loops, measured: Measured | None) -> list[dict[str, str]]:
    found = []
    for f, name in enumerate(FEATURES):
        values = None if measured is None else measured.features[:, f]
        columns = histogram(name, loops.features[name], values)
        found.append({key: encoded(column) for key, column in columns.items()})
    return found
