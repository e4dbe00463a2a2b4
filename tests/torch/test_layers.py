import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.physics.noise import ReadNoise
from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    convert,
    default_window,
    hardware_aware,
    measure_errors,
    program,
    to_torch,
)
from synfab.torch.noise import normals_on_device, readout_normals
from synfab.torch.state import dump, with_digest

QUIET = {"noise": False, "linear": True}


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(20, 12)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, synfab; sys.exit('torch' in sys.modules or 'jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_linear_cells_without_noise_are_the_linear_layer(linear):
    x = torch.randn(7, 20)
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(8, 7), **QUIET)
    torch.testing.assert_close(layer(x), linear(x), rtol=1e-4, atol=1e-5)


def test_a_layer_reads_what_its_crossbars_read(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, noise=False)
    program(layer, "open-loop")
    x = torch.randn(5, 20)
    v = 0.2 * x / x.abs().amax(dim=1, keepdim=True)
    rows = layer.tiles.cells[0].matvec(v.T.numpy(), noise=False)
    wanted = (rows[0::2] - rows[1::2]).T
    y = (layer(x) - layer.bias).detach() / x.abs().amax(dim=1, keepdim=True) * 0.2
    got = y.double().numpy() / layer.weight_per_siemens.numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-6 * np.abs(wanted).max())


def test_noise_has_the_variance_of_the_cells(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, bandwidth=1e10)
    x = torch.linspace(-1.0, 1.0, 20).expand(4000, 20)
    with torch.no_grad():
        spread = layer(x).std(dim=0).double().numpy()
    v = 0.2 * x[0].double().numpy()
    cells = layer.tiles.cells[0]
    johnson, shot = ReadNoise.of_bandwidth(1e10).coefficients
    i = np.abs(cells.model.conduction.current(cells.r.astype(float), v[None, :]))
    variance = (johnson * i / np.abs(v) + shot * i).sum(axis=1)
    siemens = layer.weight_per_siemens.numpy() / 0.2
    wanted = siemens * np.sqrt(variance[0::2] + variance[1::2])
    np.testing.assert_allclose(spread, wanted, rtol=5.0 / np.sqrt(2 * 4000))


