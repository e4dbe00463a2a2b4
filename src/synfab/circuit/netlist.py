"""Netlists of crossbars: cells of an array in any state, wires, access devices, drivers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cells.state import get_state
from synfab.circuit.dialects import Dialect, make_dialect
from synfab.circuit.lines import drivers, wire_segments
from synfab.circuit.literals import check_identifier, default_name
from synfab.circuit.snapshot import snapshot_cell
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.io.files import atomic_path
from synfab.io.memory import require_memory
from synfab.model.cell_model import FEATURES
from synfab.network.wires import Wires, make_wires
from synfab.pulses.timeline import Program, Pulse, Timeline, as_pulses, lay_out

Array = npt.NDArray[Any]

ACCESS = ("switch", "transistor")
# Enough for a cell of any state: 64 uA at 0.1 V across the transistor with 3.3 V on the gate.
TRANSISTOR = {"level": 1.0, "vto": 0.5, "kp": 4e-4, "w": 1e-6, "l": 1e-6}
SWITCH_ON, SWITCH_OFF = 1.0, 1e12  # ohm
BYTES_PER_CELL = 600  # of text and of the lists it is made from


@dataclass(frozen=True)
class Netlist:
    """Text of a circuit, and what is needed to run it and to understand its results.

    Attributes
    ----------
    text
        The netlist, whole.
    dialect
        ``"ngspice"`` or ``"spectre"``.
    cells
        The array it was written for; never changed.
    timeline
        When each pulse happens; None for an operating point.
    snapshot
        Whether the cells are written as behavioural sources that cannot switch.
    """

    text: str
    dialect: str
    cells: CellArray
    timeline: Timeline | None
    snapshot: bool
    device: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the text to a file, whole or not at all."""
        wanted = checks.path("path", path)
        with atomic_path(wanted) as target:
            target.write_text(self.text, "utf-8", newline="\n")
        return wanted.absolute()


