"""Recipes of circuits; the simulator is a script that gives a result that was made before."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from synfab.circuit import (
    CellStates,
    Pulse,
    Waveforms,
    build_osdi,
    crossbar_netlist,
    export_xschem,
    read_pulse,
    read_raw,
    run_crossbar,
    run_ngspice,
    to_osdi_source,
    to_veriloga,
)
from synfab.crossbar import Crossbar, Transistor

from .core import cells, model
from .harness import RECIPES

TEXT = "divider\nv1 a 0 1\nr1 a 0 1k\n.op\n"
RAW = (
    b"Title: t\nPlotname: Operating Point\nFlags: real\nNo. Variables: 3\nNo. Points: 1\n"
    b"Variables:\n\t0\ti(vr0)\tcurrent\n\t1\ti(vr1)\tcurrent\n\t2\tv(a)\tvoltage\nBinary:\n"
)


def simulator(folder: Path) -> Path:
    """A program that answers every circuit with the same operating point."""
    program, raw = folder / "ngspice.sh", folder / "answer.raw"
    if not program.exists():
        raw.write_bytes(RAW + np.ones(3).tobytes())
        program.write_text(f"#!/bin/sh\ncp '{raw}' out.raw\n")
        program.chmod(0o755)
    return program


def compiled(folder: Path) -> Path:
    """What stands in for a compiled device: the simulator above does not load it."""
    path = folder / "cell.osdi"
    path.touch()
    return path


@cache
def operating_point() -> Any:
    return crossbar_netlist(Crossbar(cells(2, 2), 0.0))


RECIPES.leave(
    "a result, which only the package makes",
    *("synfab.circuit.CrossbarRun", "synfab.circuit.Netlist", "synfab.circuit.Waveforms"),
    "synfab.circuit.CellStates",
)
RECIPES.leave("takes no arguments", "synfab.circuit.find_ngspice")


@RECIPES.add("synfab.circuit.Pulse")
def _(_folder: Path) -> Any:
    return Pulse, {
        "voltage": -2.0, "rows": [0], "columns": None, "scheme": "V/2", "rise": 1e-8,
        "width": 5e-8, "gap": 1e-8, "read": False,
    }  # fmt: skip


@RECIPES.add("synfab.circuit.read_pulse")
def _(_folder: Path) -> Any:
    return read_pulse, {"voltage": 0.2, "rise": 1e-8, "width": 5e-8, "gap": 1e-8}


@RECIPES.add("synfab.circuit.crossbar_netlist")
def _(_folder: Path) -> Any:
    return crossbar_netlist, {
        "crossbar": Crossbar(cells(2, 2), access=Transistor()), "voltages": 0.2,
        "program": [-2.0, Pulse(0.2, rows=[0])], "dialect": "ngspice", "snapshot": False,
        "mosfet": False, "device": None, "include": "cell.va", "longest_step": None,
        "event_tolerance": None,
    }  # fmt: skip


@RECIPES.add("synfab.circuit.Netlist.save")
def _(folder: Path) -> Any:
    return operating_point().save, {"path": folder / "array.cir", "osdi": "cell.osdi"}


@RECIPES.add("synfab.circuit.to_veriloga")
def _(_folder: Path) -> Any:
    return to_veriloga, {
        "model": model(), "order": 1, "name": "cell", "noise": True, "probes": False,
    }  # fmt: skip


@RECIPES.add("synfab.circuit.to_osdi_source")
def _(_folder: Path) -> Any:
    return to_osdi_source, {
        "model": model(), "order": 1, "name": "cell", "interface": "0.4",
    }  # fmt: skip


@RECIPES.add("synfab.circuit.build_osdi")
def _(folder: Path) -> Any:
    # A compiler that writes an empty library: what is compiled is tested elsewhere.
    compiler = folder / "cc.sh"
    if not compiler.exists():
        compiler.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n')
        compiler.chmod(0o755)
    return build_osdi, {
        "model": model(), "path": folder / "made.osdi", "order": 1, "name": "cell",
        "interface": "0.4", "compiler": str(compiler),
    }  # fmt: skip


@RECIPES.add("synfab.circuit.read_raw")
def _(folder: Path) -> Any:
    simulator(folder)
    return read_raw, {"path": folder / "answer.raw"}


@RECIPES.add("synfab.circuit.export_xschem", skip=("folder",))
def _(folder: Path) -> Any:
    return export_xschem, {
        "model": model(), "folder": folder / "schematics", "order": 1, "name": "cell",
    }  # fmt: skip


# A folder that exists, such as "/", is a place to keep files: test_circuit_ngspice.py tries others.
@RECIPES.add("synfab.circuit.run_ngspice", skip=("keep",))
def _(folder: Path) -> Any:
    return run_ngspice, {
        "netlist": TEXT, "osdi": compiled(folder), "time_limit": 10.0, "progress": False,
        "ngspice": simulator(folder), "commands": ["display"], "keep": None,
        "restore": states(), "save_states": None,
    }  # fmt: skip


@RECIPES.add("synfab.circuit.run_crossbar", skip=("keep",))
def _(folder: Path) -> Any:
    return run_crossbar, {
        "netlist": operating_point(), "osdi": compiled(folder), "time_limit": 10.0,
        "progress": False, "ngspice": simulator(folder), "keep": None,
    }  # fmt: skip


@cache
def states() -> CellStates:
    return CellStates.of(cells(2, 2))


@RECIPES.add("synfab.circuit.CellStates.of")
def _(_folder: Path) -> Any:
    return CellStates.of, {"cells": cells(2, 2), "names": ["n1", "n2", "n3", "n4"]}


@RECIPES.add("synfab.circuit.CellStates.into")
def _(_folder: Path) -> Any:
    return states().into, {"cells": cells(2, 2)}


@RECIPES.add("synfab.circuit.CellStates.save")
def _(folder: Path) -> Any:
    return states().save, {"path": folder / "states.csv"}


@RECIPES.add("synfab.circuit.CellStates.load")
def _(folder: Path) -> Any:
    return CellStates.load, {"path": states().save(folder / "saved.csv")}


def waveforms() -> Waveforms:
    times = np.array([0.0, 1e-9, 2e-9])
    return Waveforms("Transient Analysis", {"time": times, "v(a)": times}, {"time": "s"})


@RECIPES.add("synfab.circuit.Waveforms.__getitem__")
def _(_folder: Path) -> Any:
    return waveforms().__getitem__, {"name": "v(a)"}


@RECIPES.add("synfab.circuit.Waveforms.at")
def _(_folder: Path) -> Any:
    return waveforms().at, {"name": "v(a)", "times": [1e-9]}


@RECIPES.add("synfab.circuit.Waveforms.save")
def _(folder: Path) -> Any:
    return waveforms().save, {"path": folder / "waves.csv"}
