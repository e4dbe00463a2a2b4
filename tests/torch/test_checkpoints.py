"""Training and programming of networks that were stopped resume and end with the same bits."""

import numpy as np
import pytest
import torch

import synfab as sf
from synfab.io.checkpoints import Run
from synfab.torch import (
    PulsedSGD,
    convert,
    hardware_aware,
    measure_errors,
    program,
    restore_training,
    tasks,
    training_state,
)
from synfab.torch import programming as programming_module


class PowerCutError(Exception):
    pass


def chip_and_optimizer(hidden=6, seed=3, lr=0.1, **options):
    torch.manual_seed(1)
    chip = convert(
        tasks.perceptron(tasks.synthetic(), hidden), seed=seed, weight_range=1.0, **options
    )
    return chip, PulsedSGD(chip, lr=lr)


def steps_of(chip, optimizer, count, begin=0):
    task = tasks.synthetic()
    chip.train()
    for k in range(begin, begin + count):
        part = torch.arange(8 * k, 8 * k + 8)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(chip(task.x[part]), task.label[part]).backward()
        optimizer.step()


def same(first, second):
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("options", [{}, {"engine": "array"}, {"tile": (8, 8)}])
def test_a_loaded_optimizer_continues_with_the_same_bits(tmp_path, options):
    chip, optimizer = chip_and_optimizer(**options)
    steps_of(chip, optimizer, 6)
    torch.save([chip.state_dict(), optimizer.state_dict()], tmp_path / "both.pt")
    again, twin = chip_and_optimizer(seed=9, **options)
    steps_of(again, twin, 2)
    network, pulses = torch.load(tmp_path / "both.pt", weights_only=True)
    again.load_state_dict(network)
    twin.load_state_dict(pulses)
    for pair in ((chip, optimizer), (again, twin)):
        steps_of(*pair, 6, begin=6)
    assert same(training_state(chip, optimizer), training_state(again, twin))
    assert optimizer.report().equals(twin.report())


def test_an_optimizer_pulses_the_cells_of_a_loaded_network():
    chip, optimizer = chip_and_optimizer()
    chip.load_state_dict(chip.state_dict())
    before = chip[0].tiles.states()
    steps_of(chip, optimizer, 6)
    assert (chip[0].tiles.states() != before).any()


def test_the_state_of_another_optimizer_is_refused():
    chip, optimizer = chip_and_optimizer()
    larger, other = chip_and_optimizer(hidden=7)
    finer = PulsedSGD(chip_and_optimizer()[0], lr=0.1, granularity=1e-7)
    before = training_state(chip, optimizer)
    with pytest.raises(
        sf.InvalidValueError,
        match=r"state_dict: 0: wanted: .* of shape \(6, 16\), found shape \(7, 16\)",
    ):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(sf.InvalidValueError, match="found none"):
        optimizer.load_state_dict(torch.optim.SGD(chip.parameters()).state_dict())
    with pytest.raises(sf.InvalidValueError, match="state_dict: 0: granularity: expected"):
        optimizer.load_state_dict(finer.state_dict())
    with pytest.raises(sf.InvalidValueError, match="state_dict: shape"):
        restore_training(training_state(larger, other), chip, optimizer)
    with pytest.raises(sf.FileFormatError, match="not of this network") as caught:
        restore_training({"network": {}, "optimizer": {}}, chip, optimizer)
    assert "\n" not in str(caught.value)
    assert same(before, training_state(chip, optimizer))


def software(kind):
    """A network in software and what it is trained with."""
    torch.manual_seed(1)
    network = torch.nn.Sequential(
        torch.nn.Linear(16, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.2),
        torch.nn.Linear(6, 4),
    )  # fmt: skip
    if kind == "aware":
        errors = measure_errors(points=4, cells=32)
        network = hardware_aware(network, seed=2, errors=errors)
    if kind == "tensor":
        return network, torch.optim.SGD(network.parameters(), lr=torch.tensor(0.05), momentum=0.9)
    return network, torch.optim.Adam(network.parameters(), lr=0.02)


