"""Layers, optimizers and training in PyTorch: how they are made, used and described."""

import numpy as np
import torch
from torch import nn

from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    PulsedSGD,
    convert,
    hardware_aware,
    measure_errors,
    program,
    tasks,
)

X = torch.linspace(-1.0, 1.0, 20).reshape(4, 5)
IMAGE = torch.linspace(-1.0, 1.0, 32).reshape(1, 2, 4, 4)


def _numbers(outputs, inputs):
    """Weights without a random generator."""
    return torch.linspace(-1.0, 1.0, outputs * inputs).roll(3).reshape(outputs, inputs)


# Name: how a layer is made; its weights stand in the state.
LAYERS = {
    "linear": lambda model: CrossbarLinear(
        5, 3, model=model, seed=7, order=1, tile=(2, 4), dac=8, adc=(10, 2e-5), input_range=1.0,
        scale="output",
    ),
    "compact": lambda model: CrossbarLinear(5, 3, model=model, seed=8, history="compact"),
    # Made with engine="torch".
    "torch": lambda model: CrossbarLinear(5, 3, False, model=model, seed=9, engine="array"),
    "wired": lambda model: CrossbarLinear(
        5, 3, model=model, seed=9, history="compact", wire_resistance=2.0
    ),
    "convolution": lambda model: CrossbarConv2d(
        2, 3, 3, padding=1, model=model, seed=10, history="compact", first_cell=100
    ),
}  # fmt: skip


@torch.no_grad()
def pulse(layer, first, last):
    """Pulse the cells of a layer from outside."""
    for k in range(first, last):
        for number, cells in enumerate(layer.tiles.cells):
            u = np.linspace(-0.9, 1.3, cells.size, dtype=np.float32)
            cells.apply_voltage(np.roll(u, 5 * k + number).reshape(cells.shape))
    layer.refresh()


@torch.no_grad()
def read(layer):
    """Return what a layer gives, with noise, and what it holds."""
    x = IMAGE if isinstance(layer, CrossbarConv2d) else X
    cells = layer.tiles.cells
    found = {
        "output": torch.stack([layer(x), layer(x)]), "weight": layer.weight,
        "cell_weight": layer.cell_weight, "weight_range": layer.weight_range,
        "readout_number": [layer.readout_number, *(part.readout_number for part in cells)],
        "read_number": [part.read_number for part in cells],
        "cycle": np.concatenate([np.asarray(part.cycle).ravel() for part in cells]),
        "r": np.concatenate([np.asarray(part.r).ravel() for part in cells]),
        "cell_read": np.concatenate([np.asarray(part.read()).ravel() for part in cells]),
    }  # fmt: skip
    return plain(found)


def plain(found):
    """Return everything as arrays."""
    return {
        name: value.detach().numpy().copy() if isinstance(value, torch.Tensor)
        else np.asarray(value) for name, value in found.items()
    }  # fmt: skip


# ---- networks -----------------------------------------------------------------------------------


def software(shift=0):
    """Return a network whose weights are the same on every machine."""
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.weight.copy_(_numbers(*layer.weight.shape).roll(shift))
            layer.bias.fill_(0.05)
    return network


def task():
    """Return samples whose values are exact."""
    k = torch.arange(48 * 6)
    x = (((k * 37) % 64).float() / 32.0 - 1.0).reshape(48, 6)
    label = torch.arange(48) % 3
    return tasks.Task(x, label, x[:12], label[:12])


def chip(model, shift=0, **options):
    """Return a network on cells."""
    return convert(software(shift), model, seed=3, weight_range=1.0, **options)


def aware(model, shift=0):
    """Return a network that has the errors of cells, drawn again in every pass."""
    errors = measure_errors(model, points=4, cells=32)
    return hardware_aware(software(shift), model, seed=2, errors=errors, scale="layer")


def train(network, optimizer, first, last):
    """Train on batches number ``first`` … ``last`` - 1."""
    samples = task()
    network.train()
    for k in range(first, last):
        part = torch.arange(8 * k, 8 * k + 8) % len(samples.x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(samples.x[part]), samples.label[part]).backward()
        optimizer.step()


def pulsed(network):
    """Return an optimizer that pulses the cells."""
    return PulsedSGD(network, lr=0.1)


def adam(network):
    """Return an optimizer in software."""
    return torch.optim.Adam(network.parameters(), lr=0.02)


# Name: a network and what trains it.
TRAININGS = {
    "pulses": lambda model, shift: (chip(model, shift, history="compact"), pulsed),
    "aware": lambda model, shift: (aware(model, shift), adam),
}


def training(name, model, shift=0):
    """Return a network, its optimizer and a scheduler, as at the beginning of training."""
    network, make = TRAININGS[name](model, shift)
    optimizer = make(network)
    return network, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


def fit(network, optimizer, scheduler, checkpoints):
    """Train two epochs of six batches with checkpoints; return the learning rates."""

    def after(_):
        scheduler.step()
        return scheduler.get_last_lr()[0]

    return tasks.fit(
        network, optimizer, task(), 2, batch=8, after=after, stateful=[scheduler],
        checkpoints=checkpoints,
    )  # fmt: skip


def outcome(network, optimizer):
    """Return weights, cells and costs of a network."""
    found = {
        name: value for name, value in network.state_dict().items()
        if isinstance(value, torch.Tensor)
    }  # fmt: skip
    if isinstance(optimizer, PulsedSGD):
        report = optimizer.report()
        found |= {f"report/{column}": report[column].to_numpy() for column in report}
        for name in ("0", "2"):
            cells = network.get_submodule(name).tiles.cells
            found[f"{name}.r"] = np.concatenate([part.r.ravel() for part in cells])
            found[f"{name}.cycle"] = np.concatenate([part.cycle.ravel() for part in cells])
    network.eval()
    with torch.no_grad():
        found["output"] = network(task().x_test)
    return plain(found)


def tiled(model):
    """Return a network on tiles of which the first layer has four."""
    return chip(model, order=1, history="compact", tile=(2, 3))


def programmed(network, checkpoints):
    """Program a network by write and verify; return the table and the cells."""
    table = program(network, "write-verify", retries=3, checkpoints=checkpoints)
    found = {column: table[column].to_numpy() for column in table}
    for name in ("0", "2"):
        layer = network.get_submodule(name)
        found[f"{name}.r"] = np.concatenate([cells.r.ravel() for cells in layer.tiles.cells])
        found[f"{name}.held"] = layer.cell_weight
    return plain(found)
