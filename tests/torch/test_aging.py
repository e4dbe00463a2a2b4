"""Networks on cells that change with time."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    calibrate_drift,
    compensate_drift,
    convert,
    measure_errors,
    monte_carlo,
    program,
    to_torch,
    wait,
)

PUBLISHED = sf.load_model("published")
TRAPS = sf.model.Traps(
    np.geomspace(1e-3, 1e6, 10), 0.5, [0.0, 1e-4], [2e-6, 6e-6], cell_spread=0.3,
    initial_occupancy=0.4,
)  # fmt: skip
MODEL = PUBLISHED.replace(name="with traps", traps=TRAPS)
# One trap, empty after programming and occupied soon after: every cell loses 30 %.
SHRINKING = sf.model.Traps(
    [1e-3, 1e-2], 1.0, [0.0, 1e-3], [0.0, 3e-4], trap_spread=0.0, initial_occupancy=0.0,
    occupancy=1.0,
)  # fmt: skip
SHRINKS = PUBLISHED.replace(name="shrinking", traps=SHRINKING)
QUIET = {"noise": False, "linear": True}
HOUR = 3600.0


@pytest.fixture
def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


def inputs(network, count=5):
    torch.manual_seed(2)
    return torch.randn(count, network[0].in_features)


def states(network):
    return [cells.r for layer in network if hasattr(layer, "tiles") for cells in layer.tiles.cells]


def test_the_cells_of_every_layer_and_tile_are_those_of_an_array_that_waits(network):
    chip = convert(network, MODEL, seed=3, tile=(8, 7))
    assert wait(wait(chip, HOUR), 1e5, 360.0) is chip
    for layer in (chip[0], chip[2]):
        targets = layer.tiles.split(layer.targets())
        for cells, wanted in zip(layer.tiles.cells, targets, strict=True):
            alone = sf.CellArray(MODEL, cells.shape, seed=3, first_cell=cells.first_cell)
            alone.set_conductance(wanted).wait(HOUR).wait(1e5, 360.0)
            np.testing.assert_array_equal(cells.r, alone.r)
            assert np.std(cells.conductance() - wanted) > 1e-6


@pytest.mark.parametrize("wires", [0.0, 2.0])
def test_the_next_forward_pass_and_its_gradient_use_the_moved_conductances(network, wires):
    chip = convert(network, MODEL, seed=3, wire_resistance=wires, **QUIET)
    x = inputs(network).requires_grad_()
    before = chip(x)
    wait(chip, HOUR)
    after = chip(x)
    assert (after - before).abs().max() > 0.01
    if wires:
        return
    plain = to_torch(chip)
    torch.testing.assert_close(after, plain(x), rtol=1e-4, atol=1e-5)
    (found,), (wanted,) = (torch.autograd.grad(made.sum(), x) for made in (after, plain(x)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_convolutions_age(network):
    del network
    layer = CrossbarConv2d(1, 2, 3, model=MODEL, seed=1, **QUIET)
    image = torch.ones(1, 1, 5, 5)
    before = layer(image)
    assert (wait(layer, HOUR)(image) != before).any()


def saved(chip):
    file = io.BytesIO()
    torch.save(chip.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_a_copy_continues_with_the_same_bits(network, way):
    chip = convert(network, MODEL, seed=3)
    calibrate_drift(chip)
    compensate_drift(wait(chip, HOUR))
    # A cell that has switched since the last step has no traps yet.
    chip[0].tiles.cells[0].apply_voltage(-2.0, where=np.arange(12) % 2 == 0)
    chip[0].refresh()
    if way == "state_dict":
        other = convert(network, MODEL, seed=4)
        other.load_state_dict(saved(chip))
    else:
        other = copy.deepcopy(chip) if way == "deepcopy" else pickle.loads(pickle.dumps(chip))
    x = inputs(network)
    assert torch.equal(chip(x), other(x))
    for mine, found in zip(states(wait(chip, 1e5)), states(wait(other, 1e5)), strict=True):
        np.testing.assert_array_equal(mine, found)
    assert compensate_drift(chip) == compensate_drift(other)
    assert torch.equal(chip(x), other(x))


def test_a_state_with_damaged_traps_is_refused(network):
    chip = wait(convert(network, MODEL, seed=3), HOUR)
    state = saved(chip)
    before = states(chip)
    state["0._extra_state"]["tile 0"]["traps_occupied"][0] += 1
    with pytest.raises(sf.FileFormatError, match="digest"):
        chip.load_state_dict(state)
    part = saved(chip)["0._extra_state"]
    del part["tile 0"]["time_step"]
    with pytest.raises(sf.SynfabError, match="time_step"):
        chip[0].set_extra_state(sf.torch.state.with_digest(part))
    for mine, found in zip(before, states(chip), strict=True):
        np.testing.assert_array_equal(mine, found)


def test_a_network_with_a_layer_that_does_not_age_is_refused(network):
    chip = convert(network, MODEL, seed=3, exceptions={"2": {"model": PUBLISHED}})
    before = states(chip)
    with pytest.raises(sf.InvalidValueError, match=r"^network: the model of 2, .* has no traps"):
        wait(chip, HOUR)
    for mine, found in zip(before, states(chip), strict=True):
        np.testing.assert_array_equal(mine, found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1.0,), "seconds"), ((np.inf,), "seconds"), ((1.0, 0.0), "temperature")],
)
def test_wrong_times_change_nothing(network, arguments, message):
    chip = convert(network, MODEL, seed=3)
    before = states(chip)
    with pytest.raises(sf.InvalidValueError, match=f"^{message}: "):
        wait(chip, *arguments)
    for mine, found in zip(before, states(chip), strict=True):
        np.testing.assert_array_equal(mine, found)


def test_one_scale_per_layer_restores_what_all_cells_have_lost(network):
    chip = convert(network, SHRINKS, seed=3, **QUIET)
    x = inputs(network)
    before, plain = chip(x), to_torch(chip)
    calibrate_drift(chip)
    wait(chip, HOUR)
    assert (chip(x) - before).abs().max() > 0.1
    assert compensate_drift(chip) == pytest.approx({"0": 1 / 0.7, "2": 1 / 0.7}, rel=1e-4)
    torch.testing.assert_close(chip(x), before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(to_torch(chip)(x), plain(x), rtol=1e-3, atol=1e-4)
    # Calling it again changes nothing, since the response is that of the cells.
    assert compensate_drift(chip) == pytest.approx({"0": 1 / 0.7, "2": 1 / 0.7}, rel=1e-4)


def test_compensation_needs_the_response_after_programming(network):
    chip = convert(network, SHRINKS, seed=3, input_range=2.0)
    with pytest.raises(sf.InvalidValueError, match=r"^network: 0 was not calibrated"):
        compensate_drift(chip)
    calibrate_drift(chip)
    assert compensate_drift(chip)["0"] == pytest.approx(1.0, abs=0.01)
    compensate_drift(wait(chip, HOUR))
    assert chip[0].output_scale > 1.3
    program(chip, "ideal")
    assert chip[0].output_scale == 1.0
    with pytest.raises(sf.InvalidValueError, match="not calibrated"):
        compensate_drift(chip)


def test_a_refresh_pulses_the_cells_that_have_left_their_targets(network):
    chip = convert(network, MODEL, seed=3)
    first = program(chip, "write-verify", tolerance=3e-6)
    wait(chip, HOUR)
    layer = chip[0]
    cells, (targets, *_) = layer.tiles.cells[0], layer.tiles.split(layer.targets())
    cycle, error = cells.cycle, np.abs(cells.conductance() - targets)
    again = program(chip, "refresh", tolerance=3e-6)
    assert 0.0 < again["pulses"].max() < first["pulses"].min()
    near = error < 2e-6
    assert near.any()
    np.testing.assert_array_equal(cells.cycle[near], cycle[near])
    assert (cells.cycle != cycle)[error > 4e-6].mean() > 0.9
    assert np.mean(np.abs(cells.conductance() - targets) <= 3.1e-6) > 0.95


@torch.no_grad()
def score(chip):
    return float(chip(torch.linspace(-1.0, 1.0, 240).reshape(20, 12)).std())


def test_many_chips_over_time(network):
    options = {"model": MODEL, "method": "ideal", "tile": (8, 8)}
    table = monte_carlo(network, score, range(3), times=[0.0, HOUR, 1e6], **options)
    assert list(table["time"]) == [0.0, HOUR, 1e6] * 3
    assert list(table["seed"]) == [0] * 3 + [1] * 3 + [2] * 3
    fresh = monte_carlo(network, score, range(3), **options)
    assert list(table[table["time"] == 0.0]["score"]) == list(fresh["score"])
    assert "time" not in fresh
    errors = table.groupby("time")["rms_error"].median()
    assert errors[0.0] < 1e-9
    assert 1e-6 < errors[HOUR] < errors[1e6]
    threads = monte_carlo(
        network, score, range(3), times=[0.0, HOUR, 1e6], workers=2, **options
    )  # fmt: skip
    kept = [name for name in table if name != "seconds"]
    assert table[kept].equals(threads[kept])
    hot = monte_carlo(network, score, range(3), times=[HOUR], temperature=400.0, **options)
    assert hot["rms_error"].median() > errors[HOUR]


def test_refreshes_are_counted_with_their_pulses_and_energy(network):
    table = monte_carlo(
        network, score, [1], model=MODEL, times=[HOUR, 3 * HOUR, 3.5 * HOUR], refresh=HOUR,
        refreshing={"tolerance": 3e-6}, programming={"tolerance": 3e-6},
    )  # fmt: skip
    assert list(table["refreshes"]) == [0, 2, 3]
    for name in ("pulses", "energy"):
        assert (np.diff(table[name]) > 0.0).all()


def test_chips_are_compensated_if_asked(network):
    options = {"model": SHRINKS, "method": "ideal", "times": [HOUR], **QUIET}
    fresh = monte_carlo(network, score, [1], model=SHRINKS, method="ideal", **QUIET)["score"][0]
    left = monte_carlo(network, score, [1], **options)["score"][0]
    restored = monte_carlo(network, score, [1], compensate=True, **options)["score"][0]
    assert left < 0.95 * fresh
    assert restored == pytest.approx(fresh, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": [2.0, 1.0]}, "times: expected ascending"),
        ({"times": []}, "times: expected a list"),
        ({"times": [-1.0]}, "times: expected"),
        ({"times": [1.0], "refresh": 0.0}, "refresh: expected"),
        ({"times": [1e9], "refresh": 1.0}, "refresh: expected at most 10000"),
        ({"refresh": 1.0}, "refresh: has no effect without times"),
        ({"compensate": True}, "compensate: has no effect without times"),
        ({"times": [1.0], "refreshing": {"retries": 1}}, "refreshing: has no effect"),
        ({"times": [1.0], "model": PUBLISHED}, "times: 'published' has no traps"),
        ({"times": [1.0], "temperature": -5.0}, "temperature: expected"),
    ],
)
def test_wrong_schedules_are_one_clear_line(network, options, message):
    with pytest.raises(sf.InvalidValueError, match=f"^{message}"):
        monte_carlo(network, score, [1], **{"model": MODEL, **options})


def test_errors_for_training_include_drift():
    options = {"model": MODEL, "method": "write-verify", "points": 3, "cells": 64}
    fresh = measure_errors(**options)
    aged = measure_errors(**options, seconds=1e6)
    assert (aged.deviation > 2.0 * fresh.deviation).all()
    with pytest.raises(sf.InvalidValueError, match="has no traps"):
        measure_errors(seconds=1.0, points=2, cells=2)


def test_a_single_layer_ages():
    layer = CrossbarLinear(4, 2, model=MODEL, seed=1)
    calibrate_drift(layer)
    assert compensate_drift(wait(layer, HOUR)).keys() == {"layer"}


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 9, 3, groups=3),
        nn.Conv1d(4, 4, 3, groups=4),
        nn.ConvTranspose2d(4, 6, 2, groups=2),
    ],
    ids=["grouped", "depthwise", "transposed"],
)
def test_drift_of_convolutions_in_groups_is_compensated(layer):
    chip = convert(layer, SHRINKS, seed=3, **QUIET)
    calibrate_drift(chip)
    wait(chip, HOUR)
    assert compensate_drift(chip)["layer"] == pytest.approx(1.0 / 0.7, rel=1e-3)
