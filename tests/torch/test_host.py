"""Readouts computed by kernels on a CPU, compared with those of PyTorch's operations."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import synfab as sf
from synfab.cells.files import dump_cells, restore_cells
from synfab.torch import CrossbarConv2d, CrossbarLinear, host, program
from synfab.torch.passes import key_of
from synfab.torch.readout import on_any_device

OPTIONS = {
    "noise": {},
    "no noise": {"noise": False},
    "linear": {"linear": True},
    "converters": {"dac": 5, "input_range": 1.5},
    "one scale": {"scale": "layer", "tile": (16, 8)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_kernels_give_what_the_operations_of_pytorch_give(options, monkeypatch):
    torch.manual_seed(0)
    layer = CrossbarLinear(40, 20, seed=3, first_cell=7, bias=False, **options).eval()
    twin = copy.deepcopy(layer)
    x = torch.randn(9, 40) * torch.tensor([1e-42, 1e-20, *[1.0] * 6, 0.0])[:, None]
    with torch.no_grad():
        torch.testing.assert_close(layer(x), on_any_device(twin, x), rtol=1e-5, atol=1e-6)
        assert layer.readout_number == twin.readout_number
        # Columns are the same vectors, in the same order.
        columns = torch.randn(3, 40, 6)
        rows = columns.transpose(1, 2).reshape(18, 40)
        wanted = on_any_device(twin, rows).reshape(3, 6, 20).transpose(1, 2)
        torch.testing.assert_close(layer.multiply(columns), wanted, rtol=1e-5, atol=1e-6)
        assert layer.readout_number == twin.readout_number


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_reads_the_same_patch_by_patch(groups, monkeypatch):
    torch.manual_seed(0)
    options = {"padding": 1, "stride": 2, "groups": groups, "bias": False, "seed": 1}
    layer = CrossbarConv2d(4, 6, 3, **options).eval()
    twin, half = copy.deepcopy(layer), copy.deepcopy(layer)
    images = torch.randn(5, 4, 7, 8)
    patches = nn.functional.unfold(images, 3, padding=1, stride=2)
    rows = patches.transpose(1, 2).reshape(-1, 36)
    with torch.no_grad():
        whole = layer(images)
        wanted = on_any_device(twin, rows).reshape(5, -1, 6).transpose(1, 2).reshape(whole.shape)
        torch.testing.assert_close(whole, wanted, rtol=1e-5, atol=1e-6)
        monkeypatch.setattr("synfab.torch.convolutions.AT_ONCE", 1)  # image by image
        torch.testing.assert_close(half(images), whole, rtol=1e-5, atol=1e-6)


def test_gradients_of_a_convolution_are_those_of_software():
    torch.manual_seed(0)
    for groups in (1, 2):
        layer = CrossbarConv2d(4, 6, 3, padding=1, groups=groups, seed=1)
        plain = layer.to_torch()
        x = torch.randn(2, 4, 5, 6, requires_grad=True)
        twin = x.detach().clone().requires_grad_()
        seed = torch.randn(2, 6, 5, 6)
        layer(x).backward(seed)
        plain(twin).backward(seed)
        torch.testing.assert_close(x.grad, twin.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_noise_does_not_depend_on_how_a_batch_is_split_or_stored(kind):
    torch.manual_seed(0)
    if kind == "linear":
        layer, x = CrossbarLinear(20, 12, seed=1), torch.randn(8, 20)
        other = torch.randn(20, 8).T.copy_(x)
    else:
        layer, x = CrossbarConv2d(3, 4, 3, seed=1), torch.randn(8, 3, 6, 6)
        other = x.to(memory_format=torch.channels_last)
    parts, strided = copy.deepcopy(layer), copy.deepcopy(layer)
    assert not other.is_contiguous()
    with torch.no_grad():
        whole = layer(x)
        split = torch.cat([parts(x[:3]), parts(x[3:4]), parts(x[4:])])
        torch.testing.assert_close(split, whole, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(strided(other), whole, rtol=1e-5, atol=1e-6)


def test_a_checkpointed_convolution_repeats_its_noise():
    torch.manual_seed(0)
    layer = CrossbarConv2d(3, 4, 3, seed=1)
    twin = copy.deepcopy(layer)
    x = torch.randn(40, 3, 12, 12, requires_grad=True)
    for reentrant in (False, True):
        y = checkpoint(lambda x: layer(x) ** 2, x, use_reentrant=reentrant)
        (found,) = torch.autograd.grad(y.sum(), x) if not reentrant else (None,)
        z = twin(x) ** 2
        torch.testing.assert_close(y, z)
        if not reentrant:
            torch.testing.assert_close(found, torch.autograd.grad(z.sum(), x)[0])


def test_keys_of_inputs_distinguish_values_and_their_order():
    x = torch.randn(5, 7)
    assert key_of(x) == key_of(x.clone())
    assert key_of(x) != key_of(x.flip(0))
    assert key_of(x) != key_of(x.clone().index_put_((torch.tensor(2),), torch.tensor(0.5)))
    assert key_of(x[:0])[:2] == (0, 7)


def test_kernels_serve_float32_behind_ideal_wires_only():
    x = torch.randn(2, 6)
    layer = CrossbarLinear(6, 4, seed=1)
    noise = layer.read_noise
    assert host.supports(layer, x, noise)
    assert not host.supports(layer, x.double(), noise)
    assert not host.supports(CrossbarLinear(6, 4, seed=1, adc=8), x, noise)
    assert not host.supports(CrossbarLinear(6, 4, seed=1, wire_resistance=1.0), x, noise)


TRAPS = sf.model.Traps([1e-3, 1.0, 1e3], 0.5, [0.0], [5e-6])
CHANGES = {
    "pulse": lambda layer: layer.tiles.cells[0].apply_voltage(-2.0),
    "pulses": lambda layer: layer.tiles.cells[1].apply_program([-2.0, 1.0]),
    "ideal": lambda layer: layer.tiles.cells[0].set_conductance(5e-5),
    "program": lambda layer: program(layer, "open-loop"),
    "renew": lambda layer: layer.tiles.cells[0].renew(),
    "wait": lambda layer: layer.tiles.cells[0].wait(1e4),
    "trace": lambda layer: layer.tiles.cells[0].trace(seconds=1e3, rate=1e-2),
    "load": lambda layer: layer.load_state_dict(aging(seed=2, pulsed=True).state_dict()),
    "restore": lambda layer: restore_cells(
        layer.tiles.cells[0], {**dump_cells(aging(seed=1, pulsed=True).tiles.cells[0])}
    ),
}


def aging(seed, pulsed=False):
    torch.manual_seed(0)
    model = sf.load_model().replace(name="aging", traps=TRAPS)
    layer = CrossbarLinear(6, 8, model=model, seed=seed, noise=False, tile=(8, 6))
    if pulsed:
        layer.tiles.cells[0].apply_voltage(-2.0)
    return layer


@pytest.mark.parametrize("way", CHANGES)
def test_a_forward_pass_uses_the_present_cells(way):
    layer, x = aging(seed=1), torch.rand(3, 6)
    twin, before = copy.deepcopy(layer), layer(x)
    assert torch.equal(twin(x), before)
    CHANGES[way](layer)
    found = layer(x)
    layer.refresh()
    assert torch.equal(found, layer(x))
    assert not torch.equal(found, before)
    assert torch.equal(twin(x), before)  # a copy has cells of its own
