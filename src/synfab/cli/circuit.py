"""Commands ``synfab export veriloga | osdi | netlist``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synfab.cli.condition import ConditionOption, load_model_at
from synfab.cli.terminal import say
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
        text = to_osdi_source(loaded, order=order, name=name)
        with atomic_path(output) as path:
            path.write_text(text, "utf-8", newline="\n")
    else:
        build_osdi(loaded, output, order=order, name=name)
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
) -> None:
    """Write the cell model as a Verilog-A module for Spectre and other event-driven simulators."""
    from synfab.circuit.veriloga import to_veriloga
    from synfab.io.files import atomic_path, refuse_overwrite

    refuse_overwrite("--output", output, the_model=model)
    text = to_veriloga(load_model_at(model, condition), order=order, name=name, noise=noise)
    with atomic_path(output) as path:
        path.write_text(text, "utf-8", newline="\n")
    say(f"{output}: {len(text.splitlines())} lines")


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
    dialect: Annotated[str, typer.Option(help="ngspice or spectre")] = "ngspice",
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="cells with fixed state (no switching)")
    ] = False,
) -> None:
    """Write a crossbar of cells as a netlist."""
    from synfab.cells.array import CellArray
    from synfab.circuit.elements import SWITCH_OFF, SWITCH_ON
    from synfab.circuit.netlist import crossbar_netlist
    from synfab.common import checks
    from synfab.crossbar import Crossbar, Transistor
    from synfab.io.files import refuse_overwrite

    refuse_overwrite("--output", output, the_model=model, the_array=array, the_program=program)
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
    result.save(output)
    say(f"{output}: {cells.shape[0]} x {cells.shape[1]} cells")
