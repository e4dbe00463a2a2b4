"""Recipes of cells, models and files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import synfab as sf
from synfab.io.checkpoints import Run
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.population import Population

from .harness import RECIPES

_numbers = itertools.count()


def fresh(folder: Path, ending: str = "") -> Path:
    """Return a path where nothing is."""
    return folder / f"new-{next(_numbers)}{ending}"


@cache
def model() -> sf.CellModel:
    return sf.load_model()


def cells(*shape: int, **options: Any) -> sf.CellArray:
    return sf.CellArray(model(), shape or (3, 4), seed=1, **options)


def recipe(
    name: str, make: Callable[[Path], Callable[..., Any]], skip: tuple[str, ...] = (), **valid: Any
) -> None:
    """Register a callable whose valid arguments are always the same."""
    RECIPES.add(name, skip=skip)(lambda folder: (make(folder), dict(valid)))


# ---- cells ---------------------------------------------------------------------------------------


@RECIPES.add("synfab.CellArray")
def _(_folder: Path) -> Any:
    return sf.CellArray, {
        "model": model(), "shape": (3, 4), "seed": 1, "order": None, "engine": "auto",
        "history": "float32", "first_cell": 0, "device": None,
        "condition": None,
    }  # fmt: skip


def method(name: str, **valid: Any) -> None:
    recipe(f"synfab.CellArray.{name}", lambda _: getattr(cells(), name), **valid)


method("__getitem__", key=1)
method("__matmul__", v=[0.1, 0.1, 0.1, 0.1])
method("conductance", u=0.2)
method("current", u=0.2)
method("matvec", v=[0.1, 0.1, 0.1, 0.1], noise=True, bandwidth=1e8, number=None)
method("read", u=0.2, bandwidth=1e8, noise=True, number=None, interval=None, temperature=300.0)
method("readout_noise", count=2, number=None, first_row=0)
method("renew", first_cell=0)
method("set_conductance", g=2e-5, where=None)


@RECIPES.add("synfab.CellArray.save")
def _(folder: Path) -> Any:
    return cells().save, {"path": folder / "cells.npz"}


@RECIPES.add("synfab.CellArray.load")
def _(folder: Path) -> Any:
    path = folder / "kept.npz"
    if not path.exists():
        cells().save(path)
    return sf.CellArray.load, {"path": path}


recipe("synfab.cells.view.CellView.current", lambda _: cells()[0].current, u=0.2)
recipe("synfab.cells.view.CellView.conductance", lambda _: cells()[0].conductance, u=0.2)
RECIPES.leave("only CellArray makes views", "synfab.cells.view.CellView")


@RECIPES.add("synfab.adc")
def _(_folder: Path) -> Any:
    return sf.adc, {"i": [1e-6, 2e-6], "i_min": 0.0, "i_max": 1e-5, "bits": 4}


@cache
def compiled() -> None:
    """Compile what masked pulses need: that takes minutes on a busy machine, and has no limit."""
    cells().apply_voltage(-2.0, where=True)


@RECIPES.add("synfab.CellArray.apply_voltage")
def _(_folder: Path) -> Any:
    compiled()
    return cells().apply_voltage, {"u": -2.0, "where": None}


@RECIPES.add("synfab.CellArray.apply_program")
def _(_folder: Path) -> Any:
    return cells().apply_program, {"voltages": [-2.0, 1.0], "read": 0.2, "bandwidth": 1e7}


# ---- models --------------------------------------------------------------------------------------


@RECIPES.add("synfab.load_model")
def _(folder: Path) -> Any:
    path = folder / "kept.json"
    if not path.exists():
        sf.save_model(model(), path)
    return sf.load_model, {"source": path}


@RECIPES.add("synfab.save_model")
def _(folder: Path) -> Any:
    return sf.save_model, {"model": model(), "path": folder / "model.json"}


@RECIPES.add("synfab.CellModel")
def _(_folder: Path) -> Any:
    known = model()
    return sf.CellModel, {
        "name": "name", "marginals": known.marginals, "histories": dict(known.histories),
        "population": known.population, "conduction": known.conduction,
        "provenance": {"source": "a test"}, "conditions": None,
    }  # fmt: skip


@RECIPES.add("synfab.CellModel.at")
def _(_folder: Path) -> Any:
    known = model()
    effect = sf.model.Conditions(("compliance",), [1e-4], [[5e-5, 2e-4]], ("log",), [[0, 0, 9, 0]])
    conditioned = sf.CellModel(
        "name", known.marginals, known.histories, known.population, known.conduction,
        conditions=effect,
    )  # fmt: skip

    def used(compliance: float) -> sf.CellModel:
        return conditioned.at(compliance=compliance)

    return used, {"compliance": 1e-4}


recipe("synfab.CellModel.history", lambda _: model().history, order=1)
recipe("synfab.CellModel.to_y", lambda _: model().to_y, features=np.array([[1e5, -1.0, 4e3, 0.7]]))
recipe(
    "synfab.CellModel.to_features", lambda _: model().to_features,
    y=np.array([[5.0, -1.0, 4e3, 0.7]]),
)  # fmt: skip


recipe(
    "synfab.model.scale.Scale", lambda _: sf.model.Scale, kind="log", sign=1.0, shift=0.0,
    low=1.0, high=1e9,
)  # fmt: skip
recipe("synfab.model.scale.Scale.feature", lambda _: sf.model.Scale("log").feature, y=4.0)
recipe("synfab.model.scale.Scale.y", lambda _: sf.model.Scale("log").y, feature=1e4)
recipe("synfab.model.scale.Scale.slope", lambda _: sf.model.Scale("log").slope, y=4.0)
recipe(
    "synfab.model.wear.WearIn", lambda _: sf.model.WearIn, cycles=[5.0],
    shift=[[0.1, 0.2, 0.3, 0.4]], log_spread=[[0.0, 0.1, 0.0, 0.1]],
)  # fmt: skip
recipe(
    "synfab.model.wear.Failure", lambda _: sf.model.Failure, scale=1e4, shape=1.5, share=0.5,
    stuck_hrs=0.5,
)  # fmt: skip
for name in ("shift_at", "spread_at"):
    recipe(
        f"synfab.model.wear.WearIn.{name}",
        lambda _, name=name: getattr(
            sf.model.WearIn([5.0], [[0.1, 0.2, 0.3, 0.4]], [[0.0, 0.1, 0.0, 0.1]]), name
        ),
        n=10,
    )
recipe("synfab.model.wear.Failure.survival", lambda _: sf.model.Failure(1e4).survival, n=100)


def traps() -> Any:
    return sf.model.Traps([1e-3, 1.0, 1e3], 0.5, [0.0], [1e-6])


recipe(
    "synfab.model.traps.Traps", lambda _: sf.model.Traps, time_constants=[1e-3, 1.0, 1e3],
    spectrum=0.5, conductance=[0.0, 1e-4], amplitude=[1e-6, 2e-6], trap_spread=0.5,
    cell_spread=0.1, initial_occupancy=0.4, occupancy=0.5, attempt_time=1e-12,
)  # fmt: skip
recipe("synfab.model.traps.Traps.amplitude_at", lambda _: traps().amplitude_at, g=1e-5)
recipe("synfab.model.traps.Traps.raising_at", lambda _: traps().raising_at, g=1e-5)
recipe(
    "synfab.model.traps.Traps.unit_density", lambda _: traps().unit_density, frequency=1.0,
    temperature=350.0,
)  # fmt: skip
recipe("synfab.model.traps.Traps.times_at", lambda _: traps().times_at, temperature=350.0)
recipe(
    "synfab.model.traps.Traps.remaining", lambda _: traps().remaining, seconds=1.0,
    temperature=350.0,
)  # fmt: skip
recipe(
    "synfab.model.traps.Traps.mean_change", lambda _: traps().mean_change, seconds=1.0, g=1e-5,
    temperature=350.0,
)  # fmt: skip
recipe(
    "synfab.model.traps.Traps.autocovariance", lambda _: traps().autocovariance, lag=1.0, g=1e-5,
    temperature=350.0,
)  # fmt: skip
recipe(
    "synfab.model.traps.Traps.spectral_density", lambda _: traps().spectral_density,
    frequency=1.0, g=1e-5, temperature=350.0,
)  # fmt: skip


def aging_cells() -> sf.CellArray:
    return sf.CellArray(model().replace(traps=traps()), (2, 4), seed=1)


recipe("synfab.CellArray.wait", lambda _: aging_cells().wait, seconds=1.0, temperature=350.0)
recipe(
    "synfab.CellArray.trace", lambda _: aging_cells().trace, seconds=0.1, rate=100.0, cells=(1, 2),
    u=0.2, noise=True, bandwidth=None, temperature=350.0,
)  # fmt: skip


@RECIPES.add("synfab.CellModel.replace")
def _(_):
    def used(name: str) -> sf.CellModel:
        return model().replace(name=name)

    return used, {"name": "renamed"}


@RECIPES.add("synfab.model.history.History")
def _(_folder: Path) -> Any:
    return History, {"innovation": np.eye(4), "lags": np.full((1, 4, 4), 0.1)}


for name in ("autocovariance", "autocorrelation"):
    recipe(
        f"synfab.model.history.History.{name}",
        lambda _, name=name: getattr(model().history(1), name),
        n_lags=2,
    )


@RECIPES.add("synfab.model.population.Population")
def _(_folder: Path) -> Any:
    return Population, {"weights": [1.0], "means": np.ones((1, 8)), "factors": np.eye(8)[None]}


recipe(
    "synfab.model.population.Population.component",
    lambda _: model().population.component,
    parameters=np.ones((3, 8)),
)


@RECIPES.add("synfab.model.conduction.Conduction")
def _(_folder: Path) -> Any:
    return Conduction, {
        "hhrs": [1e-6, 0.0], "llrs": [1e-4, 0.0], "eta": 2.0, "u_max": 1.5, "u_0": 0.2,
        "voltage_range": (-1.5, 1.5),
    }  # fmt: skip


for name in ("current", "slope"):
    recipe(
        f"synfab.model.conduction.Conduction.{name}",
        lambda _, name=name: getattr(model().conduction, name),
        r=0.5,
        u=0.2,
    )

recipe(
    "synfab.model.conduction.Conduction.conductance",
    lambda _: model().conduction.conductance,
    r=0.5,
)
RECIPES.leave(
    "arithmetic on numbers and arrays of any library",
    "synfab.model.conduction.Conduction.state",
)


# ---- checkpoints ---------------------------------------------------------------------------------


@RECIPES.add("synfab.Checkpoints")
def _(folder: Path) -> Any:
    return sf.Checkpoints, {
        "folder": fresh(folder), "interval": 1.0, "keep": 2, "resume": False,
    }  # fmt: skip


@RECIPES.add("synfab.Checkpoints.open")
def _(folder: Path) -> Any:
    def opened(settings: Any) -> None:
        with sf.Checkpoints(fresh(folder)).open(settings):
            pass

    return opened, {"settings": {"a": 1}}


def run(folder: Path) -> Run:
    place = fresh(folder)
    place.mkdir()
    result = Run(sf.Checkpoints(place, interval=0.0), {}, 0, None)
    result.save(1, {"a": np.ones(3)})
    return result


recipe("synfab.io.checkpoints.Run.tick", lambda f: run(f).tick, step=2, state=lambda: {"a": 1})
recipe("synfab.io.checkpoints.Run.save", lambda f: run(f).save, step=2, state={"a": 1})
recipe("synfab.io.checkpoints.Run.has", lambda f: run(f).has, step=1)
recipe("synfab.io.checkpoints.Run.load", lambda f: run(f).load, step=1)
RECIPES.leave("only Checkpoints.open makes runs", "synfab.io.checkpoints.Run")


@RECIPES.add("synfab.CellArray.to_xarray")
def _(_folder: Path) -> Any:
    return cells().to_xarray, {"currents": np.zeros((3, 4)), "u": 0.2}


recipe("synfab.CellArray.to_pandas", lambda _: cells().to_pandas, u=0.2)
