"""Forward passes of a network with batches of data, to measure what its layers do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError
from synfab.common.interrupts import pass_on


@torch.no_grad()
def pass_batches(network: nn.Module, batches: Tensor | Iterable[Tensor]) -> int:
    """Run a network in evaluation mode on a batch or several; return the number of samples.

    Raises
    ------
    InvalidTypeError
        A batch is no tensor.
    """
    given = (
        [batches] if isinstance(batches, Tensor)
        else checks.instance("batches", batches, Iterable, "a tensor, or several")
    )  # fmt: skip
    modes = {module: module.training for module in network.modules()}
    network.eval()
    samples = 0
    try:
        for batch in _iterated(given):
            if not isinstance(batch, Tensor):
                raise InvalidTypeError(f"batches: expected tensors, found {checks.kind_of(batch)}")
            network(batch)
            samples += len(batch) if batch.ndim else 1
    finally:
        for module, mode in modes.items():
            module.training = mode
    return samples


def _iterated(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Return an iterator over batches."""
    try:
        return iter(batches)
    except Exception as error:  # of an object that only looks iterable
        pass_on(error)
        raise InvalidTypeError(
            f"batches: expected a tensor, or several, found {checks.kind_of(batches)}"
        ) from None