# Stopped at the end of an epoch, a scheduler moves before this process has made a step.
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler:UserWarning")
@pytest.mark.parametrize("kind", ["pulses", "adam", "aware", "scheduled", "tensor"])
@pytest.mark.parametrize("stop", [1, 15, 16, 34])
def test_training_that_was_stopped_ends_the_same(tmp_path, monkeypatch, kind, stop):
    task = tasks.synthetic()

    def make():
        return chip_and_optimizer() if kind == "pulses" else software(kind)

    def fit(pair, **options):
        network, optimizer = pair
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)

        def after(_):
            if kind == "scheduled":
                scheduler.step()
            return tasks.accuracy(network, task)

        return tasks.fit(*pair, task, 3, after=after, stateful=[scheduler], **options)

    whole = make()
    notes = fit(whole)
    expected = training_state(*whole)
    run_tick = Run.tick

    def tick(self, step, state):
        run_tick(self, step, state)
        if step == stop:
            raise PowerCutError

    monkeypatch.setattr(Run, "tick", tick)
    with pytest.raises(PowerCutError):
        fit(make(), checkpoints=sf.Checkpoints(tmp_path, interval=0.0))
    monkeypatch.undo()
    again = make()
    found = fit(again, checkpoints=sf.Checkpoints(tmp_path, resume=True))
    assert found == notes
    assert len(found) == 3
    assert same(expected, training_state(*again))
    # The finished run is loaded as well; more epochs may follow.
    finished = make()
    assert fit(finished, checkpoints=sf.Checkpoints(tmp_path, resume=True)) == notes
    assert same(expected, training_state(*finished))
    assert not finished[0].training  # as accuracy has left it
    # The same objects once more, as in a notebook.
    assert fit(finished, checkpoints=sf.Checkpoints(tmp_path, resume=True)) == notes
    with pytest.raises(sf.InvalidValueError, match=r"^batch: "):
        fit(make(), batch=16, checkpoints=sf.Checkpoints(tmp_path, resume=True))
    with pytest.raises(sf.InvalidValueError, match=r"^epochs: "):
        tasks.fit(*make(), task, 1, checkpoints=sf.Checkpoints(tmp_path, resume=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_of_any_type_come_back(tmp_path, dtype):
    network = torch.nn.Linear(3, 2).to(dtype)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 3, dtype=dtype)).sum().backward()
    optimizer.step()
    with sf.Checkpoints(tmp_path).open({}) as run:
        run.save(1, training_state(network, optimizer))
    other = torch.nn.Linear(3, 2).to(dtype)
    moved = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    with sf.Checkpoints(tmp_path, resume=True).open({}) as run:
        restore_training(run.state, other, moved)
    assert torch.equal(other.weight, network.weight)
    assert other.weight.dtype == dtype
    for parameter, twin in zip(network.parameters(), other.parameters(), strict=True):
        momentum = moved.state[twin]["momentum_buffer"]
        assert torch.equal(momentum, optimizer.state[parameter]["momentum_buffer"])


@pytest.mark.parametrize("method", ["write-verify", "open-loop", "ideal"])
def test_programming_a_network_that_was_stopped_ends_the_same(tmp_path, monkeypatch, method):
    def make():
        torch.manual_seed(1)
        return convert(tasks.perceptron(tasks.synthetic(), 12), seed=3, tile=(8, 8))

    whole = make()
    expected = program(whole, method)
    one_tile, count = programming_module.program_cells, 0

    def counted(*arguments):
        nonlocal count
        count += 1
        if count == 5:
            raise PowerCutError
        return one_tile(*arguments)

    monkeypatch.setattr(programming_module, "program_cells", counted)
    with pytest.raises(PowerCutError):
        program(make(), method, checkpoints=tmp_path)
    (tmp_path / "step-000000000003.npz").write_bytes(b"")  # damaged: this tile and later ones again
    again = make()
    table = program(again, method, checkpoints=sf.Checkpoints(tmp_path, resume=True))
    tiles = sum(len(layer.tiles.tiles) for layer in (again[0], again[2]))
    assert count - 5 == tiles - 2
    assert table.equals(expected)
    for name in ("0", "2"):
        ours, theirs = again.get_submodule(name), whole.get_submodule(name)
        np.testing.assert_array_equal(ours.tiles.states(), theirs.tiles.states())
        assert torch.equal(ours.cell_weight, theirs.cell_weight)
    other = "ideal" if method != "ideal" else "open-loop"
    with pytest.raises(sf.InvalidValueError, match=r"^method: "):
        program(make(), other, checkpoints=sf.Checkpoints(tmp_path, resume=True))
