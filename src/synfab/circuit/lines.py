"""Netlist elements of a crossbar's lines: drivers, gates and wire segments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synfab.circuit.dialects import Dialect
from synfab.common.types import Array, GateDirection
from synfab.crossbar.circuit import Circuit
from synfab.network.wires import Wires
from synfab.pulses.timeline import Timeline

GATE = 3.3  # V, on-state gate voltage


def drivers(
    writer: Dialect,
    timeline: Timeline | None,
    levels: Array,
    circuit: Circuit,
    gates: GateDirection | None,
    switch: str,
) -> Iterator[str]:
    """Yield the sources of columns (c), rows (r) and gates (g); lines that float get a switch.

    ``gates`` is the direction of the gate lines (None: no gates), ``switch`` the name of the switch
    model.
    """
    rows, columns = circuit.shape
    n_gates = {"rows": rows, "columns": columns, None: 0}[gates]
    yield writer.comment("drivers")
    ends = ("c", "r") if circuit.wires is None else ("dc", "dr")
    if timeline is None:
        for j in range(columns):
            yield writer.supply(f"c{j}", f"{ends[0]}{j}", levels[j])
        for i in range(rows):
            yield writer.supply(f"r{i}", f"{ends[1]}{i}", 0.0)
        for i in range(n_gates):
            yield writer.supply(f"g{i}", f"g{i}", GATE)
        return
    lines = (
        ("c", ends[0], timeline.columns, timeline.held_columns),
        ("r", ends[1], timeline.rows, timeline.held_rows),
    )
    for kind, end, drives, held in lines:
        for number, drive in enumerate(drives):
            line = f"{kind}{number}"
            if held[number].all():
                yield writer.drive(line, f"{end}{number}", timeline.times, drive)
            else:
                yield writer.drive(line, f"s{line}", timeline.times, drive)
                yield writer.switch(f"f{line}", f"s{line}", f"{end}{number}", f"h{line}", switch)
                yield writer.drive(
                    f"h{line}", f"h{line}", timeline.times, held[number].astype(np.float64)
                )
    for i in range(n_gates):
        yield writer.drive(f"g{i}", f"g{i}", timeline.times, GATE * timeline.gates[i])


def wire_segments(writer: Dialect, wires: Wires | None) -> Iterator[str]:
    """Yield wire segments; dc3 is the driver node of column 3, c3_0 its first crosspoint."""
    if wires is None:
        return
    rows, columns = wires.shape
    yield writer.comment("wires")
    for j in range(columns):
        ends = ((wires.top[j], f"c{j}_0", "t"), (wires.bottom[j], f"c{j}_{rows - 1}", "b"))
        for conductance, node, end in ends:
            if conductance > 0.0:
                yield writer.resistor(f"c{j}{end}", f"dc{j}", node, 1.0 / conductance)
        for i in range(rows - 1):
            ohm = 1.0 / wires.column[i, j]
            yield writer.resistor(f"c{j}_{i}", f"c{j}_{i}", f"c{j}_{i + 1}", ohm)
    for i in range(rows):
        ends = ((wires.left[i], f"r{i}_0", "l"), (wires.right[i], f"r{i}_{columns - 1}", "r"))
        for conductance, node, end in ends:
            if conductance > 0.0:
                yield writer.resistor(f"r{i}{end}", f"dr{i}", node, 1.0 / conductance)
        for j in range(columns - 1):
            ohm = 1.0 / wires.row[i, j]
            yield writer.resistor(f"r{i}_{j}", f"r{i}_{j}", f"r{i}_{j + 1}", ohm)
