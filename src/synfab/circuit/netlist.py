"""Netlists of crossbars: cells in their present state, wires, access devices, drivers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.circuit.dialects import Dialect, make_dialect
from synfab.circuit.elements import Crosspoints
from synfab.circuit.former import accepts_former_arguments
from synfab.circuit.lines import drivers, wire_segments
from synfab.circuit.literals import check_identifier, default_name
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike, PathLike
from synfab.crossbar.array import Crossbar
from synfab.crossbar.circuit import Circuit
from synfab.io.files import atomic_path, refuse_overwrite
from synfab.io.memory import require_memory
from synfab.network.access import Transistor
from synfab.network.bias import line_voltages
from synfab.pulses.timeline import Program, Pulse, Timeline, as_pulses, lay_out

SAFE = r"[\w./+-]+"
BYTES_PER_CELL = 600  # text and the lists it is built from


@no_array("netlist.text")
@dataclass(frozen=True)
class Netlist:
    """Netlist of a crossbar, and the data to run it and to interpret its results.

    Attributes
    ----------
    text
        Complete text of the netlist.
    dialect
        Name of the dialect, such as ``"ngspice"``.
    circuit
        Circuit that the netlist describes; never modified.
    timeline
        Time of each pulse; None for an operating point.
    snapshot
        Whether the cells are written as behavioural sources that cannot switch.
    device
        Name of the compiled device or module.
    """

    text: str
    dialect: str
    circuit: Circuit
    timeline: Timeline | None
    snapshot: bool
    device: str

    @property
    def cells(self) -> CellArray[Any]:
        """The array that the netlist was written from."""
        return self.circuit.cells

    def save(self, path: PathLike, *, osdi: PathLike | None = None) -> Path:
        """Write the netlist to a file that the simulator runs as it is, and return its path.

        ``ngspice -b`` then writes its results to a file of the same name with the suffix ``.raw``,
        VACASK to a file with the name of the analysis.

        Parameters
        ----------
        path
            File to write.
        osdi
            Compiled device that the file loads; a path relative to its folder, or absolute. None:
            the simulator is started with the device loaded.

        Raises
        ------
        InvalidValueError
            The path of the device has characters that ngspice does not accept, or the file cannot
            be written.
        """
        wanted = checks.path("path", path)
        device = None if osdi is None else checks.path("osdi", osdi).as_posix()
        if device is not None and not re.fullmatch(SAFE, device):
            raise InvalidValueError(
                f"osdi: expected a path of letters, digits and ./_+-, which simulators can load; "
                f"found {checks.shown(device)}"
            )
        results = re.sub(r"[^\w.-]", "_", wanted.stem, flags=re.ASCII) + ".raw"
        writer = make_dialect(self.dialect, snapshot=self.snapshot)
        refuse_overwrite("path", wanted, osdi=osdi)
        with atomic_path(wanted) as target:
            target.write_text(self.text + writer.closing(device, results), "utf-8", newline="\n")
        return wanted.absolute()


@accepts_former_arguments
def crossbar_netlist(
    crossbar: Crossbar[Any] | Circuit,
    program: Program | None = None,
    *,
    voltages: ArrayLike = 0.2,
    dialect: str = "ngspice",
    snapshot: bool = False,
    mosfet: bool = False,
    device: str | None = None,
    include: str = "cell.va",
    longest_step: float | None = None,
    event_tolerance: float | None = None,
) -> Netlist:
    """Return the netlist of a crossbar with its cells in their present state.

    Columns are driven; rows are held by their own drivers, whose currents ``i(vr0)``, ``i(vr1)``,
    … are saved. The voltage of a cell is that of its column minus that of its row.

    Parameters
    ----------
    crossbar
        Cells of any engine, with wires, access devices and defects. Gates are on for selected
        lines; for an operating point all gates are on.
    program
        Pulses (``Pulse``, voltages for all cells, or text such as ``"-2, 1.2, 0.2"``); None
        requests an operating point.
    voltages
        Column voltages at the operating point, V; one number or (columns,).
    dialect
        ``"ngspice"``, ``"spectre"``, ``"vacask"``, or another registered dialect; with ``snapshot``
        also ``"xyce"``, ``"ltspice"`` and ``"hspice"``.
    snapshot
        Write each cell as a behavioural source in its present state. It needs no compiled device,
        but never switches. Not in the dialects spectre and vacask.
    mosfet
        Write each ``Transistor`` as a level-1 MOSFET with 3.3 V on its gate, instead of a switch
        with the transistor's on and off resistance. Where the curves of the cells contain their
        transistor already, as those of the published model, it is so wide that it only selects.
    device
        Name of the compiled device or module; None uses the default of ``build_osdi``.
    include
        File of the Verilog-A module to include (dialect spectre).
    longest_step
        Maximum step of the transient, s; None uses a fifth of the shortest plateau or edge.
    event_tolerance
        Voltage by which a time step may overshoot a switching voltage, V (ngspice, vacask). None
        uses the device's default, 0.02 V; 0 accepts every step: states are the same, but the
        waveform around a switching event is coarser.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    CapacityError
        The text would exceed available memory.

    Examples
    --------
    >>> cells = sf.CellArray("published", (8, 8), seed=1).apply_voltage(-2.0)
    >>> bar = sf.Crossbar(cells, wire_resistance=2.5)
    >>> netlist = sf.circuit.crossbar_netlist(bar, [sf.circuit.Pulse(voltage=-2.0)])
    >>> netlist.save("crossbar.cir").name
    'crossbar.cir'
    """
    circuit = (
        crossbar.circuit
        if isinstance(crossbar, Crossbar)
        else checks.instance("crossbar", crossbar, Circuit, "a Crossbar")
    )
    writer = make_dialect(dialect, snapshot=checks.flag("snapshot", snapshot))
    _check_include(include)
    if longest_step is not None:
        longest_step = checks.positive("longest_step", longest_step)
    if event_tolerance is not None:
        event_tolerance = checks.number("event_tolerance", event_tolerance, minimum=0.0)
    cells, wires, access = circuit.cells, circuit.wires, circuit.access
    rows, columns = circuit.shape
    require_memory(
        BYTES_PER_CELL * (1 if wires is None else 2) * cells.size,
        f"a netlist of {rows} x {columns} cells",
    )
    name = default_name(cells.model) if device is None else check_identifier("device", device)
    crosspoints = Crosspoints(circuit, writer, name, snapshot, checks.flag("mosfet", mosfet))
    pulses = None if program is None else as_pulses(program)
    gates = access.gates if isinstance(access, Transistor) else None
    timeline = None if pulses is None else lay_out(pulses, (rows, columns), gates or "rows")
    levels = line_voltages("voltages", voltages, columns)
    _warn_of_untrained(cells, pulses, levels)
    kind = "snapshot of " if snapshot else ""
    parts = [
        writer.header(f"{kind}{rows} x {columns} cells, {cells!r}", include),
        *drivers(writer, timeline, levels, circuit, gates, crosspoints.line_switch),
        *wire_segments(writer, wires),
        *crosspoints.elements(),
        *crosspoints.models(timeline is not None and timeline.floats, event_tolerance),
        writer.save(
            [f"r{i}" for i in range(rows)] + [f"c{j}" for j in range(columns)],
            transient=timeline is not None,
        ),
        *_analysis(writer, pulses, timeline, longest_step, wires is not None or not snapshot),
    ]
    return Netlist("".join(parts), dialect, circuit, timeline, snapshot, name)


def _check_include(include: object) -> None:
    """Raise unless ``include`` is a path that can be quoted in a netlist."""
    if any(mark in checks.text("include", include) for mark in '"\n\r\0'):
        raise InvalidValueError(
            f"include: expected a path without quotes and line breaks, "
            f"found {checks.shown(include)}"
        )


def _warn_of_untrained(cells: CellArray[Any], pulses: list[Pulse] | None, levels: Array) -> None:
    """Warn of read voltages outside the trained range, where cells are assumed ohmic."""
    low, high = cells.model.conduction.voltage_range
    looked = levels if pulses is None else np.array([p.voltage for p in pulses if p.read])
    beyond = looked[(looked < low) | (looked > high)]
    if beyond.size:
        warnings.warn(
            f"{beyond.size} read voltages between {beyond.min():g} and {beyond.max():g} V lie "
            f"outside the trained range {low:g} … {high:g} V, where cells are taken as ohmic",
            stacklevel=4,  # beyond this, crossbar_netlist and its decorator,
        )


def _analysis(
    writer: Dialect,
    pulses: list[Pulse] | None,
    timeline: Timeline | None,
    longest_step: float | None,
    needs_options: bool,
) -> Iterator[str]:
    if needs_options:
        yield writer.options()
    if pulses is None or timeline is None:
        yield writer.operating_point()
        return
    shortest = min(min(p.rise, p.width) for p in pulses)
    longest = shortest / 5.0 if longest_step is None else longest_step
    yield writer.transient(min(longest, shortest / 5.0), timeline.stop, longest)
