"""Layers behind wires whose tiles are read through one matrix each."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import CrossbarLinear, PulsedSGD, program, wait
from synfab.torch.transfer import transfer_of
from synfab.torch.wires import tile_currents

TRAPS = sf.model.Traps([1e-3, 1.0, 1e3], 0.5, [0.0], [5e-6])


def wired(**options):
    torch.manual_seed(0)
    plain = nn.Linear(24, 12)
    return CrossbarLinear.from_torch(
        plain, seed=1, wire_resistance=2.0, wire_model="transfer", **options
    )


@pytest.mark.parametrize("volts", [0.2, 0.5])
def test_the_correction_is_within_half_a_percent_of_the_solved_network(volts):
    """Of the largest current; linear cells would be wrong by 2 % (0.2 V) and 5 % (0.5 V)."""
    options = {"noise": False, "read_voltage": volts}
    layer, solved = wired(**options), wired(**options)
    solved.options = replace(layer.options, wire_model="solve")
    x = torch.rand(6, 24) * 2.0 - 1.0
    with torch.no_grad():
        exact, found = solved(x), layer(x)
        error = (found - exact).abs().max() / (exact - layer.bias).abs().max()
        assert error < 5e-3
        cells = wired(linear=True, **options)
        assert (cells(x) - exact).abs().max() / (exact - layer.bias).abs().max() > 3.0 * error


def test_the_variance_is_that_of_the_solved_network():
    layer, solved = wired(), wired()
    bar = layer.crossbars()[0]
    v = np.array([[0.2, -0.1, 0.0] * 8, [0.05] * 24])
    _, found = tile_currents(bar, v, layer.read_noise, False, "transfer")
    _, wanted = tile_currents(solved.crossbars()[0], v, layer.read_noise, False)
    np.testing.assert_allclose(found, wanted, rtol=0.05)


WAYS = {
    "pulse": lambda layer: layer.tiles.cells[0].apply_voltage(-2.0),
    "program": lambda layer: program(layer, "open-loop"),
    "ideal": lambda layer: layer.tiles.cells[0].set_conductance(5e-5),
    "wait": lambda layer: wait(layer, 1e4),
    "load": lambda layer: layer.load_state_dict(programmed().state_dict()),
}


def programmed():
    layer = wired(model=sf.load_model().replace(name="aging", traps=TRAPS))
    program(layer, "open-loop")
    return layer


def trained(layer):
    optimizer = PulsedSGD(layer, lr=1.0)
    layer(torch.rand(4, 24)).square().sum().backward()
    optimizer.step()


WAYS["training"] = trained


@pytest.mark.parametrize("way", WAYS)
def test_the_matrix_follows_every_change_of_the_cells(way):
    layer = wired(model=sf.load_model().replace(name="aging", traps=TRAPS))
    before = transfer_of(layer.crossbars()[0])
    assert transfer_of(layer.crossbars()[0]) is before  # computed once
    twin = copy.deepcopy(layer)
    WAYS[way](layer)
    bar = layer.crossbars()[0]
    matrix = bar.read(np.eye(24), noise=False, linear=True)
    np.testing.assert_array_equal(transfer_of(bar).matrix, matrix)
    assert (matrix != before.matrix).any()
    np.testing.assert_array_equal(transfer_of(twin.crossbars()[0]).matrix, before.matrix)


def test_an_unknown_wire_model_is_refused():
    with pytest.raises(sf.InvalidValueError, match="wire_model: expected"):
        CrossbarLinear(4, 3, seed=1, wire_model="guess")
