"""Run the netlist of a crossbar in ngspice and read the state of its cells."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.circuit.netlist import Netlist
from synfab.circuit.ngspice import STATE_FILE, check_run, run_ngspice
from synfab.circuit.osdi import build_osdi
from synfab.circuit.states import commands_that_write, read_states
from synfab.circuit.waveforms import Waveforms
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, PathLike
from synfab.crossbar.circuit import Circuit
from synfab.io.files import make_folder, refuse_overwrite, temporary_folder
from synfab.io.own_files import own_files


@no_array("run.row_currents or run.waveforms")
@dataclass(frozen=True)
class CrossbarRun:
    """Results of simulating a crossbar.

    Attributes
    ----------
    waveforms
        Time (s) and currents (A) of row drivers ``i(vr0)`` … and column drivers ``i(vc0)`` ….
    row_currents
        Current from each row into its driver at the end of every pulse, A, (pulses, rows); for
        an operating point (1, rows).
    cells
        Cells after the run; the array that the netlist was written from is unchanged.
    """

    waveforms: Waveforms
    row_currents: Array
    cells: CellArray[Any]


def run_crossbar(
    netlist: Netlist,
    *,
    osdi: PathLike | None = None,
    time_limit: float = 600.0,
    progress: bool = False,
    ngspice: PathLike | None = None,
    keep: PathLike | None = None,
) -> CrossbarRun:
    """Run the netlist of a crossbar in ngspice and return waveforms, currents and cells.

    Parameters
    ----------
    netlist
        Result of ``crossbar_netlist`` in the ngspice dialect.
    osdi
        Compiled device; None compiles it for this run.
    time_limit, progress, ngspice, keep
        As for ``run_ngspice``.

    Raises
    ------
    SolverError, ToolError, InvalidValueError
        As for ``run_ngspice``.
    """
    checks.instance("netlist", netlist, Netlist)
    time_limit = check_run(time_limit, progress, ngspice, keep)
    device = None if osdi is None else checks.path("osdi", osdi)
    if netlist.dialect != "ngspice":
        raise InvalidValueError(f"netlist: expected dialect ngspice, found {netlist.dialect}")
    switches = not netlist.snapshot and netlist.timeline is not None
    cells = dict.fromkeys(_devices(netlist.circuit), netlist.cells.traps is not None)
    with temporary_folder("synfab") as temporary:
        folder = temporary if keep is None else checks.path("keep", keep)
        devices: list[Path] = []
        if not netlist.snapshot:
            devices = [device if device is not None else _build(netlist, temporary)]
        refuse_overwrite("keep", folder / STATE_FILE, osdi=osdi)
        make_folder(folder, "keep")
        with nullcontext() if keep is None else own_files(folder, [STATE_FILE], "keep"):
            (folder / STATE_FILE).unlink(missing_ok=True)
            results = run_ngspice(
                netlist.text,
                osdi=devices,
                time_limit=time_limit,
                progress=progress,
                ngspice=ngspice,
                commands=list(commands_that_write(STATE_FILE, cells)) if switches else (),
                keep=folder,
            )
            after = (
                read_states(folder / STATE_FILE, cells).into(netlist.cells)
                if switches
                else netlist.cells.copy()
            )
    waveforms = results[0]
    currents = [waveforms[f"i(vr{i})"] for i in range(netlist.circuit.shape[0])]
    if netlist.timeline is not None:
        times = waveforms["time"]
        currents = [np.interp(netlist.timeline.samples, times, current) for current in currents]
    return CrossbarRun(waveforms, np.stack(currents, axis=1), after)


def _build(netlist: Netlist, folder: Path) -> Path:
    return build_osdi(
        netlist.cells.model,
        folder / "cell.osdi",
        order=netlist.cells.order,
        name=netlist.device,
    )


def _devices(circuit: Circuit) -> list[str]:
    """Return the elements of all cells with a device in the netlist; defective cells have none."""
    good = np.ones(circuit.shape, np.bool_) if circuit.good is None else circuit.good
    return [f"n{i}_{j}" for i, j in np.argwhere(good)]
