"""Optimizers that train on cells: each follows the equation of its paper, and resumes exactly."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.engines.numba.train_kernels import fired
from synfab.model.population import Population
from synfab.model.typical import typical_slope, typical_voltage
from synfab.programming.tiles import Tiles
from synfab.random import streams
from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    MixedPrecisionSGD,
    PulsedSGD,
    StochasticPulseSGD,
    TikiTaka,
    TikiTakaV2,
    convert,
    default_window,
    restore_training,
    training_state,
)
from synfab.torch.fast_array import FastArray
from synfab.torch.staircases import even_staircase, linear_staircase
from synfab.torch.trains import Trains, probabilities

METHODS = [PulsedSGD, StochasticPulseSGD, MixedPrecisionSGD, TikiTaka, TikiTakaV2]
UNREAD = METHODS[1:]


def name_of(kind):
    return kind.__name__


@pytest.fixture(scope="module")
def equal_cells():
    """The published technology without any scatter: every cell is the typical device."""
    model = sf.load_model()
    given = model.population
    common = given.means[np.argmax(given.weights)]
    means = np.concatenate([common[:4], np.zeros(4)])
    return model.replace(population=Population([1.0], means[None], 1e-12 * np.eye(8)[None]))


def small_chip(seed=2, **options):
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    return convert(network, seed=seed, weight_range=1.0, **options)


def steps_of(chip, optimizer, count, begin=0):
    generator = torch.Generator().manual_seed(4)
    x, label = torch.randn(400, 8, generator=generator), torch.arange(400) % 3
    for k in range(begin, begin + count):
        part = slice(10 * k, 10 * k + 10)
        optimizer.zero_grad()
        nn.functional.cross_entropy(chip(x[part]), label[part]).backward()
        optimizer.step()


def typical_conductance(model, window, amplitude):
    """Conductance (S) of the typical device after a RESET from its LRS at a voltage."""
    g = np.linspace(0.5 * window[0], window[1], 2000)
    voltage = typical_voltage(model, g)
    return np.interp(amplitude, voltage[::-1], g[::-1])


# ---- pulse trains --------------------------------------------------------------------------------


def test_trains_are_those_of_the_documented_stream():
    generator = np.random.default_rng(0)
    chance = generator.random((3, 5)).astype(np.float32)
    chance[0, 1], chance[1, 2] = 0.0, 1.0
    seed, first, number, slots = 2**40 + 7, 2**33 - 2, 2**32 - 1, 10
    found = fired(seed, first, number, chance, slots)
    for b in range(3):
        for k in range(5):
            low = np.array([(first + k) & 0xFFFFFFFF], np.uint32)
            high = np.array([(first + k) >> 32], np.uint32)
            index = np.array([(number + b) % 2**32], np.uint32)
            words = [
                w
                for j in range(3)
                for w in streams.words(seed, (low, high), index, np.uint32(7 + 256 * j))
            ]
            u = np.array([streams.uniform(w)[0] for w in words[:slots]])
            np.testing.assert_array_equal(found[b, :, k], u <= chance[b, k])


def test_the_mean_number_of_coincidences_is_the_outer_product(published):
    tiles = Tiles(published, (4, 3), (16, 16), seed=5, first_cell=0, order=1)
    trains = Trains(tiles, 31)
    generator = np.random.default_rng(1)
    x, d = generator.normal(size=(1, 3)), generator.normal(size=(1, 4))
    count, strength = 2000, 3.0
    counts = trains.coincidences(np.repeat(x, count, 0), np.repeat(d, count, 0), strength)
    wanted = -strength * d.T @ x
    assert trains.vectors == count
    found = (counts[1] - counts[0]) / count  # a RESET of G- raises the weight
    # The variance of the number of coincidences in L slots is less than its mean.
    bound = 5.0 * np.sqrt(np.abs(wanted) / count)
    assert (np.abs(found - wanted) < bound).all()
    assert ((counts[0] == 0) == (wanted > 0.0)).all()


def test_the_largest_elements_of_both_vectors_fire_equally_often():
    x, d = np.array([[10.0, -5.0], [0.0, 0.0]]), np.array([[0.1, 0.05, 0.0], [1.0, 1.0, 1.0]])
    chance_x, chance_d = probabilities(x, d, 0.25)
    np.testing.assert_allclose(chance_x, [[0.5, 0.25], [0.0, 0.0]])
    np.testing.assert_allclose(chance_d, [[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    # C_x C_d |x d|, but at most 1
    np.testing.assert_allclose(np.outer(chance_d[0], chance_x[0])[0, 0], 0.25 * 10.0 * 0.1)
    assert max(part.max() for part in probabilities(x, d, 1e6)) == 1.0


def test_groups_have_trains_of_their_own(published):
    tiles = Tiles(published, (4, 3), (16, 16), groups=2, seed=5, first_cell=0, order=1)
    x, d = np.ones((1, 6)), np.ones((1, 4))
    x[0, :3] = 0.0  # the first group has no input
    counts = Trains(tiles, 8).coincidences(x, d, 8.0)
    assert (counts[0, :2] == 0).all()
    assert (counts[0, 2:] == 8).all()  # all probabilities are 1
    assert (counts[1] == 0).all()


# ---- each method against its equation ------------------------------------------------------------


def test_pulses_of_a_staircase_move_the_typical_device_by_equal_steps(equal_cells):
    window = default_window(equal_cells)
    change = 0.02 * (window[1] - window[0])
    step = linear_staircase(equal_cells, window, change)
    amplitude, found = np.zeros(1), []
    while len(found) < 40:
        amplitude = step(amplitude)
        found.append(typical_conductance(equal_cells, window, amplitude)[0])
    assert np.diff(found) == pytest.approx(-change, rel=0.1)


def test_stochastic_pulses_on_equal_cells_are_the_outer_product(equal_cells):
    layer = CrossbarLinear(5, 4, model=equal_cells, seed=4, weight_range=1.0, noise=False)
    optimizer = StochasticPulseSGD(layer, lr=0.2)
    optimizer.program()
    writer = optimizer.layers["layer"]
    x = torch.rand(16, 5, generator=torch.Generator().manual_seed(0)) - 0.5
    d = torch.rand(16, 4, generator=torch.Generator().manual_seed(1)) - 0.5
    amplitude, twin = writer.pairs.amplitude.copy(), Trains(layer.tiles, 31)
    optimizer.zero_grad()
    (layer(x) * d).sum().backward()
    optimizer.step()
    strength = 0.2 / (writer.granularity * float(layer.weight_per_siemens))
    counts = twin.coincidences(x.double().numpy(), d.double().numpy(), strength)
    assert counts.sum() > 20
    step = linear_staircase(equal_cells, layer.options.g_window, writer.granularity)
    for k in range(counts.max()):
        amplitude = np.where(counts > k, step(amplitude), amplitude)
    np.testing.assert_array_equal(writer.pairs.amplitude, amplitude)
    wanted = typical_conductance(equal_cells, layer.options.g_window, amplitude)
    conduction = equal_cells.conduction
    found = conduction.conductance(layer.tiles.states().astype(np.float64))
    np.testing.assert_allclose(found[counts > 0], wanted[counts > 0], rtol=5e-3)


def test_mixed_precision_keeps_the_rest_of_each_sum(equal_cells):
    layer = CrossbarLinear(5, 4, model=equal_cells, seed=4, weight_range=1.0, noise=False)
    optimizer = MixedPrecisionSGD(layer, lr=0.5)
    optimizer.program()
    writer = optimizer.layers["layer"]
    start = writer.pairs.amplitude.copy()
    amplitude, chi, total = start.copy(), np.zeros((4, 5)), np.zeros((4, 5))
    step = linear_staircase(equal_cells, layer.options.g_window, writer.granularity)
    siemens = float(layer.weight_per_siemens)
    before = layer.cell_weight.double().numpy()
    for k in range(4):
        gradient = np.random.default_rng(k).normal(size=(4, 5)) * 0.1
        layer.weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        chi -= 0.5 * layer.weight.grad.double().numpy() / siemens
        n = np.trunc(chi / writer.granularity)
        chi, total = chi - n * writer.granularity, total + n
        for j in range(int(np.abs(n).max())):
            due = np.stack([-n > j, n > j])
            amplitude = np.where(due, step(amplitude), amplitude)
        np.testing.assert_allclose(writer.chi, chi, atol=1e-12)
        np.testing.assert_allclose(writer.pairs.amplitude, amplitude)
    assert (np.abs(chi) < writer.granularity).all()
    wanted = typical_conductance(equal_cells, layer.options.g_window, amplitude)
    found = equal_cells.conduction.conductance(layer.tiles.states().astype(np.float64))
    moved = amplitude > start
    np.testing.assert_allclose(found[moved], wanted[moved], rtol=5e-3)
    # On equal cells n pulses are a change of n e.
    change = layer.cell_weight.double().numpy() - before
    np.testing.assert_allclose(change, total * writer.granularity * siemens, atol=0.05)


def test_mixed_precision_has_the_momentum_of_sgd():
    chip, plain = small_chip(), nn.Linear(8, 6)
    writer = (optimizer := MixedPrecisionSGD(chip, lr=1e-4, momentum=0.9)).layers["0"]
    sgd = torch.optim.SGD(plain.parameters(), lr=1e-4, momentum=0.9)
    before = plain.weight.detach().clone()
    for k in range(3):
        for weight, method in ((chip[0].weight, optimizer), (plain.weight, sgd)):
            weight.grad = torch.full((6, 8), 0.5 - k)
            method.step()
    change = (plain.weight.detach() - before).double().numpy()
    np.testing.assert_allclose(writer.chi * chip[0].weight_per_siemens.item(), change, rtol=1e-3)


@pytest.mark.parametrize("kind", [TikiTaka, TikiTakaV2], ids=name_of)
def test_columns_of_the_fast_array_reach_the_weights_in_turn(kind):
    layer = CrossbarLinear(5, 4, seed=4, weight_range=1.0, noise=False)
    optimizer = kind(layer, lr=0.5, transfer_lr=0.5, columns=2)
    writer = optimizer.layers["layer"]
    reads, moved = [], []
    read = writer.fast.read
    writer.fast.read = lambda: reads.append(read()) or reads[-1]
    pulse = writer.pairs.pulse_times
    writer.pairs.pulse_times = lambda counts, step: moved.append(counts) or pulse(counts, step)
    x, d = torch.ones(4, 5), -torch.ones(4, 4)
    h = np.zeros((4, 5))
    for k in range(5):
        optimizer.zero_grad()
        (layer(x) * d).sum().backward()
        optimizer.step()
        columns = (2 * k + np.arange(2)) % 5
        others = np.setdiff1d(np.arange(5), columns)
        assert (moved[-1][:, :, others] == 0).all()
        if kind is TikiTakaV2:
            h[:, columns] += 0.5 * reads[-1][:, columns] / writer.granularity
            n = np.where(np.abs(h) >= 1.0, np.sign(h), 0.0)
            n[:, others] = 0.0
            h -= n
            np.testing.assert_array_equal(moved[-1][1] - moved[-1][0], n)
            np.testing.assert_allclose(writer.h, h)
    assert reads[-1].mean() > 3 * writer.granularity  # gradients of -1 raise A
    assert sum(counts[1].sum() for counts in moved) > sum(counts[0].sum() for counts in moved)


def test_transfers_of_tiki_taka_have_the_mean_of_the_equation(published):
    layer = CrossbarLinear(5, 4, seed=4, weight_range=1.0, noise=False)
    writer = TikiTaka(layer, transfer_lr=0.2).layers["layer"]
    held = 1e-5 * np.random.default_rng(0).normal(size=(4, 5))
    total = np.zeros((4, 5))
    writer.pairs.pulse_times = lambda counts, _: np.add(total, counts[1] - counts[0], out=total)
    for _ in range(500):
        writer.transfer(np.arange(5), held)
    wanted = 0.2 * held / writer.granularity
    assert (np.abs(total / 500 - wanted) < 5.0 * np.sqrt(np.abs(wanted) / 500) + 1e-9).all()


def test_alternating_pulses_bring_a_pair_to_its_symmetry_point(equal_cells):
    window = default_window(equal_cells)
    tiles = Tiles(equal_cells, (3, 4), (16, 16), seed=5, first_cell=0)
    fast = FastArray(tiles, window, 0.02 * (window[1] - window[0]), 1e-7, 0)
    fast.start(np.ones((3, 4), bool))
    high, one = np.zeros((2, 3, 4), np.int64), np.ones((3, 4), np.int64)
    high[1] = 6
    fast.pulse(high)  # away from it
    before = np.abs(np.subtract(*fast.pairs.read()))
    for _ in range(12):
        fast.pulse(np.stack([one, 0 * one]))
        fast.pulse(np.stack([0 * one, one]))
    after = np.abs(np.subtract(*fast.pairs.read()))
    assert (after < 0.6 * before).all()


def test_the_reference_is_what_a_pair_reads_after_alternating_pulses():
    optimizer = TikiTaka(CrossbarLinear(6, 5, seed=4, weight_range=1.0), zero_shift=4)
    optimizer.program()
    fast = optimizer.layers["layer"].fast
    assert (fast.pairs.amplitude > fast.pairs.begin).all()
    # Read again, pairs differ from their references by the noise of two reads.
    assert np.abs(fast.read()).max() < 2e-6
    assert np.abs(fast.reference).max() > 5e-6  # devices differ


def test_equal_steps_of_voltage_are_large_at_first(equal_cells):
    window = default_window(equal_cells)
    step = even_staircase(equal_cells, window, 0.02 * (window[1] - window[0]))
    amplitude, found = np.zeros(1), []
    for _ in range(50):
        amplitude = step(amplitude)
        found.append(typical_conductance(equal_cells, window, amplitude)[0])
    falls = -np.diff(found)
    assert falls[0] > 4.0 * falls[-1] > 0.0
    assert found[-1] == pytest.approx(window[0], rel=0.1)


# ---- what the technology cannot do ---------------------------------------------------------------


def test_a_second_pulse_of_the_same_voltage_changes_nothing():
    layer = CrossbarLinear(5, 4, seed=4, weight_range=1.0, noise=False)
    optimizer = StochasticPulseSGD(layer, lr=1.0, voltage=1.1)
    x, d = torch.ones(8, 5), -torch.ones(8, 4)
    states = []
    for _ in range(2):
        optimizer.zero_grad()
        (layer(x) * d).sum().backward()
        optimizer.step()
        states.append(layer.tiles.states())
    assert (states[0][1] != layer.tiles.states()[0]).any()
    np.testing.assert_array_equal(states[0], states[1])


def test_pairs_of_the_fast_array_start_again_when_they_are_exhausted():
    layer = CrossbarLinear(4, 3, seed=4, weight_range=1.0, noise=False)
    optimizer = TikiTakaV2(layer, lr=0.5, refresh_every=5, zero_shift=2)
    x = torch.ones(8, 4)
    for k in range(20):
        d = (-1.0) ** k * torch.ones(8, 3)
        optimizer.zero_grad()
        (layer(x) * d).sum().backward()
        optimizer.step()
    rows = optimizer.report()
    assert list(rows.index) == ["layer", "layer.fast"]
    assert rows.loc["layer.fast", "refreshed"] > 12
    fast = optimizer.layers["layer"].fast.pairs
    assert (fast.amplitude <= fast.full + 0.02).all()


# ---- optimizers of PyTorch -----------------------------------------------------------------------


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("kind", UNREAD, ids=name_of)
def test_a_loaded_method_continues_with_the_same_bits(kind, tmp_path):
    options = {"lr": 0.2, "refresh_every": 4}
    chip = small_chip()
    optimizer = kind(chip, **options)
    steps_of(chip, optimizer, 6)
    torch.save([chip.state_dict(), optimizer.state_dict()], tmp_path / "both.pt")
    again = small_chip(seed=9)
    twin = kind(again, **options)
    steps_of(again, twin, 2)
    network, state = torch.load(tmp_path / "both.pt", weights_only=True)
    again.load_state_dict(network)
    twin.load_state_dict(state)
    for pair in ((chip, optimizer), (again, twin)):
        steps_of(*pair, 6, begin=6)
    assert same(training_state(chip, optimizer), training_state(again, twin))
    assert optimizer.report().equals(twin.report())
    restore_training(training_state(chip, optimizer), again, twin)


@pytest.mark.parametrize("kind", UNREAD, ids=name_of)
def test_the_state_of_other_settings_is_refused(kind):
    chip = small_chip()
    one, other = kind(chip, refresh_every=7), kind(small_chip(), refresh_every=8)
    with pytest.raises(sf.InvalidValueError, match="state_dict: 0: refresh_every: expected 7"):
        one.load_state_dict(other.state_dict())


@pytest.mark.parametrize("kind", METHODS, ids=name_of)
def test_groups_have_hyperparameters_of_their_own(kind):
    chip = small_chip()
    frozen, bias = chip[2].tiles.states(), chip[0].bias.detach().clone()
    groups = [{"params": [chip[0].weight], "lr": 0.3}, {"params": [chip[0].bias]}]
    optimizer = kind(chip, lr=0.1, params=groups)
    assert list(optimizer.layers) == ["0"]
    steps_of(chip, optimizer, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.1]
    np.testing.assert_array_equal(chip[2].tiles.states(), frozen)
    assert not torch.equal(chip[0].bias.detach(), bias)
    optimizer.add_param_group({"params": [chip[2].weight], "lr": 0.2})
    assert list(optimizer.layers) == ["0", "2"]
    steps_of(chip, optimizer, 2)
    assert not np.array_equal(chip[2].tiles.states(), frozen)


@pytest.mark.parametrize("kind", METHODS, ids=name_of)
def test_layers_in_software_are_updated_as_by_sgd(kind):
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    chip = convert(network, seed=2, exceptions={"2": None})
    optimizer = kind(chip, lr=0.1, momentum=0.5, weight_decay=0.1)
    twin = copy.deepcopy(chip[2])
    sgd = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)
    torch.testing.assert_close(chip[2].weight, network[2].weight)
    for k in range(3):
        for mine, theirs in zip(chip[2].parameters(), twin.parameters(), strict=True):
            mine.grad = theirs.grad = torch.full_like(mine, 0.5 - k)
        optimizer.step()
        sgd.step()
    torch.testing.assert_close(chip[2].weight, twin.weight)
    assert optimizer.report()["updates"].tolist() == [0] * len(optimizer.report())


def test_only_vectors_since_the_last_zero_grad_pulse_cells():
    layer = CrossbarLinear(5, 4, seed=4, weight_range=1.0, noise=False)
    optimizer = StochasticPulseSGD(layer, lr=1.0)
    writer = optimizer.layers["layer"]
    layer(torch.ones(2, 5)).sum().backward()
    layer(torch.ones(3, 5)).sum().backward()
    assert [len(x) for x, _ in writer.recorded] == [2, 3]
    with torch.no_grad():
        layer(torch.ones(2, 5))
    assert len(writer.recorded) == 2
    copied = copy.deepcopy(layer)
    copied(torch.ones(2, 5)).sum().backward()
    assert len(writer.recorded) == 2
    optimizer.zero_grad()
    assert writer.recorded == []
    layer(torch.ones(2, 5)).sum().backward()
    layer.zero_grad()  # not of the optimizer: no gradient, so no update
    before = layer.tiles.states()
    optimizer.step()
    np.testing.assert_array_equal(layer.tiles.states(), before)
    assert writer.recorded == []


@pytest.mark.parametrize("kind", METHODS, ids=name_of)
def test_convolutions_in_groups_learn(kind):
    torch.manual_seed(0)
    layer = CrossbarConv2d(2, 2, 2, groups=2, seed=4, weight_range=2.0, noise=False)
    optimizer = kind(layer, lr=0.3 if issubclass(kind, TikiTaka) else 0.1)
    x = torch.rand(8, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    before = float(layer(x).detach().square().mean())
    for _ in range(30):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
    assert float(layer(x).detach().square().mean()) < 0.5 * before


BAD = [
    ({"lr": 0.0}, "lr: expected"),
    ({"momentum": 1.0}, "momentum: expected"),
    ({"weight_decay": -1.0}, "weight_decay: expected"),
    ({"granularity": 0.0}, "granularity: expected"),
    ({"duration": -1.0}, "duration: expected"),
    ({"params": torch.zeros(2)}, "params: expected a list of parameters"),
    ({"params": [torch.zeros(2)]}, "params: expected parameters of the network"),
    ({"params": [{"lr": 0.1}]}, "params: expected a list of parameters"),
    ({"params": 3}, "params: expected a list of parameters"),
]
UNREAD_BAD = [({"refresh_every": 0}, "refresh_every: expected")]
TRAINS_BAD = [({"slots": 0}, "slots: expected")]
OWN_BAD = {
    PulsedSGD: [],
    StochasticPulseSGD: [*UNREAD_BAD, *TRAINS_BAD, ({"voltage": -1.0}, "voltage: expected")],
    MixedPrecisionSGD: UNREAD_BAD,
    TikiTaka: [
        *UNREAD_BAD,
        *TRAINS_BAD,
        ({"transfer_lr": 0.0}, "transfer_lr: expected"),
        ({"columns": 0}, "columns: expected"),
        ({"zero_shift": -1}, "zero_shift: expected"),
    ],
}
OWN_BAD[TikiTakaV2] = OWN_BAD[TikiTaka]


@pytest.mark.parametrize("kind", METHODS, ids=name_of)
def test_bad_arguments_are_one_line_and_change_no_cell(kind):
    layer = CrossbarLinear(3, 2, seed=4)
    before = layer.tiles.states()
    for wrong, message in BAD + OWN_BAD[kind]:
        with pytest.raises((sf.InvalidValueError, sf.InvalidTypeError), match=message) as caught:
            kind(layer, **wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(sf.InvalidValueError, match="network: expected layers on cells"):
        kind(nn.Linear(3, 2))
    np.testing.assert_array_equal(layer.tiles.states(), before)
    assert layer.recorder is None


@pytest.mark.parametrize("kind", METHODS, ids=name_of)
def test_gradients_that_are_not_finite_are_refused(kind):
    layer = CrossbarLinear(3, 2, seed=4)
    optimizer = kind(layer)
    before = layer.tiles.states()
    (layer(torch.ones(2, 3)) * torch.nan).sum().backward()
    with pytest.raises(sf.InvalidValueError, match="grad: expected finite"):
        optimizer.step()
    np.testing.assert_array_equal(layer.tiles.states(), before)


def test_slopes_of_the_staircase_are_those_of_the_typical_device(published):
    window = default_window(published)
    g, slope = typical_slope(published, window)
    middle = len(g) // 2
    voltage = float(typical_voltage(published, g)[middle])
    rise = linear_staircase(published, window, 2e-6)(np.array([voltage]))[0] - voltage
    assert rise == pytest.approx(2e-6 / slope[middle], rel=1e-6)
