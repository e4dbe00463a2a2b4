"""Crossbars of cells in ngspice, compared with resistors and a deterministic memristor.

All circuits have the same pulses and time points; times are medians of alternating runs. The
memristor is VTEAM (Kvatinsky et al. 2015) as a subcircuit of behavioural sources.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import synfab as sf
from synfab.circuit import build_osdi, crossbar_netlist, read_pulse, run_ngspice

PROGRAM = [-2.0, 1.2, read_pulse()]
STEP = 1.1e-9  # s: about 200 time points

# dw/dt = k (v/v_threshold - 1)^alpha window, i = v (g_off + w (g_on - g_off)); w in 0 … 1.
VTEAM = """.subckt vteam a b
Bi a b I=V(a,b)*(1e-5+max(0,min(1,V(w)))*2e-4)
Bw 0 w I=(V(a,b)<-0.6 ? 2e8*(-V(a,b)/0.6-1)*(1-V(w)) : 0)-(V(a,b)>0.7 ? 1e8*(V(a,b)/0.7-1)*V(w) : 0)
Cw w 0 1 IC=0
Rw w 0 1e12
.ends
"""


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


def timed(text, device, limit):
    start = time.perf_counter()
    (wave,) = run_ngspice(text, osdi=device, time_limit=limit)
    points = len(wave["time"]) if "time" in wave else 1
    return time.perf_counter() - start, points


def compare(name, circuits, rounds, limit):
    """Print the median time of each circuit (s) in one line."""
    seconds = {key: [] for key in circuits}
    points = {}
    for _ in range(rounds):
        for key, (text, device) in circuits.items():
            took, points[key] = timed(text, device, limit)
            seconds[key].append(took)
    median = {key: statistics.median(values) for key, values in seconds.items()}
    parts = [f"{key} {median[key]:.2f} s ({points[key]} points)" for key in circuits]
    ours = median["cells"]
    ratios = [f"{key}/cells {median[key] / ours:.2f}" for key in circuits if key != "cells"]
    print(f"{name:32s} {'; '.join(parts)}; {', '.join(ratios)}", flush=True)


def circuits_of(cells, program, device, peers, wire_resistance=0.0):
    crossbar = sf.Crossbar(cells, wire_resistance)
    step = STEP if program else None
    netlist = crossbar_netlist(crossbar, program, event_tolerance=0, longest_step=step)
    resistor = "R{n} {a} {b} 1e4"
    found = {
        "cells": (netlist.text, device),
        "resistors": (with_elements(netlist.text, resistor), ()),
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
        theirs.append(timed(text, device, 600.0)[0])
        start = time.perf_counter()
        crossbar.solve(v)
        ours.append(time.perf_counter() - start)
    a, b = statistics.median(theirs), statistics.median(ours)
    print(
        f"{size} x {size} read with wires: ngspice {a:.2f} s, sf.Crossbar {b:.4f} s, {a / b:.0f}x"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small arrays only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        device = build_osdi("published", Path(folder) / "cell.osdi")

        def fresh(size):
            return sf.CellArray("published", (size, size), seed=1)

        compare(
            "32 x 32 program, ideal wires",
            circuits_of(fresh(32), PROGRAM, device, ("vteam",)),
            given.rounds,
            600.0,
        )
        sizes = () if given.quick else ((128, 1), (256, 1))
        for size, rounds in sizes:
            compare(
                f"{size} x {size} program, ideal wires",
                circuits_of(fresh(size), PROGRAM, device, ()),
                rounds,
                600.0,
            )
        compare(
            "64 x 64 program, wires, KLU",
            circuits_of(fresh(64), PROGRAM, device, (), wire_resistance=2.0),
            1,
            600.0,
        )
        if not given.quick:
            compare(
                "1024 x 1024 operating point",
                circuits_of(fresh(1024), None, device, ()),
                1,
                600.0,
            )
        against_our_solver(128, device, given.rounds)


if __name__ == "__main__":
    main()