def test_every_readout_has_noise_of_its_own_and_it_is_counted(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    twin = copy.deepcopy(layer)
    x = torch.randn(3, 20)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert (first - second).abs().max() > 1e-3
    # Not to the bit: a product of 6 rows may be summed in another order than one of 3.
    torch.testing.assert_close(torch.cat([first, second]), twin(torch.cat([x, x])))


def test_readouts_are_numbered_modulo_2_to_the_32(linear):
    layer = CrossbarLinear.from_torch(linear, seed=3)
    layer.readout_number = 2**32 - 1
    x = torch.ones(3, linear.in_features)
    noisy = layer(x).detach()
    assert layer.readout_number == 2
    layer.load_state_dict(layer.state_dict())
    layer.readout_number = 0
    torch.testing.assert_close(layer(x[:2]).detach(), noisy[1:])


@pytest.mark.parametrize("first", [0, 2**32 - 3, 2**63 + 5])
def test_noise_is_the_same_on_any_device(first):
    arguments = (7 * 2**32 + 3, first, 37, 2**32 - 2, 5)
    fast = readout_normals(*arguments, torch.device("cpu"))
    slow = normals_on_device(*arguments, torch.device("cpu"))
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    assert fast.std() > 0.8


def test_noise_of_a_layer_is_stream_4():
    cells = sf.CellArray("published", (9, 3), seed=5)
    ours = readout_normals(5, 0, 9, 4, 6, torch.device("cpu"))
    np.testing.assert_array_equal(ours.numpy().T, cells.readout_noise(6, number=4))


def test_a_layer_in_tiles_is_the_same_chip_as_one_crossbar_after_another(linear):
    layer = CrossbarLinear.from_torch(linear, seed=3, tile=(8, 7))
    cells = layer.tiles.cells
    assert [c.shape for c in cells][:3] == [(8, 7), (8, 7), (8, 6)]
    begins = [c.first_cell for c in cells]
    assert begins == list(np.cumsum([0] + [c.size for c in cells])[:-1])
    whole = sf.CellArray("published", layer.tiles.end_cell, seed=3)
    parts = np.concatenate([c.device_parameters.reshape(-1, 8) for c in cells])
    np.testing.assert_array_equal(parts, whole.device_parameters)


@pytest.mark.parametrize("wires", [0.0, 1.0])
def test_converters_round_to_their_levels(linear, wires):
    layer = CrossbarLinear.from_torch(
        linear, seed=1, dac=1, adc=(2, 1e-4), tile=(256, 7), wire_resistance=wires, **QUIET
    )
    y = layer(torch.randn(50, 20)) - layer.bias
    # three blocks of columns with four levels each, at +-1/3 and +-1 of the range
    assert wires or len(layer.tiles.column_blocks) == 3
    x = torch.ones(1, 20)
    steps = (layer(x) - layer.bias) / layer.weight_per_siemens * 0.2 / (1e-4 / 3.0)
    torch.testing.assert_close(steps, steps.round(), rtol=0.0, atol=1e-2)
    assert torch.isfinite(y).all()


def test_an_input_of_zeros_gives_the_bias(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, **QUIET)
    y = layer(torch.stack([torch.zeros(20), torch.ones(20)]))
    assert torch.equal(y[0], layer.bias)


def test_inputs_are_clipped_at_the_input_range(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, input_range=1.0, **QUIET)
    x = torch.linspace(-3.0, 3.0, 20)[None, :]
    torch.testing.assert_close(layer(x), layer(x.clamp(-1.0, 1.0)))


def test_an_adc_clips_at_both_ends(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, adc=(6, 1e-6), **QUIET)
    y = layer(torch.ones(1, 20)) - layer.bias
    currents = y.detach() / layer.weight_per_siemens * 0.2
    assert float(currents.abs().max()) == pytest.approx(1e-6, rel=1e-4)


def test_blocks_of_columns_have_noise_of_their_own(linear):
    """As much as without converters: two blocks do not draw the same numbers."""
    plain, blocks = (
        CrossbarLinear.from_torch(linear, seed=1, bandwidth=1e10, tile=(256, 10), adc=adc)
        for adc in (None, (16, 1e-3))
    )
    x = torch.linspace(-1.0, 1.0, 20).expand(4000, 20)
    with torch.no_grad():
        spread = [layer(x).std(dim=0) for layer in (plain, blocks)]
    assert len(blocks.tiles.column_blocks) == 2
    torch.testing.assert_close(spread[0], spread[1], rtol=6.0 / np.sqrt(4000), atol=0.0)
    assert plain.readout_number == blocks.readout_number == 4000


def test_bits_leave_that_many_conductances(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, bits=2)
    assert len(np.unique(np.round(layer.targets(), 12))) == 4


def test_each_output_may_have_a_scale_of_its_own(linear):
    with torch.no_grad():
        linear.weight[0] *= 0.01
    one, each = (
        CrossbarLinear.from_torch(linear, seed=1, bits=4, scale=scale, **QUIET)
        for scale in ("layer", "output")
    )
    error = [(layer.cell_weight - linear.weight)[0].abs().max() for layer in (one, each)]
    assert error[1] < 0.1 * error[0]


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}, {"bias": False},
     {"padding": (1, 2), "padding_mode": "circular", "stride": (2, 1)}],
)  # fmt: skip
def test_a_convolution_is_a_convolution(options):
    torch.manual_seed(1)
    plain = nn.Conv2d(3, 5, (3, 2), **options)
    layer = CrossbarConv2d.from_torch(plain, seed=2, **QUIET)
    images = torch.randn(2, 3, 9, 8)
    torch.testing.assert_close(layer(images), plain(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(images[0]), plain(images[0]), rtol=1e-4, atol=1e-5)
    back = layer.to_torch()
    torch.testing.assert_close(back.weight, plain.weight, rtol=1e-4, atol=1e-5)


def test_inputs_without_a_batch_and_with_more_axes(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, **QUIET)
    for shape in ((20,), (2, 3, 20), (0, 20)):
        x = torch.randn(shape)
        torch.testing.assert_close(layer(x), linear(x), rtol=1e-4, atol=1e-5)


# ---- gradients -----------------------------------------------------------------------------------


def test_gradients_are_those_of_a_linear_layer_with_the_cells_weights(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    program(layer, "open-loop")
    x = torch.randn(6, 20, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    plain = layer.to_torch()
    seed = torch.randn(6, 12)
    layer(x).backward(seed)
    plain(twin).backward(seed)
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


def test_gradcheck_of_the_layer(linear):
    layer = CrossbarLinear.from_torch(linear.double(), seed=1, input_range=4.0, **QUIET)
    x = torch.rand(3, 20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize("linear_cells", [False, True])
def test_gradcheck_of_ideal_pairs(linear_cells):
    from synfab.torch.reading import line_currents

    conduction = sf.load_model().conduction
    v = (0.4 * torch.rand(3, 5, dtype=torch.float64) - 0.2).requires_grad_()
    r = torch.rand(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v, r: 1e5 * line_currents(conduction, v, r, linear_cells), (v, r)
    )


@pytest.mark.parametrize("linear_cells", [False, True])
def test_gradcheck_through_wires(linear_cells):
    from synfab.torch import wired_currents

    bar = sf.Crossbar(sf.CellArray("published", (4, 3), seed=1), 50.0)
    v = (0.1 + 0.2 * torch.rand(2, 3, dtype=torch.float64)).requires_grad_()
    g = (1.0 + torch.rand(4, 3, dtype=torch.float64)).requires_grad_()  # in units of 50 uS
    assert torch.autograd.gradcheck(
        lambda v, g: 1e5 * wired_currents(v, 5e-5 * g, bar, linear=linear_cells), (v, g), eps=1e-5
    )


# ---- wires ---------------------------------------------------------------------------------------


def test_a_wired_layer_reads_like_its_crossbar(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1, wire_resistance=5.0, noise=False)
    x = torch.rand(2, 20)
    v = 0.2 * (x / x.amax(dim=1, keepdim=True)).double().numpy()
    i = sf.Crossbar(layer.tiles.cells[0], 5.0).read(v.T, noise=False)
    wanted = torch.from_numpy((i[0::2] - i[1::2]).T).float() * x.amax(dim=1, keepdim=True)
    got = (layer(x) - layer.bias) * 0.2 / layer.weight_per_siemens
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-9)


def test_linear_cells_behind_wires_are_one_matrix(linear):
    options = {"seed": 1, "wire_resistance": 5.0, "noise": False}
    layer = CrossbarLinear.from_torch(linear, linear=True, **options)
    x = torch.rand(2, 20)
    bar = sf.Crossbar(layer.tiles.cells[0], 5.0)
    matrix = bar.read(np.eye(20), noise=False, linear=True)
    wanted = x @ torch.from_numpy((matrix[0::2] - matrix[1::2]).T).float()
    got = (layer(x) - layer.bias) / layer.weight_per_siemens
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-9)


# ---- state ---------------------------------------------------------------------------------------


def test_cells_of_a_loaded_state_continue_with_the_same_bits(linear, tmp_path):
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(8, 7))
    program(layer, "write-verify")
    x = torch.randn(3, 20)
    layer(x)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    other = CrossbarLinear(20, 12, seed=99, tile=(8, 7))
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    for one, two in zip(layer.tiles.cells, other.tiles.cells, strict=True):
        for pulse in (-0.7, 1.1, -2.0, 0.9, 1.5, -0.8, 1.0, -1.5, 1.2, 1.6, -2.0, 1.0):
            one.apply_voltage(pulse)
            two.apply_voltage(pulse)
        np.testing.assert_array_equal(one.r, two.r)
        np.testing.assert_array_equal(one.read(0.2), two.read(0.2))
    layer.refresh()
    other.refresh()
    assert torch.equal(layer.difference, other.difference)
    assert torch.equal(layer(x), other(x))  # noise included


def test_states_with_int16_history_load_as_float32(linear, caplog):
    """As version 0.1 wrote them: 16 bits, in steps of 1/4096."""
    layer = CrossbarLinear.from_torch(linear, seed=1, tile=(8, 7))
    program(layer, "open-loop")
    state = layer.state_dict()
    whole = {**dump(layer.tiles, brief=False), "version": 2, "layer_readout_number": 0}
    cells = {**whole, "history": "int16"}
    levels = {}
    for k in range(len(layer.tiles.cells)):
        levels[k] = (cells[f"tile {k}"]["history"] * 4096.0).round().to(torch.int16)
        cells[f"tile {k}"] = {**cells[f"tile {k}"], "history": levels[k]}
    state["_extra_state"] = with_digest({k: v for k, v in cells.items() if k != "digest"})
    other = CrossbarLinear(20, 12, seed=99, tile=(8, 7))
    other.load_state_dict(state)
    for k, (ours, theirs) in enumerate(zip(other.tiles.cells, layer.tiles.cells, strict=True)):
        np.testing.assert_array_equal(ours.r, theirs.r)
        history = ours.engine_instance.storage()["history"]
        np.testing.assert_array_equal(history * 4096.0, levels[k].numpy())
    assert "int16 history are loaded as float32" in caplog.text
    part = {**cells["tile 0"], "history": levels[0].float()}
    broken = with_digest({k: v for k, v in (cells | {"tile 0": part}).items() if k != "digest"})
    with pytest.raises(sf.FileFormatError, match="tile 0: history is missing or misshapen"):
        other.load_state_dict({**state, "_extra_state": broken})


@pytest.mark.parametrize("options", [{"engine": "array"}, {"history": "compact"}, {"order": 3}])
def test_states_load_for_every_kind_of_cells(linear, options):
    layer = CrossbarLinear.from_torch(linear, seed=1, **options)
    program(layer, "open-loop")
    other = CrossbarLinear(20, 12, seed=99, **options)
    other.load_state_dict(layer.state_dict())
    for chip in (layer, other):
        for pulse in (-2.0, 1.1, 1.6, -2.0, 0.9):
            chip.tiles.cells[0].apply_voltage(pulse)
        chip.refresh()
    assert torch.equal(layer.difference, other.difference)


def test_a_failed_load_changes_nothing(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    before = layer.state_dict()
    with pytest.raises(sf.InvalidValueError, match=r"state_dict: shape: this layer has \[12, 20\]"):
        layer.load_state_dict(CrossbarLinear(21, 12, seed=1).state_dict())
    foreign = CrossbarLinear(20, 12, seed=1, model=sf.torch.without_outliers("published"))
    with pytest.raises(sf.InvalidValueError, match="state_dict: model"):
        layer.load_state_dict(foreign.state_dict())
    with pytest.raises(sf.InvalidValueError, match="state_dict: order"):
        layer.load_state_dict(CrossbarLinear(20, 12, seed=1, order=2).state_dict())
    scaled = {**before, "weight_range": torch.ones(11)}
    with pytest.raises(sf.InvalidValueError, match="state_dict: weight_range: this layer has"):
        layer.load_state_dict(scaled)
    broken = {**before, "_extra_state": {"format": "something"}}
    with pytest.raises(sf.FileFormatError, match="format"):
        layer.load_state_dict(broken)
    assert torch.equal(layer.weight, before["weight"])
    assert layer.tiles.seed == 1


def test_copies_are_independent(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    twin = copy.deepcopy(layer)
    twin.tiles.cells[0].apply_voltage(-2.0)
    twin.refresh()
    assert not torch.equal(twin.difference, layer.difference)
    np.testing.assert_array_equal(
        layer.difference.numpy(), np.subtract(*layer.tiles.states()[::-1])
    )


def test_double_and_train_are_as_expected(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1).double()
    assert layer(torch.randn(2, 20, dtype=torch.float64)).dtype == torch.float64
    assert layer.train().training
    assert not layer.eval().training
    assert layer.to("cpu") is layer


# ---- conversion ----------------------------------------------------------------------------------


def network():
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10), nn.BatchNorm1d(10),
        nn.Linear(10, 3),
    )  # fmt: skip


def test_convert_replaces_layers_and_keeps_the_rest():
    plain = network()
    chip = convert(plain, seed=1, **QUIET)
    kinds = [type(m).__name__ for m in chip]
    assert kinds == [
        "CrossbarConv2d", "ReLU", "Flatten", "CrossbarLinear", "BatchNorm1d", "CrossbarLinear",
    ]  # fmt: skip
    assert isinstance(plain[0], nn.Conv2d)
    assert chip[4] is not plain[4]
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(chip.eval()(x), plain.eval()(x), rtol=1e-3, atol=1e-4)
    ends = [(m.tiles.first_cell, m.tiles.end_cell) for m in (chip[0], chip[3], chip[5])]
    assert ends[0][1] == ends[1][0]
    assert ends[1][1] == ends[2][0]


def test_exceptions_are_by_name_or_by_type():
    chip = convert(
        network(), seed=1, exceptions={nn.Conv2d: None, "5": {"bits": 3}, "3": {"seed": 9}}
    )
    assert isinstance(chip[0], nn.Conv2d)
    assert chip[5].options.bits == 3
    assert chip[3].tiles.seed == 9
    with pytest.raises(sf.InvalidValueError, match="no layer 'head'"):
        convert(network(), seed=1, exceptions={"head": None})


def test_in_place_and_the_way_back():
    plain = network()
    weight = plain[3].weight.detach().clone()
    assert convert(plain, seed=1, inplace=True) is plain
    assert isinstance(plain[3], CrossbarLinear)
    back = to_torch(plain)
    assert type(back[3]) is nn.Linear
    torch.testing.assert_close(back[3].weight, weight, rtol=1e-4, atol=1e-5)


def test_a_layer_used_twice_stays_one_layer():
    shared = nn.Linear(4, 4)
    chip = convert(nn.Sequential(shared, nn.ReLU(), shared), seed=1)
    assert chip[0] is chip[2]


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed: expected"),
        ({"tile": (3, 4)}, "tile: expected an even"),
        ({"tile": 16}, "tile: expected"),
        ({"g_window": (2e-4, 1e-4)}, "g_window: expected"),
        ({"g_window": (1e-5, 1.0)}, "g_window: expected"),
        ({"bits": 0}, "bits: expected"),
        ({"dac": 2.5}, "dac: expected"),
        ({"scale": "row"}, "scale: expected"),
        ({"read_voltage": 0.0}, "read_voltage: expected"),
        ({"model": "nonsense"}, "nonsense"),
        ({"bandwidth": -1.0}, "bandwidth: expected"),
        ({"volts": 1.0}, "volts: not an option"),
        ({"engine": "abacus"}, "engine: expected"),
    ],
)
def test_bad_options_are_named(change, message):
    with pytest.raises(sf.SynfabError, match=message) as caught:
        CrossbarLinear(4, 3, **{"seed": 1, **change})
    assert "\n" not in str(caught.value)


