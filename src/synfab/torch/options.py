"""Options of layers on cells, checked in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Required, TypedDict

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
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
    check_names(options)
    model = load_model(options.get("model", "published"))
    adc = options.get("adc")
    if isinstance(adc, (tuple, list)) and len(adc) != 2:
        raise InvalidValueError(f"adc: expected bits, or (bits, A), found {len(adc)} items")
    bits, largest = adc if isinstance(adc, (tuple, list)) else (adc, None)
    return {
        "model": model,
        "window": check_window(model, options.get("g_window")),
        "scale": checks.choice("scale", options.get("scale", "layer"), SCALES),
        "fixed_range": _positive("weight_range", options.get("weight_range")),
        "input_range": _positive("input_range", options.get("input_range")),
        "read_voltage": checks.positive("read_voltage", options.get("read_voltage", 0.2)),
        "bits": check_bits("bits", options.get("bits")),
        "dac": check_bits("dac", options.get("dac")),
        "adc": check_bits("adc", bits),
        "adc_range": _positive("adc", largest),
        "noise": checks.flag("noise", options.get("noise", True)),
        "bandwidth": checks.number("bandwidth", options.get("bandwidth", 1e8), minimum=0.0),
        "linear": checks.flag("linear", options.get("linear", False)),
        "wire_resistance": wires(options.get("wire_resistance", 0.0)),
    }


def check_names(options: Mapping[Any, Any], more: tuple[str, ...] = ()) -> None:
    """Raise unless all names are those of options, or are among ``more``."""
    known = (*LayerOptions.__annotations__, *more)
    for name in options:
        if not isinstance(name, str) or name not in known:
            raise InvalidTypeError(
                f"{name if isinstance(name, str) else checks.shown(name)}: no option of a layer; "
                f"expected one of {', '.join(known)}"
            )


def wires(resistance: Any) -> Any:
    """Return ohm per segment, a number or an array, or a pair of them, as for ``Crossbar``."""
    if isinstance(resistance, tuple):
        if len(resistance) != 2 or any(isinstance(part, tuple) for part in resistance):
            raise InvalidValueError(
                "wire_resistance: expected a number or a pair (rows, columns) of numbers or arrays"
            )
        return tuple(wires(part) for part in resistance)
    found = checks.real_array("wire_resistance", resistance)
    return found if found.ndim else float(found)


def _positive(name: str, value: Any) -> float | None:
    return None if value is None else checks.positive(name, value)
