"""Networks on cells that change with time: waiting, and compensation of drift by one scale."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from synfab.cells.array import CellArray
from synfab.cells.traps import checked_temperature, checked_time
from synfab.common.errors import InvalidValueError
from synfab.engines.numba.threads import completed
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network
from synfab.torch.noise import readout_normals

Network = TypeVar("Network", bound=nn.Module)
Layers = list[tuple[str, CrossbarLayer[nn.Module]]]

# Number of calibration vectors, and the seed of their signs.
VECTORS, SIGNS = 64, 0


def wait(network: Network, seconds: float, temperature: float = 300.0) -> Network:
    """Let time pass for the cells of all layers, whose traps then change their conductances.

    Forward passes, gradients and ``to_torch`` use the changed conductances.

    Parameters
    ----------
    network
        Layer on cells, or a module that contains such layers; changed in place.
    seconds, temperature
        As in ``CellArray.wait``: s, K.

    Returns
    -------
    nn.Module
        The network itself.

    Raises
    ------
    InvalidValueError
        An argument is out of range, or the model of a layer has no traps; no cell is changed then.

    Examples
    --------
    >>> traps = sf.model.Traps([1e-3, 1.0, 1e3, 1e6], 0.5, [0.0], [5e-6])
    >>> model = sf.load_model().replace(traps=traps)
    >>> chip = sf.torch.CrossbarLinear(8, 4, model=model, seed=1)
    >>> before = chip.cell_weight.clone()
    >>> bool((sf.torch.wait(chip, 3600.0).cell_weight != before).any())
    True
    """
    layers = layers_of(network)
    duration, kelvin = checked_time("seconds", seconds), checked_temperature(temperature)
    require_traps(layers)
    waiting = [cells for _, layer in layers for cells in layer.tiles.cells]

    def everywhere() -> None:
        while waiting:
            number = step_number(waiting[-1])
            try:
                waiting[-1].wait(duration, kelvin)
            finally:  # also if an interrupt is raised after the time has passed
                if step_number(waiting[-1]) != number:
                    waiting.pop()
        for _, layer in layers:
            layer.refresh()

    completed(everywhere)
    return network


def calibrate_drift(network: nn.Module) -> None:
    """Measure the response of every layer after programming, as ``compensate_drift`` needs it.

    The response is the mean magnitude of the outputs for 64 fixed vectors of the largest input and
    random signs, read as in a forward pass, with noise. It is stored in the layer, and in its
    ``state_dict``, until the layer is programmed again.

    Raises
    ------
    InvalidValueError
        The network has no layers on cells.
    """
    for _, layer in layers_of(network):
        layer.response = _response(layer)


def compensate_drift(network: nn.Module) -> dict[str, float]:
    """Multiply the outputs of every layer by one number that restores its mean response.

    This is the global drift compensation of Joshi et al., "Accurate deep neural network inference
    using computational phase-change memory", Nature Communications 11, 2473 (2020): the summed
    response to a calibration input after programming, divided by the one now. It corrects what all
    cells of a layer have in common, and no individual changes. Call it whenever time has passed.

    Returns
    -------
    dict
        ``output_scale`` of every layer, by name.

    Raises
    ------
    InvalidValueError
        A layer was not calibrated since it was programmed.
    """
    layers = layers_of(network)
    for name, layer in layers:
        if layer.response is None:
            raise InvalidValueError(
                f"network: {name or 'layer'} was not calibrated since it was programmed; call "
                f"calibrate_drift after program"
            )
    for _, layer in layers:
        now, wanted = _response(layer), layer.response
        layer.output_scale = wanted / now if wanted and now > 0.0 else 1.0
    return {name or "layer": layer.output_scale for name, layer in layers}


def step_number(cells: CellArray) -> int:
    """Return the number of the next time step of cells with traps."""
    assert cells.traps is not None
    return cells.traps.step_number


def layers_of(network: nn.Module) -> Layers:
    """Return the layers on cells of a network that has some."""
    check_network(network)
    layers = crossbar_layers(network)
    if not layers:
        raise InvalidValueError("network: expected layers on cells, found none; use convert first")
    return layers


def require_traps(layers: Layers) -> None:
    """Raise unless the cells of all layers change with time."""
    for name, layer in layers:
        model = layer.options.model
        if model.traps is None:
            raise InvalidValueError(
                f"network: the model of {name or 'layer'}, {model.name!r}, has no traps, so its "
                f"cells do not change with time; learn.fit_traps adds them"
            )


def _response(layer: CrossbarLayer[nn.Module]) -> float:
    """Return the mean magnitude of the outputs for the calibration vectors, without the scale."""
    inputs = layer.tiles.groups * layer.tiles.shape[1]
    host = torch.device("cpu")
    signs = torch.sign(readout_normals(SIGNS, 0, inputs, 0, VECTORS, host)).to(layer.weight)
    found = layer.send(signs * (layer.options.input_range or 1.0))
    return float(found.abs().mean(dtype=torch.float64)) / layer.output_scale
