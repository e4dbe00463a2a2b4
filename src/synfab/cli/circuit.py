"""Commands ``synfab export veriloga | osdi | netlist | xschem`` and ``synfab run``."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from synfab.cli.condition import ConditionOption, load_model_at
from synfab.cli.terminal import counted, say
from synfab.common.errors import InvalidValueError

app = typer.Typer(no_args_is_help=True, help="Export cells for circuit simulators.")

ModelArgument = Annotated[str, typer.Argument(help='"published" or a model file')]
OrderOption = Annotated[int | None, typer.Option(help="order of the history; default: highest")]
NameOption = Annotated[str | None, typer.Option(help="device name; default: name of the model")]


@app.command()
def osdi(
    output: Annotated[Path, typer.Option("--output", "-o", help="library to write (.osdi)")],
    model: ModelArgument = "published",
    condition: ConditionOption = None,
    order: OrderOption = None,
    name: NameOption = None,
    interface: Annotated[str, typer.Option(help="OSDI 0.3 (ngspice) or 0.4 (VACASK)")] = "0.3",
    source: Annotated[
        bool, typer.Option("--source", help="write the C source instead of the library")
    ] = False,
) -> None:
    """Compile the cell model for ngspice and other simulators with the OSDI interface."""
    from synfab.circuit.literals import default_name
    from synfab.circuit.osdi import build_osdi, to_osdi_source
    from synfab.io.files import atomic_path, refuse_overwrite

    refuse_overwrite("--output", output, the_model=model)
    loaded = load_model_at(model, condition)
    if source:
        text = to_osdi_source(loaded, order=order, name=name, interface=interface)
        with atomic_path(output) as path:
            path.write_text(text, "utf-8", newline="\n")
    else:
        build_osdi(loaded, output, order=order, name=name, interface=interface)
    device = name or default_name(loaded)
    say(f"{output}: .model memory {device} seed=1")


@app.command()
def veriloga(
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write (.va)")],
    model: ModelArgument = "published",
    condition: ConditionOption = None,
    order: OrderOption = None,
    name: NameOption = None,
    noise: Annotated[bool, typer.Option(help="include read noise for noise analysis")] = True,
    probes: Annotated[
        bool, typer.Option("--probes", help="two more terminals with the state and the current")
    ] = False,
) -> None:
    """Write the cell model as a Verilog-A module for Spectre and other event-driven simulators."""
    from synfab.circuit.veriloga import to_veriloga
    from synfab.io.files import atomic_path, refuse_overwrite

    refuse_overwrite("--output", output, the_model=model)
    loaded = load_model_at(model, condition)
    text = to_veriloga(loaded, order=order, name=name, noise=noise, probes=probes)
    with atomic_path(output) as path:
        path.write_text(text, "utf-8", newline="\n")
    say(f"{output}: {len(text.splitlines())} lines")


@app.command()
def xschem(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write to")],
    model: ModelArgument = "published",
    condition: ConditionOption = None,
    order: OrderOption = None,
    name: NameOption = None,
) -> None:
    """Write symbols of a cell and of a 1T1R cell for xschem, a test bench, and the device."""
    from synfab.circuit.xschem import LIBRARY, export_xschem
    from synfab.io.files import refuse_overwrite

    refuse_overwrite("--output", output / LIBRARY, the_model=model)
    export_xschem(load_model_at(model, condition), output, order=order, name=name)
    say(f"{output}: start xschem there, and open synfab_testbench.sch")


@app.command()
def netlist(
    output: Annotated[Path, typer.Option("--output", "-o", help="netlist to write")],
    model: ModelArgument = "published",
    condition: ConditionOption = None,
    rows: Annotated[int, typer.Option(help="number of rows, which are sensed")] = 8,
    columns: Annotated[int, typer.Option(help="number of columns, which are driven")] = 8,
    seed: Annotated[int, typer.Option(help="seed of the cells")] = 0,
    program: Annotated[str | None, typer.Option(help='pulse program, "-2, 1.2, 0.2"')] = None,
    array: Annotated[Path | None, typer.Option(help="saved array in place of new cells")] = None,
    wire_resistance: Annotated[float, typer.Option(help="ohm per segment")] = 0.0,
    access: Annotated[str | None, typer.Option(help="access device: switch or transistor")] = None,
    dialect: Annotated[
        str, typer.Option(help="ngspice, spectre, vacask, xyce, ltspice or hspice")
    ] = "ngspice",
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="cells with fixed state (no switching)")
    ] = False,
) -> None:
    """Write a crossbar of cells as a netlist that the simulator runs as it is.

    For ngspice and VACASK, the compiled device is written next to it, with the suffix .osdi.
    """
    from synfab.cells.array import CellArray
    from synfab.circuit.dialects import make_dialect
    from synfab.circuit.elements import SWITCH_OFF, SWITCH_ON
    from synfab.circuit.netlist import crossbar_netlist
    from synfab.circuit.osdi import build_osdi
    from synfab.common import checks
    from synfab.crossbar import Crossbar, Transistor
    from synfab.io.files import refuse_overwrite

    interface = None if snapshot else make_dialect(dialect).interface
    library = None if interface is None else _library(output)
    for file in (output, library):
        if file is not None:
            refuse_overwrite(
                "--output", file, the_model=model, the_array=array, the_program=program
            )
    if access is not None:
        checks.choice("access", access, ("switch", "transistor"))
    if array is None:
        cells = CellArray(load_model_at(model, condition), (rows, columns), seed=seed)
    elif condition:
        raise InvalidValueError("--condition: not with --array, whose cells exist")
    else:
        cells = CellArray.load(array)
    device = None if access is None else Transistor(SWITCH_ON, SWITCH_OFF)
    result = crossbar_netlist(
        Crossbar(cells, wire_resistance, access=device),
        program,
        dialect=dialect,
        snapshot=snapshot,
        mosfet=access == "transistor",
    )
    if library is not None and interface is not None:
        build_osdi(cells.model, library, order=cells.order, name=result.device, interface=interface)
    result.save(output, osdi=None if library is None else library.name)
    say(f"{output}: {cells.shape[0]} x {cells.shape[1]} cells")
    if dialect == "ngspice":
        deck, table = shlex.quote(str(output)), shlex.quote(str(output.with_suffix(".csv")))
        say(f"  run it with: synfab run {deck} -o {table}")


def _library(netlist: Path) -> Path:
    """Return the path of the compiled device next to a netlist, with a name ngspice can load."""
    stem = re.sub(r"[^\w.-]", "_", netlist.stem, flags=re.ASCII)
    library = netlist.with_name(f"{stem}.osdi")
    if library == netlist:
        raise InvalidValueError(f"--output: {netlist} is the name of the compiled device")
    return library


def run(
    deck: Annotated[Path, typer.Argument(help="netlist with analyses")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="table of waveforms (.csv, .parquet); one per analysis"
        ),
    ],
    plot: Annotated[Path | None, typer.Option(help="figure of the waveforms (.png)")] = None,
    osdi: Annotated[
        list[Path] | None, typer.Option(help="compiled device to load, besides those of the deck")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="seconds after which ngspice is stopped")] = (
        600.0
    ),
    restore: Annotated[
        Path | None, typer.Option(help="state in which the cells start, of --save-states")
    ] = None,
    save_states: Annotated[
        Path | None, typer.Option(help="file to write with the state of the cells (.csv)")
    ] = None,
) -> None:
    """Run a netlist in ngspice, and write its waveforms as tables and as a figure.

    Several analyses are written to files with -1, -2 … before the suffix.
    """
    from synfab.circuit.ngspice import run_ngspice
    from synfab.circuit.ngspice_search import find_ngspice
    from synfab.circuit.waveforms import FORMATS
    from synfab.common import checks, extras
    from synfab.io.files import atomic_path, refuse_overwrite

    checks.choice("--output", output.suffix.lower(), FORMATS)
    for option, file in (("--output", output), ("--plot", plot), ("--save-states", save_states)):
        if file is not None:
            refuse_overwrite(option, file, the_deck=deck)
    # The states of a run may replace those that it started from.
    refuse_overwrite("--output", output, the_states=[restore, save_states])
    if output.suffix.lower() == ".parquet":
        extras.require("pyarrow")
    if plot is not None:
        checks.choice("--plot", plot.suffix.lower(), (".png", ".pdf", ".svg"))
        extras.check("matplotlib")
    program = find_ngspice()
    say(f"ngspice: {program}")
    results = run_ngspice(
        deck,
        osdi=osdi or [],
        time_limit=time_limit,
        ngspice=program,
        progress=sys.stderr.isatty(),
        restore=restore,
        save_states=save_states,
    )
    for number, result in enumerate(results, 1):
        name = output.stem if len(results) == 1 else f"{output.stem}-{number}"
        target = output.with_name(f"{name}{output.suffix}")
        refuse_overwrite("--output", target, the_deck=deck)
        result.save(target)
        points = counted(len(next(iter(result.values()))), "point")
        say(f"{target}: {result.analysis}, {points} of {counted(len(result), 'vector')}")
    if plot is not None:
        from synfab.figures.circuit import waveforms

        with atomic_path(plot) as path:
            waveforms(results).savefig(path, format=plot.suffix[1:].lower(), dpi=150)
        say(f"{plot}")
