"""The cells of a layer are programmed for training at its first update, not before."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from synfab.torch import (
    MixedPrecisionSGD,
    PulsedSGD,
    StochasticPulseSGD,
    TikiTaka,
    TikiTakaV2,
    convert,
    training_state,
)

METHODS = [PulsedSGD, StochasticPulseSGD, MixedPrecisionSGD, TikiTaka, TikiTakaV2]
each_method = pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)


def small_chip(seed=2):
    torch.manual_seed(3)
    return convert(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), seed=seed)


def steps_of(chip, optimizer, count):
    for k in range(count):
        optimizer.zero_grad()
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(k))
        nn.functional.cross_entropy(chip(x), torch.arange(6) % 3).backward()
        optimizer.step()


def states(chip):
    return [layer.tiles.states() for layer in (chip[0], chip[2])]


def same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return np.array_equal(np.asarray(first), np.asarray(second))


@each_method
def test_the_constructor_changes_no_layer(kind):
    chip = small_chip()
    before = copy.deepcopy(dict(chip.state_dict()))
    optimizer = kind(chip)
    assert same(dict(chip.state_dict()), before)
    assert chip[0].options.weight_range is None
    assert optimizer.report()["pulses"].sum() == 0


@each_method
def test_cells_are_programmed_once(kind):
    chip = small_chip()
    optimizer = kind(chip)
    optimizer.program()
    pulses, programmed = optimizer.report()["pulses"], states(chip)
    assert pulses.min() > 0
    optimizer.program()
    assert same(states(chip), programmed)
    assert optimizer.report()["pulses"].equals(pulses)


@each_method
def test_the_first_step_programs_the_layers_that_have_a_gradient(kind):
    chip = small_chip()
    optimizer = kind(chip)
    before = states(chip)
    chip[0](torch.rand(3, 5)).sum().backward()
    optimizer.step()
    assert not same(states(chip)[0], before[0])
    assert same(states(chip)[1], before[1])


@each_method
@pytest.mark.parametrize("begun", [False, True])
def test_a_state_continues_with_the_same_bits_before_and_after_the_programming(kind, begun):
    chip = small_chip()
    optimizer = kind(chip)
    if begun:
        optimizer.program()
    again = small_chip(seed=5)
    twin = kind(again)
    steps_of(again, twin, 1)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    again.load_state_dict(chip.state_dict())
    for pair in ((chip, optimizer), (again, twin)):
        steps_of(*pair, 2)
    assert same(training_state(chip, optimizer), training_state(again, twin))
    assert again[0].options.weight_range == chip[0].options.weight_range


def test_a_state_of_an_earlier_version_has_programmed_cells():
    chip = small_chip()
    optimizer = PulsedSGD(chip)
    optimizer.program()
    held, state = states(chip), optimizer.state_dict()
    for part in state["cells"].values():
        del part["programmed"], part["weight_range"]
    again = small_chip(seed=5)
    twin = PulsedSGD(again)
    again.load_state_dict(chip.state_dict())
    twin.load_state_dict(state)
    twin.program()
    assert same(states(again), held)


def test_a_first_gradient_that_is_not_finite_changes_no_cell():
    chip = small_chip()
    optimizer = PulsedSGD(chip)
    before = states(chip)
    chip[2].weight.grad = torch.full((3, 4), torch.nan)
    with pytest.raises(ValueError, match="grad: expected finite"):
        optimizer.step()
    assert same(states(chip), before)
