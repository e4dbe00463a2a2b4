import copy

import numpy as np
import pandas as pd
import pytest
import torch
from optional_models import model_with_every_part
from torch import nn

import synfab as sf
from synfab.model.population import Population
from synfab.model.scale import Scale
from synfab.torch import (
    CrossbarLinear,
    PulsedSGD,
    bake,
    convert,
    default_window,
    hardware_aware,
    measure_errors,
    monte_carlo,
    program,
    without_outliers,
)
from synfab.torch.hardware_aware import Errors


def small_network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))


def task(count=300):
    """Return three clusters of points, which a small network learns quickly."""
    generator = torch.Generator().manual_seed(4)
    label = torch.arange(count) % 3
    centre = 1.5 * torch.randn(3, 8, generator=generator)
    return centre[label] + 0.7 * torch.randn(count, 8, generator=generator), label


def fit(network, optimizer, epochs, batch=30):
    x, label = task()
    network.train()
    for _ in range(epochs):
        for begin in range(0, len(x), batch):
            part = slice(begin, begin + batch)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[part]), label[part]).backward()
            optimizer.step()
    return network


def accuracy(network):
    x, label = task()
    network.eval()
    with torch.no_grad():
        return float((network(x).argmax(dim=1) == label).float().mean())


@pytest.fixture(scope="module")
def trained():
    network = small_network()
    return fit(network, torch.optim.Adam(network.parameters(), lr=0.01), 20)


# ---- programming ---------------------------------------------------------------------------------


def test_write_verify_brings_cells_to_their_targets(trained):
    chip = convert(trained, seed=1)
    table = program(chip, "write-verify")
    tolerance = 0.01 * sf.load_model().conduction.g_llrs
    assert list(table.index) == ["0", "2"]
    assert (table["median_error"] < tolerance).all()
    assert (table["unreachable"] <= 2).all()
    assert (table["pulses"] > 5).all()
    assert (table["energy"] > 0).all()
    error = chip[0].tiles.states() - 0  # the cells moved from where ideal programming had put them
    assert not np.array_equal(error, convert(trained, seed=1)[0].tiles.states())


def test_open_loop_leaves_the_differences_of_the_devices(trained):
    chip = convert(trained, seed=1)
    table = program(chip, "open-loop")
    assert (table["rms_error"] > 3e-6).all()
    assert accuracy(chip) > 0.8


def test_ideal_programming_is_exact(trained):
    chip = convert(trained, seed=1)
    with torch.no_grad():
        chip[0].weight.mul_(-1.0)
    table = program(chip, "ideal")
    assert (table["rms_error"] < 1e-10).all()
    torch.testing.assert_close(chip[0].cell_weight, chip[0].weight, rtol=1e-4, atol=1e-5)


def test_programming_again_resets_every_cell_first(trained):
    chip = convert(trained, seed=1)
    program(chip, "write-verify")
    before = chip[0].tiles.states()
    table = program(chip, "write-verify")
    assert (table["pulses"] > 5).all()
    assert not np.array_equal(before, chip[0].tiles.states())


def test_bad_programming_is_named(trained):
    chip = convert(trained, seed=1)
    with pytest.raises(sf.InvalidValueError, match="method: expected one of ideal"):
        program(chip, "prayer")
    with pytest.raises(sf.InvalidValueError, match="network: expected layers on cells"):
        program(trained)
    with pytest.raises(sf.InvalidTypeError, match="open-loop"):
        program(chip, "open-loop", tolerance=1e-6)


# ---- Monte Carlo ---------------------------------------------------------------------------------


def test_monte_carlo_is_a_table_of_chips(trained):
    before = copy.deepcopy(trained.state_dict())
    table = monte_carlo(trained, accuracy, range(4), progress=True)
    assert isinstance(table, pd.DataFrame)
    assert list(table["seed"]) == [0, 1, 2, 3]
    assert (table["score"] > accuracy(trained) - 0.05).all()
    assert table["rms_error"].nunique() == 4
    assert all(torch.equal(before[k], v) for k, v in trained.state_dict().items())


