"""Wrong contents of what is right outside: states, options of options, lists; and what it leaves.

``test_misuse.py`` replaces whole arguments; here one part of a state or of an option is replaced.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from misuse import circuit, crossbar
from misuse.values import VALUES

import synfab as sf
from synfab.circuit import Pulse, crossbar_netlist, run_crossbar, run_ngspice

torch = pytest.importorskip("torch")
layers = pytest.importorskip("misuse.torch_layers")

EACH = pytest.mark.parametrize("label", VALUES)


def refused(call, *arguments, **options):
    """Return what a call says that refuses its arguments; None: it takes them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(*arguments, **options)
    except sf.SynfabError as error:
        found = str(error)
    else:
        return None
    assert found.strip() == found != ""
    assert "\n" not in found
    return found


@EACH
def test_a_part_of_a_layers_state_that_is_wrong_is_one_line(label):
    layer = layers.linear()
    state = layer.get_extra_state()
    state["version"] = 1  # of earlier versions, whose content no digest vouches for
    del state["digest"]
    for name in state:
        found = refused(layer.set_extra_state, {**state, name: VALUES[label]()})
        assert found is None or "state_dict" in found or "seed" in found
    tile = state["tile 0"]
    for name in tile:
        wrong = {**state, "tile 0": {**tile, name: VALUES[label]()}}
        found = refused(layer.set_extra_state, wrong)
        assert found is None or name in found


@EACH
def test_a_part_of_an_optimizers_state_that_is_wrong_is_one_line(label):
    _, optimizer = layers.trained()
    state = optimizer.state_dict()
    for name in state:
        refused(optimizer.load_state_dict, {**state, name: VALUES[label]()})
    for layer, part in state["cells"].items():
        refused(optimizer.load_state_dict, {**state, "cells": {layer: VALUES[label]()}})
        for name in part:
            wrong = {**state, "cells": {layer: {**part, name: VALUES[label]()}}}
            refused(optimizer.load_state_dict, wrong)
    optimizer.load_state_dict(state)


@EACH
def test_a_refused_input_counts_as_no_readout(label):
    layer = layers.linear()
    layer(torch.ones(1, 3))
    before = layer.readout_number
    if refused(layer, VALUES[label]()) is not None:
        assert layer.readout_number == before


@EACH
def test_layers_take_no_value_of_another_kind_as_an_exception(label):
    network = layers.network()
    for own in (VALUES[label](), {"noise": VALUES[label]()}, {"layer": VALUES[label]()}):
        refused(sf.torch.convert, network, layers.model(), seed=1, exceptions={"0": own})
    steps = {"retries": VALUES[label]()}
    refused(sf.torch.monte_carlo, network, lambda _: 1.0, [1], programming=steps)


def test_a_layer_with_a_range_of_its_own_refuses_nan():
    layer = layers.linear(input_range=1.0)
    with pytest.raises(sf.InvalidValueError, match="input: expected finite numbers"):
        layer(torch.tensor([[0.1, float("nan"), 0.2]]))


def test_noise_is_no_word():
    """A word that says no was taken for yes."""
    with pytest.raises(sf.InvalidTypeError, match="noise: expected True or False, found 'False'"):
        layers.linear(noise="False")
    with pytest.raises(sf.InvalidTypeError, match="noise: expected True or False, found 'False'"):
        crossbar.bar().read(np.full(4, 0.2), noise="False")


def test_a_layer_of_more_cells_than_memory_is_refused_at_once():
    with pytest.raises(sf.CapacityError, match="cells need"):
        sf.torch.CrossbarLinear(10**9, 10**9, seed=1)


def test_wires_that_do_not_fit_are_found_when_the_layer_is_made():
    with pytest.raises(sf.InvalidValueError, match="wire_resistance of rows"):
        layers.linear(wire_resistance=[1.0] * 7)
    with pytest.raises(sf.InvalidTypeError, match="wire_resistance: expected real numbers"):
        layers.linear(wire_resistance="thick")


