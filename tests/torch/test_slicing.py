"""Slices of inputs and weights, offset mapping, and ranges per tile: same products, other noise."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.physics.noise import ReadNoise
from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    PulsedSGD,
    calibrate,
    convert,
    program,
    to_torch,
)
from synfab.torch.state import with_digest

QUIET = {"noise": False, "linear": True}
SMALL = {**QUIET, "tile": (12, 7)}
ARRANGEMENTS = {
    "slices": {"bits": 4, "slices": 3},
    "offset": {"mapping": "offset"},
    "offset in levels": {"mapping": "offset", "bits": 12},
    "offset in slices": {"mapping": "offset", "bits": 4, "slices": 3},
    "bit-serial": {"input_bits": 12, "dac": 1},
    "input slices": {"input_bits": 12, "dac": 5},
    "weights by tile": {"scale": "tile"},
    "inputs by tile": {"input_scale": "tile"},
    "all": {
        "mapping": "offset", "bits": 4, "slices": 3, "input_bits": 12, "dac": 3, "scale": "tile",
        "input_scale": "tile",
    },
}  # fmt: skip


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(20, 13)


@pytest.mark.parametrize("adc", [None, 16])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_ideal_cells_give_the_product_to_rounding(linear, name, adc):
    layer = CrossbarLinear.from_torch(linear, seed=1, **SMALL, **ARRANGEMENTS[name])
    if adc is not None:
        layer.options = replace(layer.options, adc=adc, adc_range=2e-3)
    x = torch.randn(9, 20)
    # 12 bits of an input, and 11 of a weight with offset mapping
    largest = float(x.abs().max() * linear.weight.detach().abs().max())
    atol = 20**0.5 * 2.0**-10 * largest
    torch.testing.assert_close(layer(x), linear(x), rtol=0.0, atol=atol + (adc is not None) * 2e-2)
    torch.testing.assert_close(layer.cell_weight, linear.weight.detach(), rtol=0.0, atol=3e-4)


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_grouped_convolution_is_a_convolution(name):
    torch.manual_seed(1)
    plain = nn.Conv2d(4, 6, 3, groups=2)
    layer = CrossbarConv2d.from_torch(plain, seed=2, **SMALL, **ARRANGEMENTS[name])
    images = torch.randn(2, 4, 6, 5)
    torch.testing.assert_close(layer(images), plain(images), rtol=0.0, atol=1e-2)
    torch.testing.assert_close(layer.to_torch().weight, plain.weight, rtol=0.0, atol=3e-4)


def test_digits_are_most_significant_first(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, bits=2, slices=3)
    low, high = layer.options.g_window
    levels = np.rint((layer.targets() - low) / (high - low) * 3).reshape(2, 13, 3, 20)
    whole = levels @ np.eye(20)
    value = whole[:, :, 0] * 16 + whole[:, :, 1] * 4 + whole[:, :, 2]
    part = linear.weight.detach().numpy() / np.abs(linear.weight.detach().numpy()).max(1)[:, None]
    np.testing.assert_array_equal(value[0] - value[1], np.rint(part * 63))


def test_a_reference_row_of_each_tile_is_at_the_middle(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, mapping="offset", tile=(8, 20))
    shapes = [cells.shape for cells in layer.tiles.cells]
    assert shapes == [(8, 20), (8, 20)]  # 7 outputs and a reference, 6, a reference and a spare row
    middle = np.mean(layer.options.g_window)
    for cells, row in zip(layer.tiles.cells, (7, 6), strict=True):
        g = layer.options.model.conduction.conductance(np.asarray(cells.r[row], np.float64))
        np.testing.assert_allclose(g, middle, rtol=1e-5)


def test_bit_serial_inputs_avoid_the_curves_of_the_cells(linear):
    """With one bit per slice, voltages are 0 or the one at which conductances are defined."""
    x = torch.rand(50, 20)
    errors = []
    for options in ({}, {"input_bits": 12, "dac": 1}):
        layer = CrossbarLinear.from_torch(linear, seed=1, noise=False, **options)
        errors.append(float((layer(x) - linear(x)).detach().abs().max()))
    assert errors[1] < 0.2 * errors[0]


def test_the_variance_of_input_slices_is_that_of_theory(linear):
    bits, dac, count = 6, 2, 4000
    layer = CrossbarLinear.from_torch(
        linear, seed=1, bandwidth=1e10, input_bits=bits, dac=dac, input_range=1.0
    )
    levels = torch.arange(20) * 3 % 64
    x = (levels / 63.0).expand(count, 20)
    with torch.no_grad():
        spread = layer(x).std(dim=0).double().numpy()
    johnson, shot = ReadNoise.of_bandwidth(1e10).coefficients
    r, conduction = layer.tiles.states().astype(float), layer.options.model.conduction
    variance = np.zeros(13)
    for k in range(3):
        v = 0.2 * ((levels.numpy() >> (2 * k)) & 3) / 3.0
        v = np.where(v == 0.0, 1e-9, v)
        i = np.abs(conduction.current(r, v))
        factor = 4.0**k * 3.0 / 63.0
        variance += factor**2 * (johnson * i / v + shot * i).sum(axis=(0, 2))
    wanted = layer.weight_per_siemens.numpy() / 0.2 * np.sqrt(variance)
    np.testing.assert_allclose(spread, wanted, rtol=5.0 / np.sqrt(2 * count))
    assert layer.readout_number == 3 * count


def test_the_variance_of_weight_slices_is_that_of_theory(linear):
    count = 4000
    layer = CrossbarLinear.from_torch(linear, seed=1, bandwidth=1e10, bits=2, slices=2)
    x = torch.linspace(-1.0, 1.0, 20).expand(count, 20)
    with torch.no_grad():
        spread = layer(x).std(dim=0).double().numpy()
    variance = line_variance(layer, x[0].double().numpy(), pairs=True).reshape(13, 2)
    siemens = layer.weight_per_siemens.numpy() / 0.2
    wanted = siemens * np.sqrt(variance @ np.array([(4 * 3 / 15) ** 2, (3 / 15) ** 2]))
    np.testing.assert_allclose(spread, wanted, rtol=5.0 / np.sqrt(2 * count))


def test_outputs_share_the_noise_of_their_reference_row(linear):
    count = 4000
    layer = CrossbarLinear.from_torch(linear, seed=1, bandwidth=1e10, mapping="offset")
    x = torch.linspace(-1.0, 1.0, 20).expand(count, 20)
    with torch.no_grad():
        y = layer(x).double().numpy() / (layer.weight_per_siemens.numpy() * 2.0 / 0.2)
    variance = line_variance(layer, x[0].double().numpy(), pairs=False)
    wanted = np.full((13, 13), variance[13]) + np.diag(variance[:13])
    found = np.cov(y.T)
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    np.testing.assert_allclose(found / scale, wanted / scale, atol=5.0 / np.sqrt(count / 2))


def line_variance(layer, x, pairs):
    johnson, shot = ReadNoise.of_bandwidth(layer.options.bandwidth).coefficients
    v, cells = 0.2 * x, layer.tiles.cells[0]
    i = np.abs(cells.model.conduction.current(cells.r.astype(float), v[None, :]))
    rows = (johnson * i / np.abs(v) + shot * i).sum(axis=1)
    return rows[0::2] + rows[1::2] if pairs else rows


@pytest.mark.parametrize("model", ["solve", "transfer"])
@pytest.mark.parametrize("linear_cells", [True, False])
def test_rows_behind_wires_are_read_one_by_one(linear, model, linear_cells):
    ideal, wired = (
        CrossbarLinear.from_torch(
            linear, seed=1, noise=False, linear=linear_cells, mapping="offset", tile=(12, 7),
            wire_resistance=ohm, wire_model=model,
        )
        for ohm in (0.0, 1e-6)
    )  # fmt: skip
    x = torch.randn(3, 20)
    torch.testing.assert_close(wired(x), ideal(x), rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_noise_does_not_depend_on_how_a_batch_is_split(linear, name):
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(12, 7), **ARRANGEMENTS[name])
    twin = copy.deepcopy(layer)
    x = torch.randn(6, 20)
    whole, parts = layer(x), torch.cat([twin(part) for part in x.split(2)])
    torch.testing.assert_close(whole, parts)
    assert not torch.equal(layer(x), whole)


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_gradients_are_those_of_the_cells_weights(linear, name):
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(12, 7), **ARRANGEMENTS[name])
    x = torch.randn(4, 20, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.cell_weight.sum(dim=0).expand(4, 20))
    torch.testing.assert_close(layer.weight.grad, x.detach().sum(dim=0).expand(13, 20))


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_state_restores_every_arrangement(linear, name):
    options = {"tile": (12, 7), "order": 1, **ARRANGEMENTS[name]}
    layer = CrossbarLinear.from_torch(linear, seed=1, **options)
    program(layer, "open-loop")
    twin = CrossbarLinear(20, 13, seed=9, **options)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(3, 20)
    assert torch.equal(twin(x), layer(x))
    again = copy.deepcopy(layer)
    assert torch.equal(again(x), layer(x))


def test_programming_brings_every_slice_to_its_level(linear):
    chip = convert(
        nn.Sequential(linear), sf.torch.without_outliers("published"), seed=3, bits=2, slices=2
    )
    table = program(chip, "write-verify")
    assert table.cells.item() == 2 * 2 * 13 * 20
    assert 0.0 < table.rms_error.item() < 3e-6
    assert table.unreachable.item() < 20
    # half a level of a slice is 26 uS, so that nearly all digits are read correctly
    held = to_torch(chip)[0].weight
    largest = linear.weight.detach().abs().amax(dim=1, keepdim=True)
    error = ((held - linear.weight).detach() / largest).abs()
    assert float(error.median()) < 1.0 / 15.0
    back = program(chip, "ideal")
    assert back.rms_error.item() < 1e-9


def test_a_layer_behind_converters_clips_at_a_percentile(linear):
    x = torch.randn(400, 20)
    layer = CrossbarLinear.from_torch(linear, seed=1, adc=6, tile=(12, 20), **QUIET)
    whole = calibrate(layer, x)["layer"]
    part = calibrate(layer, x, percentile=90.0)["layer"]
    layer.options = replace(layer.options, adc=None)
    currents = ((layer(x) - layer.bias) / layer.weight_per_siemens * 0.2).detach()
    currents = (currents / x.abs().amax(dim=1, keepdim=True)).abs()
    assert part == pytest.approx(float(currents.quantile(0.9)), rel=4e-3)
    assert whole == pytest.approx(float(currents.max()), rel=1e-4)


def test_a_percentile_does_not_depend_on_how_data_are_split(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, adc=6, **QUIET)
    x = torch.randn(40, 20)
    whole = calibrate(layer, x, percentile=99.0)
    assert calibrate(layer, x.split(7), percentile=99.0) == pytest.approx(whole)
    with pytest.raises(sf.InvalidValueError, match="percentile: expected"):
        calibrate(layer, x, percentile=0.0)


def test_a_range_per_tile_protects_weights_from_outliers(linear):
    with torch.no_grad():
        linear.weight[:, 19] = 30.0
    errors = []
    for scale in ("output", "tile"):
        layer = CrossbarLinear.from_torch(linear, seed=1, bits=4, scale=scale, tile=(26, 10))
        errors.append(float((layer.cell_weight - linear.weight)[:, :10].detach().abs().mean()))
    assert errors[1] < 0.1 * errors[0]


def test_an_input_range_per_tile_protects_inputs_from_outliers(linear):
    x = torch.rand(8, 20)
    x[:, 19] = 100.0
    errors = []
    for scale in ("vector", "tile"):
        layer = CrossbarLinear.from_torch(
            linear, seed=1, dac=6, input_scale=scale, tile=(26, 10), **QUIET
        )
        errors.append(float((layer(x) - linear(x)).detach().abs().mean()))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slices": 2}, "slices: expected bits"),
        ({"slices": 0}, "slices: expected an integer of at least 1"),
        ({"slices": 5, "bits": 4}, "slices: expected at most 16 bits in all, found 5 x 4"),
        ({"mapping": "offset", "bits": 1}, "bits: expected 2 bits of a weight or more"),
        (
            {"mapping": "offset", "bits": 2, "slices": 4, "tile": (4, 9)},
            "tile: expected at least 8",
        ),
        ({"mapping": "sign"}, "mapping: expected one of differential, offset"),
        ({"input_bits": 8}, "input_bits: expected dac"),
        ({"input_bits": 4, "dac": 5}, "dac: expected at most the 4 bits of an input"),
        ({"input_bits": 40, "dac": 5}, "input_bits: expected 1"),
        ({"input_scale": "tile", "input_range": 1.0}, "input_scale: expected vector"),
        ({"scale": "row"}, "scale: expected one of layer, output, tile"),
    ],
)
def test_options_that_do_not_fit_are_one_clear_line(options, message):
    with pytest.raises(sf.InvalidValueError, match=message):
        CrossbarLinear(20, 13, seed=1, **options)


@pytest.mark.parametrize("name", ["slices", "offset", "weights by tile"])
def test_training_in_situ_needs_one_pair_per_weight(linear, name):
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(12, 7), **ARRANGEMENTS[name])
    before = layer.state_dict()["_extra_state"]["digest"]
    with pytest.raises(sf.InvalidValueError, match="expected layers with one pair of cells"):
        PulsedSGD(layer, lr=0.1)
    assert layer.state_dict()["_extra_state"]["digest"] == before


def test_training_in_situ_works_with_bit_serial_inputs(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, input_bits=4, dac=1)
    optimizer = PulsedSGD(layer, lr=0.1)
    layer(torch.rand(4, 20)).square().sum().backward()
    optimizer.step()
    assert optimizer.report().pulses.item() > 0


@pytest.mark.parametrize(
    ("name", "of_state", "of_layer"),
    [
        ("slices", {"bits": 2, "slices": 2}, {"bits": 3, "slices": 2}),
        ("mapping", {"mapping": "offset"}, {}),
        ("g_window", {}, {"g_window": (4e-5, 1e-4)}),
    ],
)
def test_the_state_of_another_mapping_of_weights_is_refused(name, of_state, of_layer):
    state = CrossbarLinear(8, 1, seed=1, **of_state).state_dict()
    layer = CrossbarLinear(8, 1, seed=1, **of_layer)
    before = layer.cell_weight.clone()
    with pytest.raises(sf.InvalidValueError, match=f"state_dict: {name}: this layer has"):
        layer.load_state_dict(state)
    assert torch.equal(layer.cell_weight, before)


def test_states_without_a_mapping_of_weights_load():
    layer, other = (CrossbarLinear(8, 4, seed=1, order=1) for _ in range(2))
    state = layer.state_dict()
    cells = {k: v for k, v in state["_extra_state"].items()
             if k not in ("mapping", "slices", "g_window", "digest")}  # fmt: skip
    state["_extra_state"] = with_digest(cells)
    other.load_state_dict(state)
    assert torch.equal(other.cell_weight, layer.cell_weight)


@pytest.mark.parametrize("scale", ["output", "tile"])
def test_converters_of_weights_of_zero_have_the_range_of_the_window(scale):
    linear = nn.Linear(8, 3, bias=False)
    with torch.no_grad():
        linear.weight[:, :4] = 0.0  # a block of columns
    layer = CrossbarLinear.from_torch(linear, seed=1, adc=8, scale=scale, tile=(6, 4), **QUIET)
    x = torch.rand(5, 8)
    torch.testing.assert_close(layer(x), linear(x), rtol=0.0, atol=0.1)