def crossbar_netlist(
    cells: CellArray,
    program: Program | None = None,
    *,
    voltages: npt.ArrayLike = 0.2,
    wire_resistance: Any = 0.0,
    source_resistance: Any = 0.0,
    sense_resistance: Any = 0.0,
    drive: str = "top",
    sense: str = "left",
    access: str | None = None,
    dialect: str = "ngspice",
    snapshot: bool = False,
    device: str | None = None,
    include: str = "cell.va",
    longest_step: float | None = None,
    event_tolerance: float | None = None,
) -> Netlist:
    """Write a crossbar of cells in their present state as a netlist.

    Columns are driven, rows are held by their own drivers, whose currents ``i(vr0)``, ``i(vr1)``,
    … come back. A cell sees the voltage of its column against its row.

    Parameters
    ----------
    cells
        Array of shape (rows, columns), in any state.
    program
        Pulses (``Pulse``, or voltages for all cells, or a text such as ``"-2, 1.2, 0.2"``); None
        asks for the operating point.
    voltages
        V of the columns at the operating point, one number or (columns,).
    wire_resistance, source_resistance, sense_resistance, drive, sense
        As for ``synfab.Crossbar``; zero everywhere: ideal wires.
    access
        None, ``"switch"`` or ``"transistor"``: a device in series with each cell, with one gate
        line per row that is on for selected rows, and always on at an operating point.
    dialect
        ``"ngspice"`` or ``"spectre"``.
    snapshot
        Write each cell as a behavioural source with its present state, which needs no compiled
        device and runs in any SPICE with ``B`` sources (dialect ngspice); cells then never switch.
    device
        Name of the compiled device or module; None takes the default of ``build_osdi``.
    include
        File of the Verilog-A module (dialect spectre).
    longest_step
        Seconds, of the transient; None takes a fifth of the shortest flat top or edge.
    event_tolerance
        V by which a time step may run past a switching voltage (dialect ngspice); None takes the
        device's own, 0.02 V, and 0 lets every step pass: the states are the same, only the
        waveform around a switching event is coarser.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    CapacityError
        The text would not fit into memory.
    """
    checks.instance("cells", cells, CellArray)
    if cells.ndim != 2:
        raise InvalidValueError(f"cells: expected rows x columns, found shape {cells.shape}")
    if access is not None:
        checks.choice("access", access, ACCESS)
    writer = make_dialect(dialect)
    _check_include(include)
    if longest_step is not None:
        longest_step = checks.positive("longest_step", longest_step)
    if event_tolerance is not None:
        event_tolerance = checks.number("event_tolerance", event_tolerance, minimum=0.0)
    if checks.flag("snapshot", snapshot) and not writer.by_identity:
        raise InvalidValueError('snapshot: expected dialect "ngspice"')
    rows, columns = cells.shape
    wires = make_wires(
        (rows, columns), wire_resistance, source_resistance, sense_resistance, drive, sense
    )
    require_memory(
        BYTES_PER_CELL * (1 if wires is None else 2) * cells.size,
        f"a netlist of {rows} x {columns} cells",
    )
    name = default_name(cells.model) if device is None else check_identifier("device", device)
    pulses = None if program is None else as_pulses(program)
    timeline = None if pulses is None else lay_out(pulses, (rows, columns))
    levels = _levels(voltages, columns)
    _warn_of_untrained(cells, pulses, levels)
    kind = "snapshot of " if snapshot else ""
    parts = [
        writer.header(f"{kind}{rows} x {columns} cells, {cells!r}", include),
        *drivers(writer, timeline, levels, cells.shape, wires, gates=access is not None),
        *wire_segments(writer, wires),
        *_cells(writer, cells, name, wires is not None, access, snapshot),
        *_models(writer, cells, name, access, snapshot, timeline, event_tolerance),
        writer.save([f"r{i}" for i in range(rows)] + [f"c{j}" for j in range(columns)]),
        *_analysis(writer, pulses, timeline, longest_step, wires, snapshot),
    ]
    return Netlist("".join(parts), dialect, cells, timeline, snapshot, name)


def _check_include(include: object) -> None:
    """Raise unless a file can be named between quotes."""
    if any(mark in checks.text("include", include) for mark in '"\n\r\0'):
        raise InvalidValueError(
            f"include: expected a path without quotes and line breaks, "
            f"found {checks.shown(include)}"
        )


def _levels(voltages: npt.ArrayLike, columns: int) -> Array:
    levels = checks.real_array("voltages", voltages)
    if levels.shape not in {(), (columns,)}:
        raise InvalidValueError(
            f"voltages: expected one number or ({columns},) volts, found {levels.shape}"
        )
    if not np.isfinite(levels).all():
        raise InvalidValueError("voltages: expected finite volts, found NaN or infinity")
    return np.broadcast_to(levels.astype(np.float64), (columns,))


def _warn_of_untrained(cells: CellArray, pulses: list[Pulse] | None, levels: Array) -> None:
    """Reads and rests outside the trained range are ohmic guesses; say so with the numbers."""
    low, high = cells.model.conduction.voltage_range
    looked = levels if pulses is None else np.array([p.voltage for p in pulses if p.read])
    beyond = looked[(looked < low) | (looked > high)]
    if beyond.size:
        warnings.warn(
            f"{beyond.size} read voltages between {beyond.min():g} and {beyond.max():g} V lie "
            f"outside the trained range {low:g} … {high:g} V, where cells are taken as ohmic",
            stacklevel=3,
        )


