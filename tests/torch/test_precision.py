"""Inputs of any size and precision, and copies for other processes."""

import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import CrossbarConv2d, CrossbarLinear, calibrate, convert, program, to_torch

QUIET = {"noise": False, "linear": True}


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return nn.Linear(20, 12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [True, False])
def test_inputs_of_any_magnitude_give_numbers(plain, dtype, noise):
    layer = CrossbarLinear.from_torch(plain.to(dtype), seed=1, noise=noise)
    x = torch.linspace(-1.0, 1.0, 20, dtype=dtype)
    limits = torch.finfo(dtype)
    unit = CrossbarLinear.from_torch(plain, seed=1, noise=False)(x) - layer.bias
    tiny = limits.tiny
    for size in (tiny / 2.0**20, tiny, tiny * 1e10, limits.max / 100):
        y = layer(size * x) - layer.bias
        assert torch.isfinite(y).all()
        if size > 1.0 and not noise:
            torch.testing.assert_close(y / size, unit, rtol=1e-5, atol=1e-5)
    quiet = CrossbarLinear.from_torch(nn.Linear(20, 12, False).to(dtype), seed=1, **QUIET)
    small = limits.tiny * 2.0
    torch.testing.assert_close(quiet(small * x) / small, quiet(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(plain, dtype):
    layer = CrossbarLinear.from_torch(plain, seed=1, **QUIET)
    x = torch.linspace(-1.0, 1.0, 40).reshape(2, 20).to(dtype)
    y = layer(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, (layer(x.float()) - layer.bias).to(dtype) + layer.bias.to(dtype),
                               rtol=2e-2, atol=2e-2)  # fmt: skip
    states = layer.difference.clone()
    half = layer.to(dtype)
    assert half(x).dtype == dtype
    assert torch.equal(half.difference, states)
    assert half.weight.dtype == dtype
    program(half, "ideal")


def test_autocast_does_not_reduce_the_precision_of_cells(plain):
    layer = CrossbarLinear.from_torch(plain, seed=1, **QUIET)
    x = torch.linspace(-1.0, 1.0, 40).reshape(2, 20).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x), layer(x).float())
        y = layer(x)
        network = nn.Sequential(nn.Linear(20, 20), layer)
        assert network(x).dtype == torch.bfloat16
    assert torch.equal(y, layer(x))
    network(x).sum().backward()


def test_channels_last_and_strided_inputs_are_the_same_inputs(plain):
    layer = CrossbarConv2d.from_torch(nn.Conv2d(3, 4, 3), seed=1, **QUIET)
    x = torch.rand(2, 3, 6, 6)
    torch.testing.assert_close(layer(x.to(memory_format=torch.channels_last)), layer(x))
    line = CrossbarLinear.from_torch(plain, seed=1, **QUIET)
    x = torch.rand(20, 7).T
    assert not x.is_contiguous()
    torch.testing.assert_close(line(x), line(x.contiguous()))


def test_one_large_weight_does_not_harm_the_other_outputs(plain):
    """Its own output is dominated by it in software as well."""
    with torch.no_grad():
        plain.weight[0, 0] = 100.0
    x = torch.randn(200, 20)
    chip = convert(plain, seed=1)
    program(chip, "write-verify")
    wanted, y = plain(x), chip(x)
    error = (y - wanted).square().mean(dim=0).sqrt() / wanted.square().mean(dim=0).sqrt()
    assert error.max() < 0.05


def test_converters_do_not_depend_on_how_a_batch_is_split(plain):
    layer = CrossbarLinear.from_torch(plain, seed=1, adc=6, tile=(256, 8), **QUIET)
    x = torch.randn(64, 20) * torch.logspace(-2, 1, 64)[:, None]
    torch.testing.assert_close(layer(x), torch.cat([layer(part) for part in x.split(5)]))


def test_calibrated_ranges_fit_the_data_and_are_saved(plain):
    chip = convert(nn.Sequential(plain), seed=1, adc=8, tile=(256, 8), **QUIET)
    x = torch.randn(100, 20)
    found = calibrate(chip, x)
    again = convert(nn.Sequential(plain), seed=1, adc=8, tile=(256, 8), **QUIET)
    assert calibrate(again, x.split(7)) == pytest.approx(found)
    assert chip[0].options.adc_range == found["0"]
    torch.testing.assert_close(chip(x), plain(x), atol=0.05, rtol=0.0)
    fresh = convert(nn.Sequential(plain), seed=1, adc=8, tile=(256, 8), **QUIET)
    fresh.load_state_dict(chip.state_dict())
    assert torch.equal(fresh(x), chip(x))
    with pytest.raises(sf.InvalidValueError, match="expected layers on cells with adc"):
        calibrate(convert(nn.Sequential(plain), seed=1), x)
    with pytest.raises(sf.InvalidValueError, match="batches: no current in 0"):
        calibrate(chip, [])


def test_export_is_refused_and_exports_the_held_weights(plain):
    chip = convert(nn.Sequential(plain), seed=1)
    x = torch.randn(2, 20)
    with pytest.raises(Exception, match=r"torch\.export: cells are a simulation"):
        torch.export.export(chip, (x,))
    held = to_torch(chip)
    torch.testing.assert_close(torch.export.export(held, (x,)).module()(x), held(x))


def test_data_parallel_is_refused_in_one_line(plain):
    chip = convert(nn.Sequential(plain), seed=1)
    with pytest.raises(sf.InvalidTypeError, match="DataParallel: layers on cells cannot"):
        # What DataParallel calls for each GPU.
        getattr(chip[0], "_replicate_for" + "_data_parallel")()