def test_a_seed_is_required():
    with pytest.raises(sf.InvalidTypeError, match="seed"):
        CrossbarLinear(4, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_weights_are_refused_and_change_nothing(linear, bad):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    before = layer.tiles.states()
    with torch.no_grad():
        layer.weight[2, 3] = bad
    with pytest.raises(sf.InvalidValueError, match="weight: expected finite"):
        program(layer)
    np.testing.assert_array_equal(layer.tiles.states(), before)
    with torch.no_grad():
        linear.weight[2, 3] = bad
    for options in ({}, {"weight_range": 5.0}):
        with pytest.raises(sf.InvalidValueError, match="0: weight: expected finite"):
            convert(nn.Sequential(linear), seed=1, **options)


def test_weights_outside_the_window_are_refused(linear):
    with pytest.raises(
        sf.InvalidValueError, match="weight: expected magnitudes up to weight_range"
    ):
        CrossbarLinear.from_torch(linear, seed=1, weight_range=0.1)


def test_bad_inputs_are_named(linear):
    layer = CrossbarLinear.from_torch(linear, seed=1)
    for x, message in (
        (torch.randn(2, 20, dtype=torch.float64), "input: expected torch.float32"),
        (torch.randn(2, 19), r"input: expected \(…, 20\), found \(2, 19\)"),
        (torch.full((1, 20), torch.nan), "input: expected finite"),
        (np.zeros((1, 20)), "input: expected a Tensor"),
        (torch.zeros(2, 20, device="meta"), "input: expected device cpu"),
    ):
        with pytest.raises(sf.SynfabError, match=message):
            layer(x)
    convolution = CrossbarConv2d(2, 3, 3, seed=1)
    for shape in ((1, 1, 5, 5), (5, 5), (1, 2, 2, 2)):
        with pytest.raises(sf.InvalidValueError, match="input: expected"):
            convolution(torch.zeros(shape))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of the compiler itself
@pytest.mark.parametrize("kind", ["cells", "hardware-aware"])
def test_a_compiled_network_reads_the_same_bits(kind):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))

    def made():
        if kind == "cells":
            return convert(network, seed=1)
        return hardware_aware(network, seed=1, errors=measure_errors(seed=2, cells=64))

    plain, other = made(), made()
    compiled = torch.compile(other, backend="eager")
    for batch in (2, 2, 5):
        x = torch.ones(batch, 1, 6, 6)
        y, z = plain(x), compiled(x)
        assert torch.equal(y, z)
        y.square().sum().backward()
        z.square().sum().backward()
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(sf.InvalidTypeError, match=r"bitz: not an option of a layer; .*\bbits\b"):
        CrossbarLinear(4, 4, seed=1, bitz=4)


def test_unsupported_arguments_are_refused():
    with pytest.raises(sf.InvalidValueError, match="in_channels: expected a multiple of groups, 2"):
        CrossbarConv2d(3, 4, 3, groups=2, seed=1)
    with pytest.raises(sf.InvalidValueError, match="padding_mode: expected one of zeros"):
        CrossbarConv2d(4, 4, 3, padding_mode="mirror", seed=1)
    with pytest.raises(sf.InvalidTypeError, match="network: expected"):
        convert("network", seed=1)


def test_the_window_lies_within_what_typical_devices_reach():
    low, high = default_window(sf.load_model())
    assert 1.5e-5 < low < 2.5e-5
    assert 1.5e-4 < high < 2.0e-4
