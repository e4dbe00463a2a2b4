"""Ranges of the converters of a network, measured with data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.torch.convert import crossbar_layers
from synfab.torch.inputs import check_network
from synfab.torch.passing import pass_batches
from synfab.torch.seen import Seen


def calibrate(
    network: nn.Module, batches: Tensor | Iterable[Tensor], *, percentile: float = 100.0
) -> dict[str, float]:
    """Set the range of every layer's converters to the currents that data cause.

    The result does not depend on how the data are divided into batches, apart from read noise. The
    ranges are kept in ``layer.options.adc_range`` and in ``state_dict``.

    Parameters
    ----------
    network
        With layers on cells that have converters (``adc``).
    batches
        Inputs of the network: one tensor, or several.
    percentile
        Percentage of the currents of a layer whose magnitudes are within the range; the others are
        clipped. 100 (default): the largest current; smaller ones leave finer steps to the rest.

    Returns
    -------
    dict
        Range of each layer, A.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        No layer has converters, or there are no data.
    """
    check_network(network)
    percent = checks.number("percentile", percentile, above=0.0, maximum=100.0)
    layers = {
        name or "layer": layer for name, layer in crossbar_layers(network)
        if layer.options.adc is not None
    }  # fmt: skip
    if not layers:
        raise InvalidValueError("network: expected layers on cells with adc, found none")
    counts = {name: Seen() for name in layers}
    for name, layer in layers.items():
        layer.seen = counts[name]
    try:
        pass_batches(network, batches)
    finally:
        for layer in layers.values():
            layer.seen = None
    found = {name: seen.percentile(percent) for name, seen in counts.items()}
    unseen = [name for name, largest in found.items() if largest == 0.0]
    if unseen:
        raise InvalidValueError(f"batches: no current in {', '.join(unseen)}")
    for name, layer in layers.items():
        layer.options = replace(layer.options, adc_range=found[name])
    return found
