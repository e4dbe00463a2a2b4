"""Row readout: currents and noise for one or more input vectors, and converters."""

from __future__ import annotations

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, LineSelection
from synfab.crossbar.circuit import Circuit
from synfab.engines.numba.threads import share
from synfab.network.bias import Bias
from synfab.network.network import Cells
from synfab.physics.noise import NONE, ReadNoise, static_conductance
from synfab.random.arrays import to_numpy

MAX_BITS = 24  # of a converter: the precision of float32


def read_rows(
    circuit: Circuit,
    voltages: Array,
    noise: bool,
    bandwidth: float,
    number: int | None,
    linear: bool,
    floating_columns: LineSelection | None,
    gates: LineSelection | None,
) -> Array:
    """Return row currents for ``voltages`` (columns,) or (columns, B); see ``Crossbar.read``."""
    checks.flag("noise", noise)
    checks.flag("linear", linear)
    read_noise = ReadNoise.of_bandwidth(bandwidth)
    count = 1 if voltages.ndim == 1 else voltages.shape[1]
    if number is not None:
        number = checks.word("number", number, count)
    bare = circuit.wires is None and circuit.access is None and circuit.stuck is None
    if bare and floating_columns is None and not linear:
        matvec = circuit.cells.matvec
        return to_numpy(matvec(voltages, noise=noise, bandwidth=bandwidth, number=number))
    batch = voltages.reshape(len(voltages), -1).T
    biases = [circuit.bias(u, floating_columns=floating_columns, gates=gates) for u in batch]
    cells = circuit.conducting(linear, circuit.gate_lines(gates))
    currents, variance = sense(circuit, biases, cells, read_noise if noise else NONE)
    if noise:
        currents += np.sqrt(variance) * to_numpy(circuit.cells.readout_noise(count, number))
    return currents[:, 0] if voltages.ndim == 1 else currents


def sense(
    circuit: Circuit, biases: list[Bias], cells: Cells, noise: ReadNoise
) -> tuple[Array, Array]:
    """Return the row currents (A) and the variance of their noise (A**2), (rows, B) each."""
    shape = (circuit.shape[0], len(biases))
    currents, variance = np.empty(shape), np.zeros(shape)

    def work(low: int, high: int) -> None:
        start = None
        for k in range(low, high):
            found = circuit.solve_bias(biases[k], cells, start)
            start = (found.column_voltage - biases[k].columns, found.row_voltage)
            currents[:, k] = found.currents
            if noise == NONE:
                continue
            u = found.column_voltage - found.row_voltage
            conductance = static_conductance(found.cell_current, u, found.slope)
            variance[:, k] = noise.variance(conductance, found.cell_current).sum(axis=1)

    cells_read = circuit.cells.size * len(biases) if len(biases) > 1 else 0
    share(work, len(biases), cells_read, discardable=True)
    return currents, variance


def converter(name: str, value: object) -> tuple[float, float, int]:
    """Return the checked (lowest, highest, bits) of a converter."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise InvalidTypeError(
            f"{name}: expected (lowest, highest, bits), found {checks.shown(value)}"
        )
    low = checks.number(f"{name}: lowest", value[0])
    high = checks.number(f"{name}: highest", value[1])
    if not high > low:
        raise InvalidValueError(f"{name}: expected lowest below highest, found {low:g}, {high:g}")
    return low, high, checks.count(f"{name}: bits", value[2], MAX_BITS)