def test_threads_do_not_change_the_table(trained):
    one, two = (
        monte_carlo(trained, accuracy, range(3), method="open-loop", workers=n).drop(
            columns="seconds"
        )
        for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)


def test_a_technology_without_outliers_keeps_its_optional_parts():
    whole = model_with_every_part()
    common = without_outliers(whole)
    assert len(common.population.weights) == 1
    assert common.population.log_spread
    assert common.scales == whole.scales
    assert common.wear_in is whole.wear_in
    assert common.failure == whole.failure


def test_a_technology_without_outliers_has_smaller_errors(trained):
    clean = without_outliers("published")
    assert len(clean.population.weights) == 2
    options = {"method": "open-loop"}
    dirty_table = monte_carlo(trained, accuracy, range(6), **options)
    clean_table = monte_carlo(trained, accuracy, range(6), model=clean, **options)
    assert clean_table["rms_error"].median() < dirty_table["rms_error"].median()


def test_bad_monte_carlo_is_named(trained):
    with pytest.raises(sf.InvalidValueError, match="seeds: expected"):
        monte_carlo(trained, accuracy, [])
    with pytest.raises(sf.InvalidTypeError, match="seeds: expected several"):
        monte_carlo(trained, accuracy, 5)
    with pytest.raises(sf.InvalidTypeError, match="evaluate: expected"):
        monte_carlo(trained, "accuracy", [1])


# ---- hardware-aware training ---------------------------------------------------------------------


def test_measured_errors_are_those_of_programming():
    errors = measure_errors("published", "open-loop", seed=9, points=5, cells=200)
    assert errors.targets.shape == errors.mean.shape == errors.deviation.shape == (5,)
    assert (errors.deviation > 2e-6).all()
    careful = measure_errors("published", "write-verify", seed=9, points=5, cells=200)
    assert (careful.deviation < errors.deviation).all()


def test_without_limits_hardware_aware_weights_are_the_weights(trained):
    aware = hardware_aware(trained, seed=1)
    torch.testing.assert_close(aware[0].weight, trained[0].weight)


def test_levels_errors_and_limits_change_the_weights(trained):
    coarse = hardware_aware(trained, seed=1, bits=2, scale="layer")
    assert len(torch.unique(coarse[0].weight.detach().mul(1e4).round())) <= 7
    errors = measure_errors(seed=9, points=5, cells=100)
    noisy = hardware_aware(trained, seed=1, errors=errors).train()
    assert not torch.equal(noisy[0].weight, noisy[0].weight)
    again = hardware_aware(trained, seed=1, errors=errors).train()
    fresh = hardware_aware(trained, seed=1, errors=errors).train()
    assert torch.equal(fresh[0].weight, again[0].weight)
    assert torch.equal(noisy.eval()[0].weight, noisy[0].weight)
    wired = hardware_aware(trained, seed=1, wire_resistance=20.0)
    assert wired[0].weight.abs().sum() < trained[0].weight.abs().sum()
    window = (2e-5, 2.5e-4)  # above what most devices reach
    frozen = hardware_aware(trained, seed=1, chip=5, g_window=window)
    assert not torch.allclose(frozen[0].weight, trained[0].weight)


def test_weights_of_zero_stay_zero():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    assert not hardware_aware(nn.Sequential(layer), seed=1)[0].weight.any()


def test_each_layer_has_errors_of_its_own(trained):
    twins = nn.Sequential(trained[0], copy.deepcopy(trained[0]))
    aware = hardware_aware(twins, seed=1, errors=measure_errors(seed=9, points=3, cells=20))
    first, second = aware.train()[0].weight, aware[1].weight
    assert (first != second).float().mean() > 0.9


