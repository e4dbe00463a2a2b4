"""Readouts computed by kernels on a CPU, compared with those of PyTorch's operations."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from synfab.torch import CrossbarConv2d, CrossbarLinear, host
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
