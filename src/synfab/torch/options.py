"""Options of layers on cells, checked in one place."""

from __future__ import annotations

import os
from typing import Any, Required, TypedDict

from synfab.checks import number
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.model import CellModel
from synfab.modelfile import load_model
from synfab.readout import noise_factors
from synfab.torch.mapping import check_bits, check_window

SCALES = ("layer", "output")


class LayerOptions(TypedDict, total=False):
    """Options of every layer on cells.

    Attributes
    ----------
    model
        ``CellModel``, ``"published"`` (default), or the path of a model file.
    seed
        The chip, 0 … 2**64 - 1; required.
    first_cell
        Number of the layer's first cell on the chip, 0; ``convert`` hands numbers out.
    tile
        Most (rows, columns) of cells in a crossbar, (256, 256); two rows make an output.
    g_window
        (g_min, g_max) in S that weights are put on; None: ``default_window``.
    weight_range
        Weight that takes the whole window; None: the largest magnitude at each programming.
    scale
        Whether that is one number for the ``"layer"`` (default) or one for each ``"output"``.
    bits
        Each cell is programmed to one of 2**bits levels; None (default): to any conductance.
    input_range
        Input that is driven with ``read_voltage``, larger ones are clipped; None (default): the
        largest magnitude of each input vector.
    read_voltage
        V, 0.2.
    dac
        Bits of the converters that drive the columns, over plus and minus ``read_voltage``.
    adc
        Bits of the converters behind each pair of rows in a tile, or (bits, largest current in A);
        bits alone: the range is the largest current of the batch.
    noise
        Read noise of every forward pass, True.
    bandwidth
        Of a readout, Hz, 1e8.
    wire_resistance
        Ohm per segment as in ``Crossbar``; 0 (default): ideal wires.
    linear
        Cells as resistors with their conductance at U_0, False.
    order, engine, history, device
        Of the cells, as in ``CellArray``; the layer's own tensors move with ``.to``.
    """

    model: CellModel | str | os.PathLike[str]
    seed: Required[int]
    first_cell: int
    tile: tuple[int, int]
    g_window: tuple[float, float] | None
    weight_range: float | None
    scale: str
    bits: int | None
    input_range: float | None
    read_voltage: float
    dac: int | None
    adc: int | tuple[int, float] | None
    noise: bool
    bandwidth: float
    wire_resistance: Any
    linear: bool
    order: int | None
    engine: str
    history: str
    device: Any


def settings(options: LayerOptions) -> dict[str, Any]:
    """Attributes of a layer that follow from its options.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An option is missing, unknown or not allowed.
    """
    if "seed" not in options:
        raise InvalidTypeError("seed: expected the number of a chip, found nothing")
    unknown = set(options) - set(LayerOptions.__annotations__)
    if unknown:
        raise InvalidTypeError(
            f"{sorted(unknown)[0]}: no option of a layer; expected one of "
            f"{', '.join(LayerOptions.__annotations__)}"
        )
    model = load_model(options.get("model", "published"))
    scale = options.get("scale", "layer")
    if scale not in SCALES:
        raise InvalidValueError(f"scale: expected one of {', '.join(SCALES)}, found {scale!r}")
    adc = options.get("adc")
    bits, largest = adc if isinstance(adc, tuple) else (adc, None)
    bandwidth = number("bandwidth", options.get("bandwidth", 1e8))
    noise_factors(bandwidth)
    return {
        "model": model,
        "window": check_window(model, options.get("g_window")),
        "scale": scale,
        "fixed_range": _above_zero("weight_range", options.get("weight_range")),
        "input_range": _above_zero("input_range", options.get("input_range")),
        "read_voltage": _above_zero("read_voltage", options.get("read_voltage", 0.2)),
        "bits": check_bits("bits", options.get("bits")),
        "dac": check_bits("dac", options.get("dac")),
        "adc": check_bits("adc", bits),
        "adc_range": _above_zero("adc", largest),
        "noise": bool(options.get("noise", True)),
        "bandwidth": bandwidth,
        "linear": bool(options.get("linear", False)),
        "wire_resistance": options.get("wire_resistance", 0.0),
    }


def _above_zero(name: str, value: Any) -> float | None:
    if value is None:
        return None
    found = number(name, value)
    if not found > 0.0:
        raise InvalidValueError(f"{name}: expected a number above 0, found {found:g}")
    return found