def test_errors_in_training_are_as_large_as_measured():
    """Weights at the end of the window: G+ at its top and G- at its bottom."""
    layer = nn.Linear(40, 50)
    nn.init.constant_(layer.weight, 0.1)
    low, high = window = default_window(sf.load_model())
    errors = Errors(np.array(window), np.array([0.0, 4e-6]), np.array([1e-6, 3e-6]))
    aware = hardware_aware(nn.Sequential(layer), seed=1, errors=errors).train()
    siemens = aware[0].weight.detach().double().numpy() * (high - low) / 0.1
    # 2,000 weights: standard errors .022 of the mean's unit, .016 of the deviation.
    assert siemens.mean() - (high - low) == pytest.approx(4e-6, abs=4.5 * 0.0224 * 10**0.5 * 1e-6)
    assert siemens.std() == pytest.approx(10**0.5 * 1e-6, rel=4.5 * 0.016)


def test_a_chip_s_devices_set_limits_of_their_own():
    layer, window = nn.Linear(5, 4), (1.2e-5, 2.3e-4)

    def limits(seed, chip):
        aware = hardware_aware(nn.Sequential(layer), seed=seed, chip=chip, g_window=window)
        return aware[0].parametrizations.weight[0].limits

    lowest, highest = limits(1, 5)
    mu = sf.CellArray("published", (8, 5), seed=5).device_parameters.astype(np.float64)
    pairs = mu.reshape(4, 2, 5, 8).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(lowest, np.clip(10.0 ** -pairs[..., 0], *window))
    np.testing.assert_allclose(highest, np.clip(1.0 / pairs[..., 2], *window))
    assert torch.equal(limits(2, 5)[1], highest)
    assert not torch.equal(limits(1, 6)[1], highest)


def test_a_chip_s_limits_are_conductances_whatever_the_scales():
    published = sf.load_model("published")
    given, window = published.population, (1e-5, 2.6e-4)
    means, factors = given.means.copy(), given.factors.copy()
    factors[:, 2] /= np.log(10.0) * means[:, 2:3]
    means[:, 2] = np.log10(means[:, 2])
    population = Population(given.weights, means, factors)
    scales = (Scale("log"), Scale(), Scale("log"), Scale())
    model = published.replace(scales=scales, population=population)

    def median(model):
        aware = hardware_aware(
            nn.Sequential(nn.Linear(9, 8)), seed=1, chip=5, model=model, g_window=window
        )
        return [side.median() for side in aware[0].parametrizations.weight[0].limits]

    np.testing.assert_allclose(median(model), median(published), rtol=0.05)


def test_wires_in_training_are_those_of_the_layer(trained):
    aware = hardware_aware(trained, seed=1, wire_resistance=20.0).eval()
    chip = convert(trained, seed=1, wire_resistance=20.0, linear=True, noise=False).eval()
    x, _ = task(20)
    torch.testing.assert_close(aware(x), chip(x), rtol=1e-3, atol=1e-3)


def test_gradients_pass_the_limits(trained):
    aware = hardware_aware(trained, seed=1, bits=3, wire_resistance=5.0, clip=2.0)
    x, label = task(30)
    nn.functional.cross_entropy(aware(x), label).backward()
    grad = aware[0].parametrizations.weight.original.grad
    assert torch.isfinite(grad).all()
    assert (grad != 0).float().mean() > 0.5


def test_baked_weights_are_clipped_and_the_trained_network_stays(trained):
    aware = hardware_aware(trained, seed=1, clip=1.0)
    plain = bake(aware)
    assert type(plain[0]) is nn.Linear
    assert plain[0].weight.abs().max() < trained[0].weight.abs().max()
    torch.testing.assert_close(plain[0].weight, aware[0].weight)
    assert accuracy(aware) > 0.5


def test_hardware_aware_training_recovers_half_of_the_loss_of_coarse_cells(trained):
    options = {"bits": 2, "wire_resistance": 40.0}
    errors = measure_errors(seed=9, points=8, cells=200)
    aware = hardware_aware(trained, seed=1, errors=errors, clip=2.5, **options)
    fit(aware, torch.optim.Adam(aware.parameters(), lr=0.01), 4)
    common = {"method": "open-loop", "linear": True, **options}
    before = monte_carlo(trained, accuracy, range(5), **common)["score"].median()
    after = monte_carlo(bake(aware), accuracy, range(5), **common)["score"].median()
    software = accuracy(trained)
    assert software - after <= 0.5 * (software - before)


