"""Crossbars with resistive wires: voltages and currents of every cell, writing, programming."""

from synfab.crossbar.access import Selector, Transistor
from synfab.crossbar.array import Crossbar, network_bytes
from synfab.crossbar.controller import Outcome
from synfab.crossbar.gradients import Gradient
from synfab.crossbar.mapping import Mapping, bit_slices, differential_pairs, offset_line
from synfab.crossbar.network import Solution
from synfab.crossbar.programming import Programming
from synfab.crossbar.pulses import Write
from synfab.crossbar.wires import Wires

__all__ = [
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
