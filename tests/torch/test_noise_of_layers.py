"""Noise and gradients of every kind of layer, compared with theory and with PyTorch."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from synfab.torch import convert, host, noise, readout, to_torch
from synfab.torch.convert import crossbar_layers

TIMES = 3000  # readouts per output: variances are known within sqrt(2 / TIMES) = 2.6 %
BANDWIDTH = 1e10
BOLTZMANN, CHARGE, TEMPERATURE = 1.380649e-23, 1.602176634e-19, 300.0  # SI units


# Layer in software and the shape of one input.
LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), (6,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 5)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 2, stride=2), (2, 4, 5)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 2, 3)),
    "grouped": (lambda: nn.Conv2d(4, 4, 2, groups=2, padding=1), (4, 2, 3)),
    "depthwise": (lambda: nn.Conv1d(3, 3, 3, groups=3), (3, 5)),
    "transposed1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (2, 3)),
    "transposed2d": (lambda: nn.ConvTranspose2d(2, 2, 2, stride=2, groups=2), (2, 2, 3)),
    "transposed3d": (lambda: nn.ConvTranspose3d(1, 2, 2), (1, 2, 2, 2)),
    "rnn": (lambda: nn.RNN(5, 4, batch_first=True), (2, 5)),
    "gru": (lambda: nn.GRU(5, 3, batch_first=True), (2, 5)),
    "lstm": (lambda: nn.LSTM(5, 3, batch_first=True), (2, 5)),
    "attention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), (3, 4)),
}
RECURRENT = ("rnn", "gru", "lstm")
each_layer = pytest.mark.parametrize("name", LAYERS)


def made(name, count, dtype=torch.float32, **options):
    """Return a network of one layer on cells, and ``count`` inputs."""
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    return convert(make().to(dtype), seed=3, **options), torch.randn(count, *shape, dtype=dtype)


def outputs(chip, x):
    """Return the outputs of a network of one layer."""
    if type(chip).__name__ in ("SplitAttention", "MultiheadAttention"):
        return chip(x, x, x)[0]
    found = chip(x)
    return found[0] if isinstance(found, tuple) else found


# ---- variance of the noise -----------------------------------------------------------------------


def products(plain, x):
    """Return what each weight of a layer multiplies in each output, and whose weights they are.

    The layer is linear in its weights, so its outputs for one weight of 1 are these factors:
    (weights, *outputs). A weight belongs to a channel of outputs that it changes for other inputs.
    """
    factors, owned = [], []
    bias, plain.bias = plain.bias, None
    for k in range(plain.weight.numel()):
        with torch.no_grad():
            plain.weight.copy_((torch.arange(plain.weight.numel()) == k).reshape_as(plain.weight))
            factors.append(plain(x))
            reached = plain(torch.ones_like(x[:1]))[0]
        axis = 1 if isinstance(plain, nn.Linear) else 0
        channels = reached if axis else reached.flatten(1).abs().sum(dim=1)
        owned.append(channels != 0.0)
    plain.bias = bias
    return torch.stack(factors), torch.stack(owned)


def variance(layer, x):
    """Return the variance of each output of an ideally programmed layer, from the cells' curves.

    2 cells per weight with Johnson noise 4 k T B |I / U| and shot noise 2 e B |I|.
    """
    options, conduction = layer.options, layer.options.model.conduction
    plain = layer.to_torch()
    weight = plain.weight.detach().double().flatten()
    factors, owned = products(plain.double(), x.double())
    channels = (-1, *(1,) * (factors.ndim - 3)) if not isinstance(plain, nn.Linear) else (-1,)
    owned = owned.reshape(len(owned), 1, *owned.shape[1:], *(1,) * (len(channels) - 1))
    largest = factors.abs().amax(dim=0)
    largest = largest.where(largest > 0.0, 1.0)  # vectors of zeros have Johnson noise
    v = (options.read_voltage * factors / largest).numpy()
    low, high = options.g_window
    limit = layer.weight_range.double().reshape(channels).numpy()
    total = np.zeros(v.shape[1:])
    for k in range(len(weight)):
        part = abs(float(weight[k])) / limit
        for g in (low + (high - low) * np.minimum(part, 1.0), low):
            state = np.broadcast_to(conduction.state(np.asarray(g)), v[k].shape)
            tiny = np.where(np.abs(v[k]) < 1e-9, 1e-9, v[k])
            current = conduction.current(state, tiny)
            johnson = 4.0 * BOLTZMANN * TEMPERATURE * BANDWIDTH * np.abs(current / tiny)
            total += owned[k].numpy() * (johnson + 2.0 * CHARGE * BANDWIDTH * np.abs(current))
    scale = largest.numpy() * limit / ((high - low) * options.read_voltage)
    return torch.from_numpy(total * scale**2)


@each_layer
def test_the_variance_of_each_output_is_that_of_its_cells(name):
    chip, x = made(name, 1, bandwidth=BANDWIDTH)
    seen = []
    for _, layer in crossbar_layers(chip):
        layer.register_forward_hook(lambda layer, x, y: seen.append((layer, x[0], y)))
    with torch.no_grad():
        outputs(chip, x.expand(TIMES, *x.shape[1:]))
    assert seen
    for layer, inputs, y in tuple(seen):
        # The inputs of later layers have the noise of earlier ones; the first are the same.
        linear = layer.weight.ndim == 2
        rows = inputs.reshape(-1, inputs.shape[-1]) if linear else inputs
        found = y.reshape(-1, y.shape[-1]) if linear else y
        layer.options = replace(layer.options, noise=False)
        with torch.no_grad():
            z = (found - layer(rows)).double() / variance(layer, rows).sqrt()
        each = z.square().mean(dim=0)
        assert float((each - 1.0).abs().max()) < 6.0 * (2.0 / len(z)) ** 0.5
        assert abs(float(each.mean()) - 1.0) < 6.0 * (2.0 / z.numel()) ** 0.5
        assert float(z.mean(dim=0).abs().max()) < 6.0 / len(z) ** 0.5


# ---- gradients -----------------------------------------------------------------------------------


@each_layer
@pytest.mark.filterwarnings("ignore:Input #0 requires gradient:UserWarning")
def test_gradients_of_inputs_on_the_ideal_path(name):
    chip, x = made(name, 2, torch.float64, noise=False, linear=True)
    torch.autograd.gradcheck(lambda x: outputs(chip, x), x.requires_grad_(), fast_mode=True)


@each_layer
def test_gradients_of_parameters_on_the_ideal_path(name):
    """They are those of the layer in software with the weights that the cells hold."""
    chip, x = made(name, 2, torch.float64, noise=False, linear=True)
    plain = to_torch(chip)
    outputs(chip, x).square().sum().backward()
    outputs(plain, x).square().sum().backward()
    found = {id(p): p.grad for p in chip.parameters()}
    with torch.no_grad():  # arranged as in software: move the gradients into the weights
        for _, layer in crossbar_layers(chip):
            layer.weight.copy_(found[id(layer.weight)])
            if layer.bias is not None:
                layer.bias.copy_(found[id(layer.bias)])
            layer.set_ideally()
    for one, two in zip(to_torch(chip).parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two.grad, rtol=1e-5, atol=1e-6)


# ---- which noise a readout gets ------------------------------------------------------------------


@each_layer
def test_a_readout_has_the_same_noise_in_every_type_and_on_every_device(name, monkeypatch):
    chip, x = made(name, 3, bandwidth=BANDWIDTH)
    double, device = copy.deepcopy(chip).double(), copy.deepcopy(chip)
    with torch.no_grad():
        wanted = outputs(chip, x)
        quiet = copy.deepcopy(chip)
        for _, layer in crossbar_layers(quiet):
            layer.options = replace(layer.options, noise=False)
        assert (outputs(quiet, x) - wanted).abs().max() > 1e-3
        torch.testing.assert_close(outputs(double, x.double()).float(), wanted, **CLOSE)
        # What a device other than the CPU computes, with operations of PyTorch.
        monkeypatch.setattr(host, "supports", lambda *_: False)
        monkeypatch.setattr(readout, "readout_normals", noise.normals_on_device)
        torch.testing.assert_close(outputs(device, x), wanted, **CLOSE)


CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in RECURRENT])
def test_a_readout_has_the_same_noise_however_the_batch_is_split(name):
    chip, x = made(name, 5, bandwidth=BANDWIDTH)
    parts = copy.deepcopy(chip)
    with torch.no_grad():
        split = torch.cat([outputs(parts, part) for part in (x[:2], x[2:3], x[3:])])
        torch.testing.assert_close(split, outputs(chip, x), **CLOSE)


@pytest.mark.parametrize("name", RECURRENT)
def test_readouts_of_recurrent_layers_are_numbered_step_by_step(name):
    """A single sequence, computed in two parts: the state continues, and so does the noise."""
    chip, x = made(name, 1, bandwidth=BANDWIDTH)
    parts = copy.deepcopy(chip)
    with torch.no_grad():
        first, state = parts(x[:, :1])
        second, _ = parts(x[:, 1:], state)
        torch.testing.assert_close(torch.cat([first, second], dim=1), chip(x)[0], **CLOSE)
