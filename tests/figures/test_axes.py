"""Every function that draws accepts axes of the caller, and leaves pyplot as it was."""

import functools
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from trap_models import model_with_traps

import synfab as sf
from synfab import figures
from synfab.figures import cells, circuit, crossbar, learn, time
from synfab.figures.panels import new_figure
from synfab.learn.landmarks import VALID
from synfab.learn.loops import Loops
from synfab.learn.sweeps import DeviceSweeps
from synfab.learn.traps.data import Changes, Relaxation


def bar():
    return sf.Crossbar(sf.CellArray("published", (6, 5), seed=3), 5.0)


def solution():
    return bar().solve(np.linspace(-0.2, 0.2, 5))


def programmed():
    return bar().program(np.full((6, 5), 8e-5), max_passes=3)


def features(devices=4, cycles=30):
    spread = np.random.default_rng(1).lognormal(0.0, 0.1, (4, devices, cycles))
    middles = zip(sf.FEATURES, (1e5, -0.8, 4e3, 0.7), spread, strict=True)
    return {name: middle * values for name, middle, values in middles}


@functools.cache
def compared():
    values = np.stack(list(features(10, 40).values()), axis=-1).reshape(-1, 4)
    table = sf.learn.FeatureTable.build(
        np.repeat(np.arange(10), 40), np.tile(np.arange(40), 10), values
    )
    return sf.learn.compare(sf.load_model(), table)


@functools.cache
def loops():
    up = np.linspace(0.0, 1.5, 61)
    sweep = np.concatenate([-up, -up[-2::-1], up[1:], up[-2::-1]])
    array = sf.CellArray("published", 1, seed=2).apply_voltage(1.5)
    currents = array.apply_program(np.tile(sweep, 3), read="pulse", noise=False)[:, 0]
    offsets = len(sweep) * np.arange(4)
    device = DeviceSweeps("one", np.arange(3), offsets, np.tile(sweep, 3), np.float64(currents))
    found = Loops(device, 0.2, sf.load_model().conduction)
    assert (found.reasons == VALID).sum() == 3
    return found


def changes():
    times, g = np.array([1e-2, 1.0]), np.linspace(60e-6, 200e-6, 30)
    return Relaxation((Changes(300.0, 0.0, times, g, np.zeros((30, 2))),))


def waveforms():
    t = np.linspace(0.0, 1.0, 5)
    return [sf.circuit.Waveforms("tran", {"time": t, "v": t, "i": t}, {"v": "V", "i": "A"})]


# What each function draws, and the number of its panels.
DRAWN = {
    cells.iv_loops: (lambda: (np.zeros(9), np.zeros((2, 9, 5))), 5),
    cells.feature_series: (lambda: (features(),), 4),
    cells.feature_distributions: (lambda: (features(),), 4),
    cells.autocorrelation: (lambda: (np.ones((40, 4, 3)), sf.load_model(), 2), 4),
    cells.device_map: (
        lambda: (np.float64(sf.CellArray("published", 99, seed=1).device_parameters),
                 sf.load_model()), 3),
    circuit.waveforms: (lambda: (waveforms(),), 2),
    crossbar.maps: (lambda: (solution(),), 2),
    crossbar.ir_drop: (lambda: (solution(),), 2),
    crossbar.disturb: (lambda: (bar().write(rows=2, columns=3, voltage=-1.5),), 2),
    crossbar.programming: (lambda: (programmed(),), 3),
    learn.extracted_loops: (lambda: (loops(), 2), 2),
    learn.distributions: (lambda: (compared(),), 4),
    learn.quantile_plots: (lambda: (compared(),), 4),
    learn.autocorrelations: (lambda: (compared(),), 16),
    learn.device_levels: (lambda: (compared(),), 4),
    time.relaxation: (lambda: (model_with_traps(), [8e-5], np.logspace(0, 3, 4)), 2),
    time.noise_spectrum: (lambda: (model_with_traps(), 8e-5), 1),
    time.retention: (lambda: (model_with_traps(), 8e-5, 1e-5), 2),
    time.relaxation_fit: (lambda: (model_with_traps(), changes()), 2),
}  # fmt: skip
# Fewer cells than by default.
OPTIONS = {time.retention: {"cells": 50}, time.noise_spectrum: {"cells": 8, "seconds": 2.0}}
SINGLE = {time.noise_spectrum}
MANY = [draw for draw in DRAWN if draw not in SINGLE]


@pytest.fixture(autouse=True)
def few_cells(monkeypatch):
    monkeypatch.setattr(time, "CELLS", 50)


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    yield
    plt.close("all")


def test_every_public_function_that_draws_is_tried():
    modules = [importlib.import_module(f"synfab.figures.{info.name}")
               for info in pkgutil.iter_modules(figures.__path__)]  # fmt: skip
    public = {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == module.__name__
        and str(inspect.signature(function).return_annotation) in ("Figure", "Axes")
    }  # fmt: skip
    assert public == set(DRAWN)


def drawn(draw, **options):
    made, count = DRAWN[draw]
    return draw(*made(), **OPTIONS.get(draw, {}), **options), count


@pytest.mark.parametrize("draw", MANY, ids=lambda draw: draw.__name__)
def test_without_axes_a_notebook_shows_the_figure_and_pyplot_does_not_know_it(draw):
    figure, _ = drawn(draw)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", MANY, ids=lambda draw: draw.__name__)
def test_axes_of_the_caller_are_drawn_on(draw):
    mine = plt.figure()
    axes = mine.subfigures(1, 2)[0].subplots(1, DRAWN[draw][1], squeeze=False)
    figure, count = drawn(draw, axes=axes)
    assert figure is mine
    assert axes.size == count
    assert all(axis.has_data() for axis in axes.flat)
    assert plt.get_fignums() == [mine.number]
    assert plt.gcf() is mine


def test_a_single_panel_takes_and_returns_ax():
    for draw in SINGLE:
        mine, ax = plt.subplots()
        assert drawn(draw, ax=ax)[0] is ax
        assert ax.has_data()
        assert plt.get_fignums() == [mine.number]
        alone, _ = drawn(draw)
        assert isinstance(alone, Axes)
        assert len(plt.get_fignums()) == 2  # notebooks show figures of pyplot


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_axes_are_named_in_the_signature(draw):
    name = "ax" if draw in SINGLE else "axes"
    parameter = inspect.signature(draw).parameters[name]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is None


def test_another_number_of_axes_is_refused():
    _, axes = plt.subplots(1, 3)
    with pytest.raises(sf.InvalidValueError, match="axes: expected 2 Axes, found 3"):
        crossbar.maps(solution(), axes=axes)
    with pytest.raises(sf.InvalidTypeError, match="axes: expected Axes of Matplotlib, found str"):
        crossbar.maps(solution(), axes="left")
    with pytest.raises(sf.InvalidTypeError, match="ax: expected Axes of Matplotlib, found Figure"):
        drawn(time.noise_spectrum, ax=plt.figure())


def test_one_axes_is_enough_for_one_panel():
    figure, ax = plt.subplots()
    found, axes = new_figure(1, 1, (4.0, 3.0), ax)
    assert found is figure
    assert axes[0, 0] is ax
