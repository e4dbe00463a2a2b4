"""Weights and inputs in slices: digits that cells hold, and digits that are sent one after another.

A weight with n = bits * slices bits is a number of ``slices`` digits in base 2**bits, the most
significant first; every digit is the level of one cell (or of one pair). An input with
``input_bits`` bits of magnitude is a number of digits in base 2**dac, which are sent as voltages
one after another; its sign is their polarity. The converted currents are shifted and added:

    y = sum_k a_k sum_s c_s (currents of input slice k and weight slice s)

(bit slices as in Shafiee et al., ISCA 2016, doi:10.1109/ISCA.2016.12, with signs as polarities.)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, GridShape
from synfab.programming.mapping import MAX_BITS


def check_weight_slices(mapping: str, bits: int | None, slices: int, tile: GridShape) -> None:
    """Raise unless weights can be divided into slices that fit the rows of a tile."""
    if slices > 1 and bits is None:
        raise InvalidValueError("slices: expected bits, the bits of each slice, as well")
    whole = slices * (bits or 1)
    if whole > MAX_BITS:
        raise InvalidValueError(
            f"slices: expected at most {MAX_BITS} bits in all, found {slices} x {bits}"
        )
    if mapping != "offset":
        return
    if bits is not None and whole < 2:
        raise InvalidValueError("bits: expected 2 bits of a weight or more with offset mapping")
    if tile[0] < 2 * slices:
        raise InvalidValueError(
            f"tile: expected at least {2 * slices} rows, for one output and the references of "
            f"{slices} slices, found {tile[0]}"
        )


def check_input_slices(input_bits: int | None, dac: int | None) -> None:
    """Raise unless inputs can be divided into slices of the converters that drive the columns."""
    if input_bits is None:
        return
    if dac is None:
        raise InvalidValueError("input_bits: expected dac, the bits of each slice, as well")
    if dac > input_bits:
        raise InvalidValueError(
            f"dac: expected at most the {input_bits} bits of an input, found {dac}"
        )


# ---- weights ------------------------------------------------------------------------------------


def pair_levels(part: Array, bits: int | None, slices: int) -> Array:
    """Return levels of G+ and G- (0 … 1) for weights in -1 … 1: (2, outputs * slices, inputs).

    The slices of an output are consecutive. Weights are (outputs, inputs).
    """
    levels = np.clip(np.stack([part, -part]), 0.0, 1.0)
    if bits is None:
        return np.asarray(levels)
    if slices == 1:
        top = 2**bits - 1
        return np.asarray(np.rint(levels * top) / top)
    whole = np.rint(levels * (2 ** (bits * slices) - 1)).astype(np.int64)
    return _digits(whole, bits, slices).reshape(2, -1, part.shape[1])


def offset_levels(part: Array, bits: int | None, slices: int) -> tuple[Array, Array]:
    """Return levels of cells (outputs * slices, inputs) and of the reference of each slice.

    A weight of 0 has the levels of the references, the middle of the range.
    """
    if bits is None:
        return (part + 1.0) / 2.0, np.array([0.5])
    middle = 2 ** (bits * slices - 1)
    whole = np.rint(part * (middle - 1)).astype(np.int64) + middle
    reference = _digits(np.full((1, 1), middle), bits, slices)
    return _digits(whole, bits, slices).reshape(-1, part.shape[1]), reference.ravel()


def _digits(whole: Array, bits: int, slices: int) -> Array:
    """Return digits of integers (…, outputs, inputs) as levels (…, outputs, slices, inputs)."""
    shifts = bits * np.arange(slices)[::-1, None]
    top = 2**bits - 1
    return np.asarray(((whole[..., None, :] >> shifts) & top) / top)


def weight_factors(mapping: str, bits: int | None, slices: int) -> Array:
    """Return the factor c of each slice: weights in -1 … 1 per difference of levels."""
    if bits is None:
        return np.array([2.0 if mapping == "offset" else 1.0])
    whole = bits * slices
    top = 2 ** (whole - 1) - 1 if mapping == "offset" else 2**whole - 1
    return np.asarray(2.0 ** (bits * np.arange(slices)[::-1]) * (2**bits - 1) / top)


# ---- inputs -------------------------------------------------------------------------------------


def input_factors(input_bits: int, dac: int) -> Array:
    """Return the factor a of each slice of the inputs, the most significant first."""
    shifts = dac * np.arange(-(-input_bits // dac))[::-1]
    return np.asarray(2.0**shifts * (2**dac - 1) / (2**input_bits - 1))


def input_slices(v: Tensor, largest: float, input_bits: int, dac: int) -> Tensor:
    """Return voltages (B, …) as slices (B, slices, …), V, the most significant first.

    Magnitudes up to ``largest`` are rounded to ``input_bits`` bits; every slice has 2**dac levels
    from 0 to ``largest``, with the sign of the input.
    """
    top = 2**dac - 1
    whole = (v.abs() * ((2**input_bits - 1) / largest)).round_().to(torch.int32)
    shifts = [dac * k for k in reversed(range(-(-input_bits // dac)))]
    digits = torch.stack([(whole >> shift) & top for shift in shifts], dim=1)
    return digits.to(v).mul_(largest / top).mul_(v.sign()[:, None])
