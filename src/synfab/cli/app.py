"""The command line: ``synfab demo``, ``info``, ``fit``, ``explore`` … ``doctor``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from synfab import __version__
from synfab.cli import circuit, learn, stdio
from synfab.cli.terminal import (
    counted,
    end_in_order,
    interrupts_between_steps,
    out,
    plain,
    print_json,
    progress,
    progress_bar,
    say,
    shown,
    warn_in_one_line,
)
from synfab.common.errors import InvalidValueError, SynfabError
from synfab.common.processors import requested_threads

if TYPE_CHECKING:
    from synfab.cli.doctor import Finding

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="A virtual fab for synapses."
)
ModelArgument = Annotated[str, typer.Argument(help='"published" or a model file')]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for a program")]


def _version(wanted: bool) -> None:
    if wanted:
        say(f"synfab {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the figures")] = Path(
        "synfab-demo"
    ),
    model: Annotated[str, typer.Option(help='"published" or a model file')] = "published",
    as_json: JsonOption = False,
) -> None:
    """Fabricate a million cells, switch and read them, draw what they do, write a measurement."""
    from synfab.cli.demo import NAMES, run
    from synfab.io.files import refuse_overwrite
    from synfab.io.memory import bytes_per_cell
    from synfab.model.model_file import load_model

    if output.exists() and not output.is_dir():
        raise InvalidValueError(f"--output: {output} is a file; expected a folder")
    for file in NAMES:
        refuse_overwrite("--output", output / file, the_model=model)
    loaded = load_model(model)
    with progress_bar("starting") as bar:
        steps = run(loaded, output, lambda name: bar.update(text=f"{name} …"))
    memory = bytes_per_cell(loaded.orders[-1], "float32")
    if as_json:
        rows = [step._asdict() for step in steps]
        print_json({"steps": rows, "bytes_per_cell": memory, "figures": str(output)})
        return
    table = Table(title=f"{plain(loaded.name)} model, 1024 x 1024 cells, {memory} bytes per cell")
    for heading, side in (("step", "left"), ("time", "right"), ("throughput", "right")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for step in steps:
        rate = f"{step.operations / step.seconds / 1e6:.2f} M {step.unit}/s"
        slow = step.unit in {"figures", "loops"}
        table.add_row(step.name, f"{step.seconds * 1e3:.1f} ms", "" if slow else rate)
    out.print(table)
    for name in sorted(output.glob("*.png")):
        say(f"  {name}")
    measured, fitted = output / "cycling.csv", output / "mine.json"
    note = f"  {measured}: I-V loops to fit a model to, and to see how well it fits:"
    say(note)
    command = f"synfab fit {measured} -o {fitted} --report {output / 'report.html'}"
    say(f"  {command}")


@app.command()
def info(model: ModelArgument = "published", as_json: JsonOption = False) -> None:
    """Say what a model is: orders, voltages, population, provenance."""
    from synfab.engines.registry import HISTORIES
    from synfab.io.memory import bytes_per_cell
    from synfab.model.model_file import load_model

    loaded = load_model(model)
    conduction = loaded.conduction
    facts: dict[str, Any] = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "orders": list(loaded.orders),
        "u_max_V": conduction.u_max,
        "voltage_range_V": list(conduction.voltage_range),
        "r_max": round(conduction.r_max, 6),
        "component_probabilities": [round(float(p), 6) for p in loaded.population.probabilities],
        "bytes_per_cell": {h: bytes_per_cell(loaded.orders[-1], h) for h in HISTORIES},
        "provenance": dict(loaded.provenance),
    }
    if as_json:
        print_json(facts)
        return
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for key, value in facts.items():
        table.add_row(key, plain(value if isinstance(value, str) else json.dumps(value)))
    out.print(table)


@app.command()
def simulate(
    cells: Annotated[int, typer.Option(help="number of cells")],
    program: Annotated[
        str,
        typer.Option(
            help='pulses, "-2, 1.5 x100", or a CSV or Parquet file with voltage; with .zarr output '
            "also .npy or .zarr with voltages of shape (pulses, cells)"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="table: .parquet or .csv; .zarr for very many cells"),
    ],
    model: Annotated[str, typer.Option(help='"published" or a model file')] = "published",
    seed: Annotated[int, typer.Option(help="0 … 2**64 - 1")] = 0,
    order: Annotated[int | None, typer.Option(help="order of the history")] = None,
    history: Annotated[str, typer.Option(help="float32, int16 or compact")] = "float32",
    read_voltage: Annotated[float, typer.Option(help="V")] = 0.2,
    bandwidth: Annotated[float, typer.Option(help="of a read, Hz")] = 1e8,
    noise: Annotated[bool, typer.Option(help="noise of the reads")] = True,
    reads: Annotated[str, typer.Option(help=".zarr: after every pulse or the last")] = "every",
    resume: Annotated[bool, typer.Option(help=".zarr: go on with a run that was stopped")] = False,
) -> None:
    """Apply a pulse program to cells and write what is read after each pulse."""
    from synfab.io.files import refuse_overwrite

    cell_options: dict[str, Any] = {"seed": seed, "order": order, "history": history}
    read_options: dict[str, Any] = {"bandwidth": bandwidth, "noise": noise}
    refuse_overwrite("--output", output, the_program=program, the_model=model)
    if output.suffix.lower() == ".zarr":
        given = {**cell_options, **read_options, "reads": reads, "read_voltage": read_voltage}
        _simulate_to_zarr(program, cells, output, resume, {"model": model, **given})
        return
    from synfab.cells.array import CellArray
    from synfab.io.files import atomic_path
    from synfab.io.table_writer import TableWriter, table_format
    from synfab.pulses.program import read_program

    kind = table_format(output)
    if resume or reads != "every":
        raise InvalidValueError("--resume and --reads: expected an output that ends in .zarr")
    pulses = read_program(program)
    array = CellArray(model, cells, **cell_options)
    with (
        atomic_path(output) as path,
        TableWriter(path, kind) as writer,
        progress_bar("pulses", len(pulses)) as bar,
    ):
        for number, u in enumerate(pulses):
            array.apply_voltage(u)
            currents = array.read(read_voltage, **read_options)
            writer.write(number, u, array.cycle, currents)
            bar.advance()
    say(f"{counted(len(pulses), 'pulse')} on {counted(cells, 'cell')}: {output}")


def _simulate_to_zarr(
    program: str, cells: int, output: Path, resume: bool, options: dict[str, Any]
) -> None:
    from synfab.simulate import Simulation

    simulation = Simulation(program, cells, output, **options)
    with progress_bar("estimating …"):
        estimate = simulation.estimate()
    progress.print(f"{estimate}", highlight=False, soft_wrap=True)
    try:
        with progress_bar("cells", cells) as bar, interrupts_between_steps("pulse") as check:
            simulation.run(resume=resume, advance=bar.advance, after_pulse=check)
    except KeyboardInterrupt:
        sys.stderr.write(
            "stopped; finished blocks are kept, the same command with --resume continues\n"
        )
        raise typer.Exit(130) from None
    count = len(simulation.pulses)
    say(f"{counted(count, 'pulse')} on {counted(cells, 'cell')}: {output}")


@app.command()
def explore(
    model: ModelArgument = "published",
    port: Annotated[int, typer.Option(help="of 127.0.0.1; 0: a free one")] = 0,
    show: Annotated[bool, typer.Option(help="open it in the browser")] = True,
) -> None:
    """Explore a model interactively: a page on this machine whose figures follow its controls."""
    from synfab.explore.page import require_panel, serve
    from synfab.model.model_file import load_model

    require_panel()
    loaded = load_model(model)

    def started(address: str) -> None:
        say(f"{address}  (end it with Ctrl-C)")

    progress.print("starting; the very first time takes half a minute, to compile the kernels …")
    serve(loaded, port, show=show, started=started)


@app.command()
def bench(as_json: JsonOption = False) -> None:
    """Measure this machine against the published package, in one alternating run."""
    from synfab.cli.bench import compare_with_published, table_rows

    with progress_bar("measuring, half a minute …"):
        result = compare_with_published()
    if as_json:
        print_json(result)
        return
    table = Table(title="2**20 cells, order 10: medians of an alternating run")
    for heading in ("job", "synaptogen 0.2.0", "synfab", "ratio"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for row in table_rows(result):
        table.add_row(*row)
    out.print(table)


@app.command()
def doctor(
    subjects: Annotated[
        list[str] | None, typer.Argument(help="what is needed: ngspice, compiler, zarr, torch, …")
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="download an ngspice into the cache where it is missing")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report what this machine lacks for which work, and the command that fixes it.

    Exit status 1: something named is missing, or what all work needs, or --fix could not fix it.
    """
    from dataclasses import asdict

    from synfab.cli.doctor import examine

    asked = subjects or []
    findings = examine(asked)
    if fix:
        asked = [*asked, "ngspice"]
        if not examine(["ngspice"])[0].good:
            _provide_ngspice()
            findings = examine(subjects or [])
    lacking = [f for f in findings if not f.good and f.is_needed(asked)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print_findings(findings)
    if lacking:
        raise typer.Exit(1)


def _provide_ngspice() -> None:
    from synfab.circuit.provide import provide_ngspice

    try:
        provide_ngspice(lambda text: progress.print(text, highlight=False))
    except SynfabError as error:  # the list still says what is missing
        sys.stderr.write(f"synfab: {error}\n")


def _print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        mark = "ok     " if finding.good else "missing"
        say(f"{mark}  {finding.subject}: {finding.found}")
        if not finding.good:
            need = f"         needed for {finding.needed_for}; fix it with:"
            say(f"{need} {finding.mend}")


app.add_typer(circuit.app, name="export")
app.command()(learn.fit)
app.command()(learn.compare)


def main() -> None:
    """Run the command line; bad input is one line and exit status 2."""
    sys.exit(stdio.run(_main))


def _main() -> None:
    end_in_order()
    warn_in_one_line()
    try:
        requested_threads()  # a wrong number of threads is refused by every command
        app()
    except SynfabError as error:
        sys.stderr.write(f"synfab: {shown(str(error))}\n")
        sys.exit(2)