def test_bad_hardware_is_named(trained):
    for options, message in (
        ({"bits": 0}, "bits"),
        ({"clip": -1.0}, "clip"),
        ({"g_window": (1.0, 2.0)}, "g_window"),
    ):
        with pytest.raises(sf.InvalidValueError, match=message):
            hardware_aware(trained, seed=1, **options)
    with pytest.raises(sf.InvalidValueError, match="network: expected"):
        hardware_aware(nn.ReLU(), seed=1)
    with pytest.raises(sf.InvalidValueError, match="method"):
        measure_errors("published", "ideal")


# ---- training in situ ----------------------------------------------------------------------------


def test_a_network_learns_in_situ():
    chip = convert(small_network(), seed=2, weight_range=1.0)
    optimizer = PulsedSGD(chip, lr=0.2)
    start = optimizer.report()
    fit(chip, optimizer, 12)
    assert accuracy(chip) > 0.9
    report = optimizer.report()
    assert (report["pulses"] > start["pulses"]).all()
    assert (report["energy"] > start["energy"]).all()
    assert (report["cycles_a_cell"] >= 1.0).all()
    assert (report["updates"] == 120).all()


def test_a_weight_rises_by_a_reset_of_its_negative_cell():
    layer = CrossbarLinear(1, 1, bias=False, seed=4, weight_range=1.0)
    with torch.no_grad():
        layer.weight.fill_(0.1)
    optimizer = PulsedSGD(layer, lr=1.0)
    optimizer.program()
    plus, minus = (x.item() for x in layer.tiles.states())
    for _ in range(10):
        layer.weight.grad = torch.full((1, 1), -0.02)
        optimizer.step()
    after_plus, after_minus = (x.item() for x in layer.tiles.states())
    assert after_plus == plus
    assert after_minus > minus + 0.05


def test_a_pair_at_the_end_of_the_window_is_refreshed_with_its_difference():
    layer = CrossbarLinear(6, 5, seed=4, weight_range=1.0)
    optimizer = PulsedSGD(layer, lr=1.0)
    writer = optimizer.layers["layer"]
    first = writer.pairs.refreshed
    for sign in (1.0, -1.0) * 8:
        for _ in range(8):
            layer.weight.grad = torch.full((5, 6), sign * 0.1)
            optimizer.step()
    assert writer.pairs.refreshed > first
    assert layer.weight.abs().max() < 1.2
    held = layer.cell_weight.reshape(5, 6)
    torch.testing.assert_close(held, layer.weight.detach(), rtol=0.0, atol=0.02)


def test_a_refresh_applies_the_sum_of_its_pair_and_leaves_other_pairs_unchanged():
    layer = CrossbarLinear(4, 3, seed=4, weight_range=1.0)
    writer = PulsedSGD(layer).layers["layer"]
    writer.program()
    one = np.zeros((3, 4), bool)
    one[1, 2] = True
    writer.wanted[:] = 0.4 * writer.granularity
    writer.wanted[one] = 0.2 * writer.pairs.span
    g, amplitude = writer.pairs.g.copy(), writer.pairs.amplitude.copy()
    writer.refresh(one)
    assert writer.wanted[1, 2] == 0.0
    assert (writer.wanted[~one] == 0.4 * writer.granularity).all()
    np.testing.assert_array_equal(writer.pairs.g[:, ~one], g[:, ~one])
    np.testing.assert_array_equal(writer.pairs.amplitude[:, ~one], amplitude[:, ~one])
    risen = (writer.pairs.g[0] - writer.pairs.g[1]) - (g[0] - g[1])
    assert risen[1, 2] == pytest.approx(0.2 * writer.pairs.span, abs=0.03 * writer.pairs.span)


