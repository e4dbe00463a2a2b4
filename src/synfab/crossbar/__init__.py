"""Crossbars with resistive wires: voltages and currents of every cell."""

from synfab.crossbar.access import Selector, Transistor
from synfab.crossbar.array import Crossbar
from synfab.crossbar.pulses import Write
from synfab.crossbar.solver import Solution
from synfab.crossbar.wires import Wires

__all__ = ["Crossbar", "Selector", "Solution", "Transistor", "Wires", "Write"]
