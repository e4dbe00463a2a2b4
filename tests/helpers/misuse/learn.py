"""Recipes of reading measurements and learning from them."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synfab import learn
from synfab.learn.comparison.properties import PROPERTIES
from synfab.learn.readers.registry import FORMATS

from .core import cells, model, recipe
from .harness import RECIPES

DEVICES, CYCLES = 3, 40


@cache
def table() -> learn.FeatureTable:
    """Features of a few cells."""
    array, rows = cells(DEVICES), []
    for _ in range(CYCLES):
        found = array.features
        rows.append(np.stack([found[n] for n in ("r_hrs", "u_set", "r_lrs", "u_reset")], axis=1))
        array.apply_voltage(-2.0).apply_voltage(1.6)
    values = np.stack(rows, axis=1).reshape(-1, 4)
    device = np.repeat(np.arange(DEVICES), CYCLES)
    return learn.FeatureTable.build(device, np.tile(np.arange(CYCLES), DEVICES), values)


@cache
def loops() -> tuple[Any, Any]:
    """Voltages (point,) and currents (device, cycle, point) of a few cells."""
    corners = [0.0, -1.5, 0.0, 1.6, 0.0]
    voltage = np.interp(np.linspace(0, 4, 121), range(5), corners)
    array = cells(2)
    current = [
        [array.apply_voltage(u).current(u) for u in voltage] for _ in range(6)
    ]  # fmt: skip
    return voltage, np.array(current).transpose(2, 0, 1)


@cache
def sweeps() -> learn.Sweeps:
    return learn.sweeps_from_arrays(*loops())


@cache
def comparison() -> learn.Comparison:
    return learn.compare(model(), table())


def measured(folder: Path) -> Path:
    path = folder / "kept.csv"
    if not path.exists():
        table().to_pandas().to_csv(path, index=False)
    return path


@RECIPES.add("synfab.learn.FeatureTable")
def _(_folder: Path) -> Any:
    known = table()
    return learn.FeatureTable, {
        "names": known.names, "device": known.device, "cycle": known.cycle,
        "values": known.values, "rejected": {}, "notes": {}, "conditions": {},
    }  # fmt: skip


@RECIPES.add("synfab.learn.FeatureTable.build")
def _(_folder: Path) -> Any:
    known = table()
    return learn.FeatureTable.build, {
        "device": known.device, "cycle": known.cycle, "values": known.values,
        "rejected": {}, "notes": {}, "conditions": None,
    }  # fmt: skip


recipe("synfab.learn.FeatureTable.skip", lambda _: table().skip, first=1)


@RECIPES.add("synfab.learn.Sweeps")
def _(_folder: Path) -> Any:
    def used(open_devices: Any, notes: Any) -> None:
        found = learn.Sweeps(open_devices, notes)
        found.mirrored()
        list(found.devices())

    return used, {"open_devices": sweeps().open_devices, "notes": {}}


@RECIPES.add("synfab.learn.sweeps_from_arrays")
def _(_folder: Path) -> Any:
    def used(voltage: Any, current: Any, names: tuple[str, ...] | None) -> None:
        list(learn.sweeps_from_arrays(voltage, current, names).devices())

    voltage, current = loops()
    return used, {"voltage": voltage, "current": current, "names": None}


RECIPES.add("synfab.learn.find_drift")(lambda _: (learn.find_drift, {"features": table()}))
RECIPES.add("synfab.learn.detrended")(lambda _: (learn.detrended, {"features": table()}))


@RECIPES.add("synfab.learn.extract_features")
def _(_folder: Path) -> Any:
    return learn.extract_features, {
        "sweeps": sweeps(), "conduction": None, "u_0": 0.2, "reset": "onset",
    }  # fmt: skip


RECIPES.add("synfab.learn.fit_conditions")(lambda _: (learn.fit_conditions, {"features": table()}))
RECIPES.add("synfab.learn.fit_conduction")(
    lambda _: (learn.fit_conduction, {"sweeps": sweeps(), "u_0": 0.2, "reset": "onset"})
)


@RECIPES.add("synfab.learn.fit")
def _(_folder: Path) -> Any:
    return learn.fit, {
        "features": table(), "sweeps": None, "order": 1, "components": 1,
        "conduction": model().conduction, "skip": 0, "detrend": False, "seed": 0, "name": "name",
    }  # fmt: skip


def series() -> list[Any]:
    return [(np.arange(60), np.random.default_rng(1).normal(size=(60, 4)))]


recipe("synfab.learn.fit_history", lambda _: learn.fit_history, series=series(), order=1, highest=3)
recipe("synfab.learn.fit_marginals", lambda _: learn.fit_marginals, x=series()[0][1])


@RECIPES.add("synfab.learn.fit_population")
def _(_folder: Path) -> Any:
    parameters = np.random.default_rng(1).normal(size=(30, 8))
    return learn.fit_population, {
        "parameters": parameters, "errors": np.full(8, 0.1), "components": 1, "seed": 0,
    }  # fmt: skip


RECIPES.add("synfab.learn.compare")(
    lambda _: (
        learn.compare, {"model": model(), "features": table(), "sweeps": None, "seed": 0},
    )
)  # fmt: skip
RECIPES.add("synfab.learn.rare_states")(lambda _: (learn.rare_states, {"features": table()}))
RECIPES.add("synfab.learn.loop_noise")(lambda _: (learn.loop_noise, {"sweeps": sweeps()}))
recipe("synfab.learn.Comparison.result", lambda _: comparison().result, key="deaths", feature="")


@RECIPES.add("synfab.learn.register_property")
def _(_folder: Path) -> Any:
    def registered(entry: Any) -> None:
        known = list(PROPERTIES)
        try:
            learn.register_property(entry)
        finally:
            PROPERTIES[:] = known

    return registered, {"entry": PROPERTIES[0]}


for reader in ("read_any", "read_features"):

    @RECIPES.add(f"synfab.learn.{reader}")
    def _(folder: Path, reader: str = reader) -> Any:
        return getattr(learn, reader), {
            "source": measured(folder), "columns": None, "u_set": None, "u_reset": None,
            "allow_pickle": False,
        }  # fmt: skip


@RECIPES.add("synfab.learn.read_sweeps")
def _(_folder: Path) -> Any:
    voltage, current = loops()
    frame = pd.DataFrame({"voltage": np.tile(voltage, 6), "current": current[0].ravel()})
    return learn.read_sweeps, {"source": frame, "columns": None, "allow_pickle": False}


RECIPES.leave("only compare makes them", "synfab.learn.Counts", "synfab.learn.Verdict")
RECIPES.leave(
    "records of what was found, or checked where they are used",
    "synfab.learn.ConditionFit",
    *("synfab.learn.Comparison", "synfab.learn.ConductionFit", "synfab.learn.DeviceSweeps"),
    *("synfab.learn.FitResult", "synfab.learn.HistoryFit", "synfab.learn.MarginalFit"),
    *("synfab.learn.PopulationFit", "synfab.learn.Property", "synfab.learn.Result"),
    *("synfab.learn.Relaxation", "synfab.learn.TrapFit"),
)


@cache
def reads() -> pd.DataFrame:
    """Reads of a few cells at two times after programming."""
    g = np.tile(np.linspace(1e-5, 1e-4, 24), 2)
    moved = 1e-7 * np.random.default_rng(1).normal(size=48)
    return pd.DataFrame({
        "device": np.tile(np.arange(24), 2), "time": np.repeat([1.0, 100.0], 24),
        "conductance": g + moved, "programmed": g,
    })  # fmt: skip


@RECIPES.add("synfab.learn.read_relaxation")
def _(_folder: Path) -> Any:
    return learn.read_relaxation, {
        "source": reads(), "columns": None, "rate": None, "temperature": 300.0,
    }  # fmt: skip


@RECIPES.add("synfab.learn.fit_traps")
def _(_folder: Path) -> Any:
    return learn.fit_traps, {
        "data": learn.read_relaxation(reads()), "nodes": 2, "per_decade": 1, "replicates": 20,
        "seed": 0,
    }  # fmt: skip


@RECIPES.add("synfab.learn.register_format", skip=("read", "recognises"))
def _(_folder: Path) -> Any:
    def registered(**options: Any) -> None:
        known = dict(FORMATS)
        try:
            learn.register_format(**options)
        finally:
            FORMATS.clear()
            FORMATS.update(known)

    registered.__signature__ = inspect.signature(learn.register_format)  # type: ignore[attr-defined]
    return registered, {
        "name": "toy", "read": pd.read_csv, "suffixes": (".toy",), "recognises": None,
        "packages": (), "runs_code": False,
    }  # fmt: skip