def test_a_pulse_updates_the_state_of_its_cell_only():
    writer = PulsedSGD(CrossbarLinear(4, 3, seed=4, weight_range=1.0)).layers["layer"]
    writer.program()
    assert (writer.pairs.amplitude >= writer.pairs.begin).all()
    one = np.zeros((2, 3, 4), bool)
    one[1, 0, 2] = True
    g, amplitude, wanted = (
        writer.pairs.g.copy(),
        writer.pairs.amplitude.copy(),
        writer.wanted.copy(),
    )
    writer.pulse(np.where(one, 1.2, np.nan))
    np.testing.assert_array_equal(writer.pairs.g[~one], g[~one])
    np.testing.assert_array_equal(writer.pairs.amplitude, np.where(one, 1.2, amplitude))
    assert writer.pairs.g[one] < g[one]
    wanted[0, 2] -= g[1, 0, 2] - writer.pairs.g[1, 0, 2]
    np.testing.assert_allclose(writer.wanted, wanted)


def test_small_changes_add_up_to_a_pulse():
    layer = CrossbarLinear(4, 3, seed=4, weight_range=1.0)
    optimizer = PulsedSGD(layer, lr=1.0, granularity=2e-6)
    optimizer.program()
    writer = optimizer.layers["layer"]
    siemens = float(layer.weight_per_siemens)
    pulses = optimizer.report()["pulses"].item()
    for k in range(3):
        assert optimizer.report()["pulses"].item() == pulses
        np.testing.assert_allclose(writer.wanted, 0.7e-6 * k, rtol=1e-5, atol=1e-12)
        layer.weight.grad = torch.full((3, 4), -0.7e-6 * siemens)
        optimizer.step()
    assert optimizer.report()["pulses"].item() == pulses + 12


def test_pulses_stop_at_the_end_of_the_window():
    """Gradients of one sign: the G- cells stop at the lower end of the window."""
    layer = CrossbarLinear(6, 5, seed=4, weight_range=1.0)
    optimizer = PulsedSGD(layer, lr=1.0)
    writer = optimizer.layers["layer"]
    for _ in range(40):
        layer.weight.grad = torch.full((5, 6), -0.1)
        optimizer.step()
        assert (writer.pairs.g[1] > writer.pairs.low - writer.granularity).all()
    assert (writer.pairs.g[1] < writer.pairs.low + 0.2 * writer.pairs.span).mean() > 0.8


def test_a_cell_at_the_last_voltage_is_refreshed_instead_of_pulsed():
    layer = CrossbarLinear(4, 3, seed=4, weight_range=1.0)
    optimizer = PulsedSGD(layer, lr=1.0)
    optimizer.program()
    writer = optimizer.layers["layer"]
    writer.pairs.amplitude[1, 0, 2] = writer.pairs.limit - 1e-4
    before = writer.pairs.refreshed
    layer.weight.grad = torch.full((3, 4), -0.1)
    optimizer.step()
    assert writer.pairs.refreshed == before + 1
    assert writer.pairs.amplitude[1, 0, 2] < writer.pairs.limit - 1e-4


def test_other_parameters_are_updated_digitally():
    chip = convert(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), seed=1, exceptions={"1": None})
    optimizer = PulsedSGD(chip, lr=0.1)
    before = chip[1].weight.detach().clone()
    chip(torch.ones(1, 4)).sum().backward()
    grad = chip[1].weight.grad.clone()
    optimizer.step()
    torch.testing.assert_close(chip[1].weight.detach(), before - 0.1 * grad)


