"""A type of layers that the package does not know: one class and one registration."""

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import (
    CrossbarLayer,
    LayerOptions,
    PulsedSGD,
    bake,
    convert,
    hardware_aware,
    program,
    register_layer,
    registry,
    to_torch,
)

QUIET = {"noise": False, "linear": True}


class CrossbarBilinear(CrossbarLayer[nn.Bilinear]):
    """``nn.Bilinear`` on cells: products of both inputs are the input vector."""

    def __init__(self, in1_features, in2_features, out_features, bias=True, **options):
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        super().__init__(shape, bias, LayerOptions.of(options))

    @classmethod
    def from_torch(cls, layer, **options):
        sizes = (layer.in1_features, layer.in2_features, layer.out_features)
        made = cls(*sizes, layer.bias is not None, **options)
        made.load_weights_from(layer)
        return made

    @staticmethod
    def plain_like(layer):
        sizes = (layer.in1_features, layer.in2_features, layer.out_features)
        return nn.Bilinear(*sizes, layer.bias is not None)

    @classmethod
    def unsupported(cls, layer):
        return "bilinear layers of one output" if layer.out_features == 1 else None

    def forward(self, x, y):
        y = self.multiply((x[:, :, None] * y[:, None, :]).reshape(len(x), -1))
        return y if self.bias is None else y + self.bias


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "CLASSES", dict(registry.CLASSES))
    assert register_layer(nn.Bilinear)(CrossbarBilinear) is CrossbarBilinear


class Attention(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.product, self.last = nn.Bilinear(4, 5, outputs), nn.Linear(outputs, 2)

    def forward(self, x, y):
        return self.last(self.product(x, y))


X, Y = torch.linspace(-1.0, 1.0, 12).reshape(3, 4), torch.linspace(1.0, -1.0, 15).reshape(3, 5)


def test_a_registered_layer_is_converted_programmed_and_converted_back():
    network = Attention()
    chip = convert(network, seed=1, **QUIET)
    assert type(chip.product) is CrossbarBilinear
    assert chip.last.tiles.first_cell == chip.product.tiles.end_cell
    torch.testing.assert_close(chip(X, Y), network(X, Y), rtol=1e-3, atol=1e-4)
    assert list(program(chip, "open-loop").index) == ["product", "last"]
    back = to_torch(chip)
    assert type(back.product) is nn.Bilinear
    torch.testing.assert_close(back.product.weight, chip.product.cell_weight.reshape(3, 4, 5))


def test_a_registered_layer_is_trained_in_situ_and_its_state_loads():
    chip = convert(Attention(), seed=1)
    optimizer = PulsedSGD(chip, lr=0.5)
    before = chip.product.tiles.states()
    chip(X, Y).square().sum().backward()
    optimizer.step()
    assert not np.array_equal(chip.product.tiles.states(), before)
    other = convert(Attention(), seed=9)
    other.load_state_dict(chip.state_dict())
    assert torch.equal(other(X, Y), chip(X, Y))


def test_a_registered_layer_trains_hardware_aware_and_is_baked():
    network = Attention()
    aware = hardware_aware(network, seed=1, bits=2, scale="layer")
    assert len(torch.unique(aware.product.weight.detach().mul(1e4).round())) <= 7
    plain = bake(aware)
    assert type(plain.product) is nn.Bilinear
    torch.testing.assert_close(plain.product.weight, network.product.weight)


def test_layers_that_a_class_does_not_support_stay_in_software_and_are_named():
    with pytest.warns(UserWarning, match=r"stay in software: product \(bilinear layers of one"):
        chip = convert(Attention(outputs=1), seed=1)
    assert type(chip.product) is nn.Bilinear
    with pytest.raises(sf.InvalidValueError, match="bilinear layers of one output are not"):
        hardware_aware(Attention(outputs=1), seed=1)


def test_registrations_that_contradict_are_refused():
    with pytest.raises(sf.InvalidValueError, match="Linear is already registered, with CrossbarL"):
        register_layer(nn.Linear)
    with pytest.raises(sf.InvalidTypeError, match="expected a subclass of CrossbarLayer"):
        register_layer(nn.LSTM)(nn.Linear)
    with pytest.raises(sf.InvalidTypeError, match=r"plain: expected a type of nn\.Module, found 3"):
        register_layer(3)