def _cells(
    writer: Dialect,
    cells: CellArray,
    device: str,
    wired: bool,
    access: str | None,
    snapshot: bool,
) -> Iterator[str]:
    rows, columns = cells.shape
    yield writer.comment("cells")
    states = None if snapshot else cell_parameters(cells, writer.by_identity)
    r = cells.r.astype(np.float64)
    for i in range(rows):
        for j in range(columns):
            name = f"{i}_{j}"
            top, bottom = (f"c{j}_{i}", f"r{i}_{j}") if wired else (f"c{j}", f"r{i}")
            end = bottom if access is None else f"m{name}"
            if states is None:
                yield snapshot_cell(cells.model, name, top, end, r[i, j])
            else:
                given = {key: numbers[i, j] for key, numbers in states.items()}
                yield writer.cell(
                    name, top, end, device, {k: v for k, v in given.items() if not np.isnan(v)}
                )
            if access == "switch":
                yield writer.switch(name, end, bottom, f"g{i}")
            elif access == "transistor":
                yield writer.transistor(name, end, f"g{i}", bottom)


def cell_parameters(cells: CellArray, by_identity: bool) -> dict[str, Array]:
    """Instance parameters that put a device into the state of each cell; NaN: leave it out.

    A compiled device finds its history by the cell's number; a Verilog-A module, which has random
    numbers of its own, is given the device parameters.
    """
    state = get_state(cells)
    fresh = (state["phase"] == 0) & (state["cycle"] == 0)
    number = (cells.first_cell + np.arange(cells.size, dtype=np.uint64)).reshape(cells.shape)
    parameters: dict[str, Array] = {}
    if by_identity:
        parameters["cell"] = (number & np.uint64(2**32 - 1)).astype(np.float64)
        high = (number >> np.uint64(32)).astype(np.float64)
        parameters["cell_high"] = np.where(high > 0, high, np.nan)
        parameters["cycle0"] = np.where(state["cycle"] > 0, state["cycle"], np.nan)
    else:
        # One stream of the simulator's generator per cell.
        parameters["seed"] = (number % np.uint64(2**31 - 2) + np.uint64(1)).astype(np.float64)
        parameters["given_device"] = np.ones(cells.shape)
        for k, key in enumerate(FEATURES):
            parameters[f"mu_{key}"] = cells.device_parameters[..., k].astype(np.float64)
            parameters[f"sigma_{key}"] = cells.device_parameters[..., 4 + k].astype(np.float64)
    parameters["phase0"] = np.where(state["phase"] > 0, state["phase"], np.nan)
    parameters["r0"] = np.where(fresh & by_identity, np.nan, state["r"])
    between = state["phase"] == 2
    parameters["threshold0"] = np.where(between, state["threshold"], np.nan)
    parameters["steepness0"] = np.where(between, state["steepness"], np.nan)
    return parameters


def _models(
    writer: Dialect,
    cells: CellArray,
    device: str,
    access: str | None,
    snapshot: bool,
    timeline: Timeline | None,
    event_tolerance: float | None,
) -> Iterator[str]:
    if not snapshot:
        line = writer.model(device, cells.seed)
        if event_tolerance is not None and writer.by_identity:
            line = line.rstrip("\n") + f" event_tolerance={event_tolerance:g}\n"
        yield line
    floats = timeline is not None and not (timeline.held_columns.all() and timeline.held_rows.all())
    if access == "switch" or floats:
        yield writer.switch_model(SWITCH_ON, SWITCH_OFF)
    if access == "transistor":
        yield writer.transistor_model(TRANSISTOR)


def _analysis(
    writer: Dialect,
    pulses: list[Pulse] | None,
    timeline: Timeline | None,
    longest_step: float | None,
    wires: Wires | None,
    snapshot: bool,
) -> Iterator[str]:
    if writer.by_identity and (wires is not None or not snapshot):
        yield ".option klu\n"  # the older solver takes 2 to 100 times as long
    if pulses is None or timeline is None:
        yield writer.operating_point()
        return
    shortest = min(min(p.rise, p.width) for p in pulses)
    longest = shortest / 5.0 if longest_step is None else longest_step
    yield writer.transient(min(longest, shortest / 5.0), timeline.stop, longest)
