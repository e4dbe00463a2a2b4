"""Input vectors as voltages of the columns: ranges, converters and slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from synfab.common.errors import InvalidValueError
from synfab.torch.reading import rounded
from synfab.torch.slicing import input_factors, input_slices

if TYPE_CHECKING:
    from synfab.torch.options import LayerOptions


class Driven(NamedTuple):
    """Voltages of the columns, and what turns currents into outputs again."""

    v: Tensor  # (B * slices, groups, inputs), V; the slices of a vector are consecutive
    largest: Tensor  # input that is applied as the read voltage, (B, groups, 1 or blocks)
    magnified: Tensor  # a power of two by which it was multiplied, of the same shape
    factors: Tensor | None  # of each slice, (slices,); None: one slice

    def joined(self, values: Tensor) -> Tensor:
        """Return values of slices, (B * slices, outputs), shifted and added, (B, outputs)."""
        if self.factors is None:
            return values
        parts = values.reshape(-1, len(self.factors), values.shape[1])
        return (parts * self.factors[:, None]).sum(dim=1)

    def scaled(self, values: Tensor, block: int) -> Tensor:
        """Multiply values (B, outputs) with the range of each vector in a block, in place."""
        groups = self.largest.shape[1]
        each = values.reshape(len(values), groups, -1)
        return each.mul_(self.largest[..., block, None]).reshape(values.shape)

    def unmagnified(self, values: Tensor, block: int) -> Tensor:
        """Undo the magnification of small inputs in values (B, outputs), in place."""
        # Exact, and without effect for inputs of usual size.
        groups = self.magnified.shape[1]
        each = values.reshape(len(values), groups, -1)
        return each.div_(self.magnified[..., block, None]).reshape(values.shape)


def drive(options: LayerOptions, x: Tensor, groups: int, blocks: Sequence[slice]) -> Driven:
    """Return the voltages for vectors (B, groups * inputs); ``blocks`` of columns share a tile.

    Raises
    ------
    InvalidValueError
        An input is not finite.
    """
    size = options.input_range
    parts = x.reshape(len(x), groups, -1)
    by_tile = options.input_scale == "tile"
    largest = torch.cat(
        [parts[..., block].abs().amax(dim=2, keepdim=True)
         for block in (blocks if by_tile else [slice(None)])], dim=2,
    )  # fmt: skip
    if size is not None:
        largest = torch.full_like(largest, size)
    # With a range of its own a layer would clip infinity, and pass NaN on.
    if not bool(torch.isfinite(largest if size is None else x).all()):
        raise not_finite()
    magnified = _magnification(largest)
    largest = largest * magnified
    largest = torch.where(largest > 0.0, largest, 1.0)
    lengths = torch.tensor([b.stop - b.start for b in blocks], device=x.device) if by_tile else None

    def spread(each: Tensor) -> Tensor:
        return each if lengths is None else each.repeat_interleave(lengths, dim=2)

    v = (parts * spread(magnified)).mul_(spread(options.read_voltage / largest))
    if size is not None:
        v = v.clamp_(-options.read_voltage, options.read_voltage)
    if options.input_bits is not None and options.dac is not None:
        v = input_slices(v, options.read_voltage, options.input_bits, options.dac).flatten(0, 1)
        factors = v.new_tensor(input_factors(options.input_bits, options.dac))
        return Driven(v, largest, magnified, factors)
    if options.dac is not None:
        v = rounded(v, options.read_voltage, options.dac)
    return Driven(v, largest, magnified, None)


def not_finite() -> InvalidValueError:
    """Return the error for inputs that are not finite."""
    return InvalidValueError("input: expected finite numbers, found NaN or infinity")


def _magnification(largest: Tensor) -> Tensor:
    """Return 1, or a power of two for inputs so small that their reciprocal would overflow."""
    limits = torch.finfo(largest.dtype)
    digits = 24 if largest.dtype == torch.float32 else 53
    small = (largest > 0.0) & (largest < limits.tiny * 2.0**digits)
    return torch.where(small, 4.0**digits, 1.0).to(largest)
