"""Cells in circuit simulators: compiled (OSDI) devices, Verilog-A, netlists, ngspice."""

from synfab.circuit.netlist import Netlist, crossbar_netlist
from synfab.circuit.ngspice import run_ngspice
from synfab.circuit.ngspice_search import find_ngspice
from synfab.circuit.osdi import build_osdi, to_osdi_source
from synfab.circuit.run import CrossbarRun, run_crossbar
from synfab.circuit.states import CellStates
from synfab.circuit.veriloga import to_veriloga
from synfab.circuit.waveforms import Waveforms, read_raw
from synfab.circuit.xschem import export_xschem
from synfab.pulses.timeline import Pulse, read_pulse

__all__ = [
    "CellStates",
    "CrossbarRun",
    "Netlist",
    "Pulse",
    "Waveforms",
    "build_osdi",
    "crossbar_netlist",
    "export_xschem",
    "find_ngspice",
    "read_pulse",
    "read_raw",
    "run_crossbar",
    "run_ngspice",
    "to_osdi_source",
    "to_veriloga",
]
