"""Energy, time and area of an inference: those of the cells, and those of their periphery.

The energy of the cells is computed from their currents for the given inputs, sum V I t over all
cells and reads. Converters and adders are counted, and cost what a table says that users can
replace. Not included are buffers, buses, control, the digital rest of the network, and leakage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer
from synfab.torch.driving import drive
from synfab.torch.inputs import check_network, rows_of
from synfab.torch.passing import pass_batches
from synfab.torch.reading import static_conductances

AT_ONCE = 2**21  # voltages whose energy is computed at once
COLUMNS = (
    *("vectors", "reads", "conversions", "cell_energy", "dac_energy", "adc_energy"),
    *("digital_energy", "energy", "latency", "area"),
)


@dataclass(frozen=True, kw_only=True)
class PeripheralCosts:
    """What the circuits around the cells cost, for ``inference_costs``; immutable.

    The defaults are published numbers, none of them measured with these cells. Converters are those
    of ISAAC in 32 nm (Shafiee et al., ISCA 2016, doi:10.1109/ISCA.2016.12), as energy and area per
    operation in the component library of the Accelergy project; the duration of a read, the lines
    per converter and the cell of 4 F x 12 F are defaults of DNN+NeuroSim V1.3 (Peng et al., IEDM
    2019), with F = 32 nm.

    Parameters
    ----------
    read_time
        Duration of the voltages of a read, s, 10 ns.
    dac_energy, dac_area
        Of the driver of a column with ``dac_bits``, J per slice and m^2, 0.417 pJ and 0.166 um^2.
    adc_energy, adc_area, adc_time
        Of a converter with ``adc_bits``: J and s per conversion, and m^2; 1.67 pJ, 1200 um^2,
        1 / (1.2 GS/s).
    dac_bits, adc_bits
        Bits for which these numbers hold, 1 and 8.
    adc_growth, adc_area_growth
        Factors of energy and area of a converter for each further bit, 1.2 and 1.4, between 4 and
        10 bits of the same library (there after Saberi et al., IEEE Trans. Circuits Syst. I, 2011).
    dac_growth
        The same of a driver, energy and area, 1.2. This is an assumption.
    lines_per_adc
        Lines of a tile that share a converter one after another, 8.
    shift_add_energy, shift_add_area
        Of adding a converted number: J per conversion, and m^2 per converter, 0.021 pJ, 60 um^2.
    cell_area
        m^2, 48 F^2.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        A cost is negative or not a number.
    """

    read_time: float = 10e-9
    dac_energy: float = 0.417e-12
    dac_area: float = 0.166e-12
    adc_energy: float = 1.67e-12
    adc_area: float = 1200e-12
    adc_time: float = 1.0 / 1.2e9
    dac_bits: int = 1
    adc_bits: int = 8
    adc_growth: float = 1.2
    adc_area_growth: float = 1.4
    dac_growth: float = 1.2
    lines_per_adc: int = 8
    shift_add_energy: float = 0.021e-12
    shift_add_area: float = 60e-12
    cell_area: float = 48.0 * 32e-9**2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.name in ("dac_bits", "adc_bits", "lines_per_adc")
            found = (
                checks.count(field.name, value) if whole
                else checks.number(field.name, value, minimum=0.0)
            )  # fmt: skip
            checks.freeze(self, **{field.name: found})


@dataclass
class _Count:
    """What a layer did in forward passes."""

    vectors: int = 0
    reads: int = 0
    squares: float = 0.0  # sum of V I over all cells and reads, W


def inference_costs(
    network: nn.Module,
    batches: Tensor | Iterable[Tensor],
    *,
    costs: PeripheralCosts | None = None,
) -> pd.DataFrame:
    """Return the energy, time and area that an inference costs, per layer and in total.

    The network runs in evaluation mode on the data; the cells and the noise of later passes do not
    change. The cells' energy is that behind ideal wires.

    Parameters
    ----------
    network
        With layers on cells.
    batches
        Inputs of the network: one tensor, or several, with samples along the first axis.
    costs
        Of the periphery; None: the defaults of ``PeripheralCosts``.

    Returns
    -------
    DataFrame
        One row per layer with cells of its own, and ``total``. All numbers are means per sample:
        ``vectors``, products of the layer; ``reads``, with one for each slice of the inputs;
        ``conversions`` of currents; ``cell_energy``, ``dac_energy``, ``adc_energy``,
        ``digital_energy`` (shift and add) and their sum ``energy``, J; ``latency``, s, with all
        tiles of a layer in parallel, and vectors and layers one after another; and ``area``, m^2.
        A layer without ``dac`` or ``adc`` has no costs of such converters.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        There are no layers on cells or no data.

    Examples
    --------
    >>> chip = sf.torch.convert(torch.nn.Linear(16, 8), seed=7, dac=1, input_bits=4, adc=8)
    >>> table = sf.torch.inference_costs(chip, torch.rand(5, 16))
    >>> table[["vectors", "reads", "conversions"]]
           vectors  reads  conversions
    layer      1.0    4.0         32.0
    total      1.0    4.0         32.0
    """
    check_network(network)
    table = PeripheralCosts() if costs is None else checks.instance("costs", costs, PeripheralCosts)
    layers = crossbar_layers(network)
    if not layers:
        raise InvalidValueError("network: expected layers on cells, found none; use convert first")
    counts = [_Count() for _ in layers]
    before = [(layer.recorder, layer.readout_number) for _, layer in layers]
    for (_, layer), count in zip(layers, counts, strict=True):
        layer.recorder = partial(_note, layer, count)
    try:
        samples = pass_batches(network, batches)
    finally:
        for (_, layer), (recorder, number) in zip(layers, before, strict=True):
            layer.recorder, layer.readout_number = recorder, number
    if samples == 0:
        raise InvalidValueError("batches: expected a sample or more, found none")
    rows = {
        name or "layer": _row(layer, count, samples, table)
        for (name, layer), count in zip(layers, counts, strict=True)
    }
    found = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    found.loc["total"] = found.sum()
    return found


def _note(layer: CrossbarLayer[Any], count: _Count, x: Tensor, _y: Tensor) -> None:
    """Add the reads of a product to the count of a layer."""
    if x.numel() == 0:  # of an empty batch
        return
    vectors = rows_of(x.detach())
    groups, lines = layer.tiles.groups, layer.arrangement.lines
    cells = layer.arrangement.cells_per_line * lines // groups
    states = layer.total.reshape(groups, lines // groups, -1).double().sum(dim=1)
    for part in torch.split(vectors, max(1, AT_ONCE // max(1, vectors.shape[1]))):
        v = drive(layer.options, part, groups, layer.tiles.column_blocks).v.double()
        q_low, q = static_conductances(layer.options.model.conduction, v, layer.options.linear)
        count.squares += float((v.square() * (cells * q_low - q * states)).sum())
        count.vectors += len(part)
        count.reads += len(v)


def _row(
    layer: CrossbarLayer[Any], count: _Count, samples: int, costs: PeripheralCosts
) -> tuple[float, ...]:
    """Return the columns of one layer."""
    options, arrangement = layer.options, layer.arrangement
    tiles = [cells.shape for cells in layer.tiles.cells]
    reads = count.reads / samples
    drivers = sum(columns for _, columns in tiles)
    converters, conversions, most = 0, 0, 0
    if options.adc is not None:
        in_tiles = [rows // arrangement.cells_per_line for rows, _ in tiles]
        converters = sum(math.ceil(lines / costs.lines_per_adc) for lines in in_tiles)
        conversions = arrangement.converted * len(layer.tiles.column_blocks)
        most = min(costs.lines_per_adc, max(in_tiles))
    dac = 0.0 if options.dac is None else costs.dac_growth ** (options.dac - costs.dac_bits)
    more = 0 if options.adc is None else options.adc - costs.adc_bits
    energies = (
        count.squares / samples * costs.read_time,
        reads * drivers * costs.dac_energy * dac,
        reads * conversions * costs.adc_energy * costs.adc_growth**more,
        reads * conversions * costs.shift_add_energy,
    )
    area = (
        sum(rows * columns for rows, columns in tiles) * costs.cell_area
        + drivers * costs.dac_area * dac
        + converters * (costs.adc_area * costs.adc_area_growth**more + costs.shift_add_area)
    )
    latency = reads * (costs.read_time + most * costs.adc_time)
    return (
        count.vectors / samples, reads, reads * conversions, *energies, sum(energies), latency,
        area,
    )  # fmt: skip
