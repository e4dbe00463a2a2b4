"""Examples in docstrings run and give what they show; the public names without one are listed."""

import doctest
import importlib
import inspect

import numpy as np
import pytest
from misuse.harness import public_callables

import synfab as sf

# Classes whose methods have examples, too; elsewhere the example of the class shows them.
BY_METHOD = ("synfab.CellArray", "synfab.Crossbar", "synfab.CellModel", "synfab.crossbar.Crossbar")
# Packages whose examples need an extra.
EXTRAS = {"synfab.torch": "torch", "synfab.jax": "jax", "synfab.cluster": "distributed"}


def public_names():
    """Public functions and classes, and the methods of the classes in ``BY_METHOD``."""
    for name in sorted(set(public_callables())):
        owner, _, method = name.rpartition(".")
        if method.startswith("__") or owner in BY_METHOD or not is_class(owner):
            yield name


def found(name):
    first, *rest = name.split(".")
    thing, path = importlib.import_module(first), first
    for part in rest:
        path = f"{path}.{part}"
        # A function before the module of the same name, such as ``synfab.learn.fit``.
        thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(path)
    return thing


def is_class(name):
    return inspect.isclass(found(name))


def has_example(name):
    return ">>>" in (found(name).__doc__ or "")


# Names without an example, by reason. Remove what you document.
WITHOUT = {
    # Results: the example of the function that returns them shows them.
    *("circuit.CrossbarRun", "circuit.Netlist", "circuit.Waveforms"),
    *("circuit.Waveforms.__getitem__", "crossbar.Circuit", "crossbar.Gradient", "crossbar.Mapping"),
    *("crossbar.Outcome", "crossbar.Programming", "crossbar.Solution", "crossbar.Wires"),
    *(
        "crossbar.Write",
        "jax.Chip",
        "jax.Programmed",
        "learn.Comparison",
        "learn.ConditionFit",
        "learn.ConductionFit",
    ),
    *("learn.DeviceSweeps", "learn.FitResult", "learn.HistoryFit", "learn.MarginalFit"),
    *("learn.PopulationFit", "learn.Property", "learn.Relaxation", "learn.Result", "learn.Sweeps"),
    *("learn.Counts", "learn.TrapFit", "learn.Verdict", "simulate.Estimate", "io.checkpoints.Run"),
    # Operators: the methods that they call have examples.
    "jax.CrossbarLinear.__call__",
    *("CellArray.__matmul__", "cluster.ShardedCellArray.__matmul__"),
    "compat.CellArrayCPU.__matmul__",
    # Names of the published package, whose documentation describes them.
    *("compat.ADC", "compat.CellArrayCPU", "compat.HRS", "compat.I", "compat.Iread", "compat.LRS"),
    *("compat.UR", "compat.US", "compat.applyVoltage", "compat.load_params"),
    # Other software, a cluster or a browser is needed; blocks of the guides run them.
    *("circuit.build_osdi", "circuit.find_ngspice", "circuit.run_crossbar", "circuit.run_ngspice"),
    *("circuit.export_xschem", "circuit.read_raw"),
    *("cluster.ShardedCellArray", "explore.page.serve"),
    # Steps of `fit` and parts of models, which users rarely call.
    *("CellModel.at", "learn.fit_conditions", "learn.fit_conduction", "learn.fit_history"),
    *("learn.fit_marginals", "learn.fit_population", "learn.fit_traps", "learn.loop_noise"),
    *("model.conduction.Conduction", "model.history.History", "model.population.Population"),
    *("model.wear.Failure", "model.wear.WearIn", "crossbar.network_bytes"),
    # Long runs, files of measurements and registration: the guides have the examples.
    *("Checkpoints", "learn.read_any", "learn.read_relaxation", "learn.register_format"),
    *("learn.register_property", "report.save_report"),
    *("crossbar.Crossbar.gradient", "jax.read", "jax.seed_words", "jax.wait"),
    *("torch.CrossbarConv1d", "torch.CrossbarConv2d", "torch.CrossbarConv3d"),
    *("torch.CrossbarConvTranspose1d", "torch.CrossbarConvTranspose2d"),
    *("torch.CrossbarConvTranspose3d", "torch.CrossbarLayer", "torch.LayerOptions"),
    "torch.PeripheralCosts",
    *("torch.PulsedSGD", "torch.bake", "torch.calibrate", "torch.calibrate_drift"),
    *("torch.compensate_drift", "torch.conversion_report", "torch.default_window"),
    *("torch.effective_conductance", "torch.hardware_aware", "torch.measure_errors"),
    *("torch.monte_carlo", "torch.register_layer", "torch.restore_training"),
    *("torch.training_state", "torch.wired_currents", "torch.StochasticPulseSGD"),
    *("torch.MixedPrecisionSGD", "torch.TikiTaka", "torch.TikiTakaV2"),
}

NAMES = list(public_names())
WITH = [name for name in NAMES if has_example(name)]


def test_names_without_an_example_are_listed_with_a_reason():
    assert {name.removeprefix("synfab.") for name in NAMES} - {
        name.removeprefix("synfab.") for name in WITH
    } == WITHOUT


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH)
def test_an_example_gives_what_it_shows(name, tmp_path, monkeypatch):
    for package, needed in EXTRAS.items():
        if name.startswith(f"{package}."):
            pytest.importorskip(needed)
    thing = found(name)
    names = {"np": np, "sf": sf}  # as a user has them
    for package, needed in (("synfab.torch.", "torch"), ("synfab.jax.", "jax")):
        if name.startswith(package):
            names[needed] = importlib.import_module(needed)
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(thing.__doc__, names, name, None, 0)
    assert example.examples
    said = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)
