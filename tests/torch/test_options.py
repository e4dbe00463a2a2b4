"""Options of layers: one frozen, checked value, and their names of version 0.1."""

import copy
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import CrossbarLinear, LayerOptions, default_window


@pytest.fixture
def layer():
    return CrossbarLinear(4, 3, seed=5, first_cell=7, adc=(16, 1e-4), order=1)


def test_a_layer_has_its_options_with_defaults_resolved(layer):
    options = layer.options
    assert (options.seed, options.first_cell) == (5, 7)
    assert (options.adc, options.adc_range) == (16, 1e-4)
    assert options.g_window == default_window(sf.load_model())
    assert options.model is sf.load_model()


def test_options_are_frozen_and_replaced_ones_are_checked(layer):
    with pytest.raises(FrozenInstanceError):
        layer.options.bits = 4
    with pytest.raises(sf.InvalidValueError, match="bits: expected"):
        replace(layer.options, bits=0)


def test_a_layer_is_read_with_replaced_options(layer):
    x = torch.ones(2, 4)
    assert not torch.equal(layer(x), layer(x))
    layer.options = replace(layer.options, noise=False)
    assert torch.equal(layer(x), layer(x))
    assert not copy.deepcopy(layer).options.noise


def test_options_name_the_chip_of_a_loaded_state(layer):
    other = CrossbarLinear(4, 3, seed=6, adc=(16, 1e-4), order=1)
    other.load_state_dict(layer.state_dict())
    assert (other.options.seed, other.options.first_cell) == (5, 7)


def test_missing_and_unknown_options_are_named():
    with pytest.raises(sf.InvalidTypeError, match="seed: expected the seed of a chip"):
        LayerOptions.of({"bits": 4})
    with pytest.raises(sf.InvalidTypeError, match="colour: not an option of a layer"):
        LayerOptions.of({"seed": 1, "colour": "red"})
    with pytest.raises(sf.InvalidValueError, match="engine: expected one of"):
        LayerOptions.of({"seed": 1, "engine": "abacus"})


def test_former_names_of_layers_warn_and_work(layer):
    with pytest.warns(DeprecationWarning, match="adc is now options.adc"):
        assert layer.adc == 16
    with pytest.warns(DeprecationWarning, match="window is now options.g_window") as caught:
        assert layer.window == layer.options.g_window
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="noise is now options.noise") as caught:
        layer.noise = False
    assert caught[0].filename == __file__
    assert not layer.options.noise
    plain = nn.Linear(4, 3)
    with pytest.warns(DeprecationWarning, match="take is now load_weights_from"):
        layer.take(plain)
    assert torch.equal(layer.weight, plain.weight)
    with pytest.warns(DeprecationWarning, match="give is now copy_weights_to"):
        assert layer.give(plain) is plain
    torch.testing.assert_close(plain.weight, layer.cell_weight)