def test_a_network_whose_second_layer_is_refused_keeps_its_first():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 3))
    with pytest.raises(sf.InvalidValueError, match="wire_resistance of rows"):
        sf.torch.hardware_aware(
            network, layers.model(), seed=1, inplace=True, wire_resistance=([1.0] * 4, 1.0)
        )
    assert type(network[0]) is torch.nn.Linear


def test_an_optimizer_that_is_refused_has_pulsed_no_cell():
    network = torch.nn.Sequential(layers.linear(), layers.linear(first_cell=100))
    with torch.no_grad():
        network[1].weight[0, 0] = float("nan")
    before = network[0].tiles.states()
    with pytest.raises(sf.InvalidValueError, match="weight: expected finite"):
        sf.torch.PulsedSGD(network, 0.1)
    np.testing.assert_array_equal(network[0].tiles.states(), before)


def test_functions_that_evaluate_networks_are_functions_and_keep_their_errors():
    with pytest.raises(sf.InvalidTypeError, match="evaluate: expected a function, found 3"):
        sf.torch.monte_carlo(layers.network(), 3, [1])

    def broken(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        sf.torch.monte_carlo(layers.network(), broken, [1], model=layers.model(), method="ideal")


@pytest.mark.parametrize("name", ["seed", "inplace", "volts"])
def test_a_study_of_many_chips_takes_options_of_layers_only(name):
    found = refused(sf.torch.monte_carlo, layers.network(), lambda _: 1.0, [1], **{name: True})
    assert f"{name}: not an option" in found


# ---- crossbars and circuits ----------------------------------------------------------------------


@EACH
def test_a_converter_of_wrong_parts_is_one_line_and_counts_as_no_readout(label):
    bar = crossbar.bar()
    for k in range(3):
        limits = [-0.2, 0.2, 4]
        limits[k] = VALUES[label]()
        before = bar.cells.readout_number
        if refused(bar.read, np.full(4, 0.2), adc=tuple(limits)) is not None:
            assert bar.cells.readout_number == before


@EACH
def test_a_wrong_pulse_among_others_is_one_line(label):
    refused(crossbar_netlist, sf.Crossbar(crossbar.cells(2, 2), 0.0), [-2.0, VALUES[label]()])
    refused(Pulse, 1.0, rows=[0, VALUES[label]()])
    refused(crossbar.bar().write, rows=slice(VALUES[label](), None), columns=0, voltage=-2.0)


@pytest.mark.parametrize("label", [label for label in VALUES if label != "folder"])
def test_folders_of_runs_that_are_none_are_one_line(label, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulator, device = circuit.simulator(tmp_path), circuit.compiled(tmp_path)
    refused(run_ngspice, circuit.TEXT, ngspice=simulator, keep=VALUES[label]())
    refused(
        run_crossbar, circuit.operating_point(), osdi=device, ngspice=simulator,
        keep=VALUES[label](),
    )  # fmt: skip
    for wrong in ([device, VALUES[label]()], (VALUES[label](),)):
        refused(run_ngspice, circuit.TEXT, ngspice=simulator, osdi=wrong)
        refused(run_ngspice, circuit.TEXT, ngspice=simulator, commands=wrong)


def test_a_run_for_a_file_that_is_no_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(sf.InvalidValueError, match="keep: cannot create"):
        run_crossbar(
            circuit.operating_point(), osdi=circuit.compiled(tmp_path),
            ngspice=circuit.simulator(tmp_path), keep=tmp_path / "file",
        )  # fmt: skip


def test_a_device_that_is_missing_leaves_no_folder(tmp_path):
    with pytest.raises(sf.InvalidValueError, match="osdi: there is no file"):
        run_ngspice(
            circuit.TEXT, osdi=tmp_path / "none.osdi", ngspice=circuit.simulator(tmp_path),
            keep=tmp_path / "kept",
        )  # fmt: skip
    assert not (tmp_path / "kept").exists()
