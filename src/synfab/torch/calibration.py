"""Ranges of the converters of a network, measured with data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.torch.convert import crossbar_layers
from synfab.torch.inputs import check_network
from synfab.torch.seen import Seen


@torch.no_grad()
def _iterated(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Return an iterator over batches."""
    try:
        return iter(batches)
    except Exception as error:  # of an object that only looks iterable
        pass_on(error)
        raise InvalidTypeError(
            f"batches: expected a tensor, or several, found {checks.kind_of(batches)}"
        ) from None


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
    given = (
        [batches] if isinstance(batches, Tensor)
        else checks.instance("batches", batches, Iterable, "a tensor, or several")
    )  # fmt: skip
    modes = {module: module.training for module in network.modules()}
    network.eval()
    counts = {name: Seen() for name in layers}
    for name, layer in layers.items():
        layer.seen = counts[name]
    try:
        for batch in _iterated(given):
            if not isinstance(batch, Tensor):
                raise InvalidTypeError(f"batches: expected tensors, found {checks.kind_of(batch)}")
            network(batch)
        found = {
            name: layer.seen.percentile(percent) if layer.seen else 0.0
            for name, layer in layers.items()
        }
    finally:
        for layer in layers.values():
            layer.seen = None
        for module, mode in modes.items():
            module.training = mode
    unseen = [name for name, largest in found.items() if largest == 0.0]
    if unseen:
        raise InvalidValueError(f"batches: no current in {', '.join(unseen)}")
    for name, layer in layers.items():
        layer.options = replace(layer.options, adc_range=found[name])
    return found
