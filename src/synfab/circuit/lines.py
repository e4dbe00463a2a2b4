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
        ends = {"t": wires.top[j], "b": wires.bottom[j]}
        yield from _line(writer, f"c{j}", ends, wires.column[:, j])
    for i in range(rows):
        ends = {"l": wires.left[i], "r": wires.right[i]}
        yield from _line(writer, f"r{i}", ends, wires.row[i])


def _line(writer: Dialect, line: str, ends: dict[str, float], segments: Array) -> Iterator[str]:
    """Yield the connections of a line's two ends and its segments; arguments in S."""
    for (end, conductance), place in zip(ends.items(), (0, len(segments)), strict=True):
        if conductance > 0.0:
            yield writer.resistor(f"{line}{end}", f"d{line}", f"{line}_{place}", 1.0 / conductance)
    nodes = [f"{line}_{k}" for k in range(len(segments) + 1)]
    yield from writer.many("resistor", name=nodes[:-1], a=nodes[:-1], b=nodes[1:],
                           ohm=1.0 / segments)  # fmt: skip