def test_bad_training_is_named():
    chip = convert(nn.Sequential(nn.Linear(4, 3)), seed=1)
    with pytest.raises(sf.InvalidValueError, match="network: expected layers on cells"):
        PulsedSGD(nn.Linear(2, 2))
    with pytest.raises(sf.InvalidTypeError, match="network"):
        PulsedSGD(chip.parameters())
    with pytest.raises(sf.InvalidValueError, match="lr"):
        PulsedSGD(chip, lr=0.0)
    with pytest.raises(sf.InvalidValueError, match="granularity"):
        PulsedSGD(chip, granularity=-1.0)
    optimizer = PulsedSGD(chip)
    states = chip[0].tiles.states()
    chip[0].weight.grad = torch.full((3, 4), torch.nan)
    with pytest.raises(sf.InvalidValueError, match="grad: expected finite"):
        optimizer.step()
    np.testing.assert_array_equal(states, chip[0].tiles.states())


def test_weights_have_headroom_to_grow_without_a_weight_range():
    chip = convert(small_network(), seed=2)
    first = [chip[k].weight_range.max().item() for k in (0, 2)]
    optimizer = PulsedSGD(chip, lr=0.2)
    fit(chip, optimizer, 12)
    assert accuracy(chip) > 0.9
    for k, before in zip((0, 2), first, strict=True):
        assert chip[k].weight_range.max() > 4.0 * before
        assert chip[k].weight.abs().max() < 0.98 * chip[k].weight_range.max()
    assert (optimizer.report()["pulses_a_cell"] < 40).all()
    given = convert(small_network(), seed=2, weight_range=1.0)
    PulsedSGD(given)
    assert given[0].weight_range.item() == 1.0


def test_digital_parameters_have_momentum_and_weight_decay_as_in_sgd():
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    chip = convert(network, seed=1, exceptions={"1": None}, noise=False)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    ours, twin = PulsedSGD(chip, **options), copy.deepcopy(chip[1])
    theirs = torch.optim.SGD(twin.parameters(), **options)
    for k in range(3):
        for one, two in zip(chip[1].parameters(), twin.parameters(), strict=True):
            one.grad = two.grad = torch.full_like(one, 0.5 - k)
        ours.step()
        theirs.step()
    torch.testing.assert_close(chip[1].weight, twin.weight)
    with pytest.raises(sf.InvalidValueError, match="momentum"):
        PulsedSGD(chip, momentum=1.0)


def test_hardware_aware_layers_may_be_split_or_omitted_and_others_are_named():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.memory, self.last = nn.LSTM(4, 3), nn.Linear(3, 2)
            self.table = nn.Embedding(5, 4)

        def forward(self, index):
            return self.last(self.memory(self.table(index))[0])

    torch.manual_seed(0)
    network, index = Network(), torch.tensor([[0, 1], [2, 3]])
    with pytest.warns(UserWarning, match="stay in software: table"):
        aware = hardware_aware(network, seed=1)
    torch.testing.assert_close(aware(index), network(index))
    plain = bake(aware)
    assert type(plain.memory) is nn.LSTM
    torch.testing.assert_close(plain(index), network(index))
    with pytest.raises(sf.InvalidValueError, match="hardware-aware; pass the result of bake"):
        convert(aware, seed=1, exceptions={"table": None})
    kept = hardware_aware(network, seed=1, exceptions={"memory": None, nn.Embedding: None})
    assert type(kept.memory) is nn.LSTM
    with pytest.raises(sf.InvalidValueError, match="exceptions: expected None"):
        hardware_aware(network, seed=1, exceptions={"memory": {"bits": 2}})
    network.last = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network.last[1].weight = network.last[0].weight
    with pytest.raises(sf.InvalidValueError, match=r"last\.0 and last\.1 share a weight"):
        hardware_aware(network, seed=1)


def test_hardware_aware_errors_are_repeated_by_checkpointing(trained):
    from torch.utils.checkpoint import checkpoint

    errors = measure_errors(seed=9, points=3, cells=20)
    plain, saving = (hardware_aware(trained, seed=1, errors=errors).train() for _ in range(2))
    x, _ = task(20)
    for _ in range(2):
        plain(x).square().sum().backward()
        checkpoint(saving, x, use_reentrant=False).square().sum().backward()
    for one, two in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)
