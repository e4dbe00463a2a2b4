"""Crossbars with resistive wires: voltages and currents of every cell, writing, programming."""

from synfab.crossbar.array import Crossbar
from synfab.crossbar.circuit import Circuit, network_bytes
from synfab.crossbar.pulses import Write
from synfab.network.access import Selector, Transistor
from synfab.network.gradients import Gradient
from synfab.network.network import Solution
from synfab.network.wires import Wires
from synfab.programming.mapping import Mapping, bit_slices, differential_pairs, offset_line
from synfab.programming.result import Outcome, Programming

__all__ = [
    "Circuit",
    "Crossbar",
    "Gradient",
    "Mapping",
    "Outcome",
    "Programming",
    "Selector",
    "Solution",
    "Transistor",
    "Wires",
    "Write",
    "bit_slices",
    "differential_pairs",
    "network_bytes",
    "offset_line",
]
