"""Run the netlist of a crossbar in ngspice and read the state of its cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.state import NAMES, get_state, with_state
from synfab.circuit.netlist import Netlist
from synfab.circuit.ngspice import check_run, run_ngspice
from synfab.circuit.osdi import build_osdi
from synfab.circuit.waveforms import Waveforms, read_raw
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, PathLike
from synfab.crossbar.circuit import Circuit
from synfab.io.files import make_folder, refuse_overwrite, temporary_folder
from synfab.io.own_files import own_files

STATE_FILE = "state.raw"
# Operating-point variables of the traps; ``fresh``: the cell has switched since the last time step.
TRAPS = ("occupied", "initial", "fresh", "step")
DEVICES_PER_COMMAND = 20  # ngspice gets slower with more vectors per command


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
                commands=list(_ask_for_state(netlist.circuit)) if switches else (),
                keep=folder,
            )
            after = (
                _read_state(folder / STATE_FILE, netlist.circuit)
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


def _good_cells(circuit: Circuit) -> list[tuple[int, int]]:
    """Return the (row, column) of all cells with a device in the netlist."""
    good = np.ones(circuit.shape, np.bool_) if circuit.good is None else circuit.good
    return [(int(i), int(j)) for i, j in np.argwhere(good)]


def _ask_for_state(circuit: Circuit) -> Iterator[str]:
    """Yield ngspice commands that append the operating point of every device to a binary file."""
    names = [f"n{i}_{j}" for i, j in _good_cells(circuit)]
    asked = [*_variables(circuit).values(), *(() if circuit.cells.traps is None else TRAPS)]
    # An operating point does not switch the cells, and its plot has one point, as their states do.
    yield "op"
    for start in range(0, len(names), DEVICES_PER_COMMAND):
        some = names[start : start + DEVICES_PER_COMMAND]
        yield f"write {STATE_FILE} " + " ".join(f"@{n}[{what}]" for n in some for what in asked)


def _variables(circuit: Circuit) -> dict[str, str]:
    """Return the operating-point variable of each entry of ``get_state``."""
    variables = {what: what for what in NAMES}
    if circuit.cells.traps is not None:
        variables["r"] = "r_programmed"
    return variables


def _read_state(path: Path, circuit: Circuit) -> CellArray[Any]:
    values: dict[str, Array] = {}
    for part in read_raw(path):
        values.update(part)
    state = get_state(circuit.cells)  # defective cells keep their state
    for i, j in _good_cells(circuit):
        for what, variable in _variables(circuit).items():
            state[what][i, j] = values[f"@n{i}_{j}[{variable}]"][-1]
    result = with_state(circuit.cells, state)
    _read_traps(values, circuit, result)
    return result


def _read_traps(values: dict[str, Array], circuit: Circuit, cells: CellArray) -> None:
    """Set the traps of ``cells`` from operating-point variables; defective cells keep theirs."""
    if cells.traps is None:
        return
    engine = cells.engine_instance
    stored = cells.traps.storage(engine)
    arrays = {name: np.reshape(array, cells.shape) for name, array in stored.items()}
    number = cells.traps.step_number
    for i, j in _good_cells(circuit):
        found = {what: int(values[f"@n{i}_{j}[{what}]"][-1]) for what in TRAPS}
        arrays["traps_occupied"][i, j] = found["occupied"]
        arrays["traps_initial"][i, j] = found["initial"]
        arrays["traps_drawn"][i, j] = not found["fresh"]
        number = found["step"]
    flat = {name: array.reshape(-1) for name, array in arrays.items()}
    cells.traps.restore(engine, flat, number)
