"""Crossbars of cells in ngspice, compared with resistors, diodes and a deterministic memristor.

All circuits have the same pulses and time points; processor times are medians of alternating runs.
The memristor is VTEAM (Kvatinsky et al. 2015) as a subcircuit of behavioural sources.
"""

import argparse
import operator
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import synfab as sf
from benchmarks.compact.simulator import measure
from benchmarks.machine import processor
from synfab.circuit import build_osdi, crossbar_netlist, find_ngspice, read_pulse

PROGRAM = [-2.0, 1.2, read_pulse()]
STEP = 1.1e-9  # s: about 200 time points
READ_STEP = 2e-9  # s: about 45
SMALL = 32  # lines: up to here, several rounds and the memristor too
LIMIT = 7200.0  # s
SECONDS = operator.attrgetter("seconds")

# dw/dt = k (v/v_threshold - 1)^alpha window, i = v (g_off + w (g_on - g_off)); w in 0 … 1.
VTEAM = """.subckt vteam a b
Bi a b I=V(a,b)*(1e-5+max(0,min(1,V(w)))*2e-4)
Bw 0 w I=(V(a,b)<-0.6 ? 2e8*(-V(a,b)/0.6-1)*(1-V(w)) : 0)-(V(a,b)>0.7 ? 1e8*(V(a,b)/0.7-1)*V(w) : 0)
Cw w 0 1 IC=0
Rw w 0 1e12
.ends
"""

DIODE = ".model dio d is=1e-9 rs=1e3\n"


def with_elements(text, line):
    """Return the netlist with each cell replaced by another element."""
    kept, number = [], 0
    for row in text.splitlines():
        if row.startswith("N"):
            _, a, b, *_ = row.split()
            kept.append(line.format(n=number, a=a, b=b))
            number += 1
        elif not row.startswith(".model memory"):
            kept.append(row)
    return "\n".join(kept) + "\n"


def compare(name, circuits, rounds, limit):
    """Print the median processor time (s) and the memory (MB) of each circuit in one line."""
    runs = {key: [] for key in circuits}
    for _ in range(rounds):
        for key, (text, device) in circuits.items():
            runs[key].append(measure(text, device, limit))
    median = {key: sorted(found, key=SECONDS)[rounds // 2] for key, found in runs.items()}
    ours = median["cells"]
    print(f"{name}: {ours.points} time points")
    for key, run in median.items():
        ratio = f"cells/{key} {ours.seconds / run.seconds:.1f}" if key != "cells" else ""
        took = f"{run.seconds:8.2f} s  {run.megabytes:7.0f} MB  {run.iterations:6d} iterations"
        print(f"  {key:10s} {took}  {ratio}", flush=True)


def circuits_of(cells, program, device, peers, wire_resistance=0.0, step=STEP):
    crossbar = sf.Crossbar(cells, wire_resistance)
    step = step if program else None
    netlist = crossbar_netlist(crossbar, program, event_tolerance=0, longest_step=step)
    resistor = "R{n} {a} {b} 1e4"
    found = {
        "cells": (netlist.text, device),
        "resistors": (with_elements(netlist.text, resistor), ()),
        "diodes": (with_elements(netlist.text, "D{n} {a} {b} dio") + DIODE, ()),
    }
    if "vteam" in peers:
        text = with_elements(netlist.text, "X{n} {a} {b} vteam") + VTEAM
        found["vteam"] = (text, ())
    return found


def against_our_solver(size, device, rounds):
    """Print the times of an operating point with wires in ngspice (KLU) and in sf.Crossbar."""
    cells = sf.CellArray("published", (size, size), seed=1).apply_voltage(-2.0).apply_voltage(1.1)
    crossbar = sf.Crossbar(cells, 2.5)
    text = crossbar_netlist(crossbar).text
    v = np.full(size, 0.2)
    crossbar.solve(v)
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(measure(text, device, 600.0).seconds)
        start = time.process_time()
        crossbar.solve(v)
        ours.append(time.process_time() - start)
    a, b = statistics.median(theirs), statistics.median(ours)
    print(
        f"{size} x {size} read with wires: ngspice {a:.2f} s, sf.Crossbar {b:.4f} s, {a / b:.0f}x"
    )


def write(size, device, rounds=1, peers=(), wire_resistance=0.0):
    """Compare a SET, a partial RESET and a read of all cells of an array."""
    cells = sf.CellArray("published", (size, size), seed=1)
    wires = f"wires of {wire_resistance} ohm, KLU" if wire_resistance else "ideal wires"
    circuits = circuits_of(cells, PROGRAM, device, peers, wire_resistance)
    compare(f"{size} x {size} write, {wires}", circuits, rounds, LIMIT)


def read(size, device, rounds=1):
    """Compare a read pulse on all rows of an array, as a transient and as an operating point."""
    cells = sf.CellArray("published", (size, size), seed=1).apply_voltage(-2.0)
    circuits = circuits_of(cells, [read_pulse()], device, (), step=READ_STEP)
    compare(f"{size} x {size} read transient", circuits, rounds, LIMIT)
    compare(f"{size} x {size} operating point", circuits_of(cells, None, device, ()), rounds, LIMIT)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=int, nargs="*", default=[32, 128, 256], metavar="SIZE")
    parser.add_argument("--wires", type=int, nargs="*", default=[64], metavar="SIZE")
    parser.add_argument("--read", type=int, nargs="*", default=[1024], metavar="SIZE")
    parser.add_argument("--solver", type=int, nargs="*", default=[128], metavar="SIZE")
    given = parser.parse_args(arguments)
    find_ngspice()  # tries it once, which would count as a run
    print(processor())
    with tempfile.TemporaryDirectory() as folder:
        device = build_osdi("published", Path(folder) / "cell.osdi")
        for size in given.write:
            small = size <= SMALL
            write(size, device, given.rounds if small else 1, ("vteam",) if small else ())
        for size in given.wires:
            write(size, device, wire_resistance=2.0)
        for size in given.read:
            read(size, device)
        for size in given.solver:
            against_our_solver(size, device, given.rounds)


if __name__ == "__main__":
    main()
