"""Command line ``synfab``: the commands and their options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from synfab import __version__
from synfab.cli import circuit, learn, stdio
from synfab.cli.condition import ConditionOption, load_model_at
from synfab.cli.terminal import (
    counted,
    exit_on_signals,
    interrupts_between_steps,
    out,
    plain,
    print_json,
    progress,
    progress_bar,
    say,
    show_compilation,
    show_warnings_in_one_line,
    shown,
)
from synfab.common.errors import InvalidValueError, SynfabError
from synfab.common.processors import requested_threads

if TYPE_CHECKING:
    from synfab.cli.doctor import Finding
    from synfab.model.traps import Traps
    from synfab.simulate import Simulation

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="A virtual fab for ReRAM synapses."
)
ModelArgument = Annotated[str, typer.Argument(help='"published" or a model file')]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


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
    show_compilation()


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the figures")] = Path(
        "synfab-demo"
    ),
    model: Annotated[str, typer.Option(help='"published" or a model file')] = "published",
    condition: ConditionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create, switch and read a million cells; write figures and a measurement to fit."""
    from synfab.cli.demo import NAMES, run
    from synfab.engines.capacity import bytes_per_cell
    from synfab.io.files import refuse_overwrite

    if output.exists() and not output.is_dir():
        raise InvalidValueError(f"--output: {output} is a file; expected a folder")
    for file in NAMES:
        refuse_overwrite("--output", output / file, the_model=model)
    loaded = load_model_at(model, condition)
    with progress_bar("starting") as bar:
        steps = run(loaded, output, lambda name: bar.update(text=f"{name} …"))
    memory = bytes_per_cell(loaded.orders[-1], "float32", loaded.averages)
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
    note = f"  {measured}: I-V loops; fit a model to them and compare it with:"
    say(note)
    command = f"synfab fit {measured} -o {fitted} --report {output / 'report.html'}"
    say(f"  {command}")


@app.command()
def info(model: ModelArgument = "published", as_json: JsonOption = False) -> None:
    """Show the properties of a model: orders, voltages, population, provenance."""
    from synfab.engines.capacity import bytes_per_cell
    from synfab.engines.registry import histories
    from synfab.model.model_file import load_model

    loaded = load_model(model)
    conduction = loaded.conduction
    facts: dict[str, object] = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "orders": list(loaded.orders),
        "u_max_V": conduction.u_max,
        "voltage_range_V": list(conduction.voltage_range),
        "r_max": round(conduction.r_max, 6),
        "component_probabilities": [round(float(p), 6) for p in loaded.population.probabilities],
        "bytes_per_cell": {
            h: bytes_per_cell(loaded.orders[-1], h, loaded.averages, traps=loaded.traps is not None)
            for h in histories("numba")
        },
        **({} if loaded.traps is None else {"traps": _of_traps(loaded.traps)}),
        **({} if loaded.conditions is None else {"conditions": loaded.conditions.document()}),
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


def _of_traps(traps: Traps) -> dict[str, object]:
    """Return the main properties of traps."""
    return {
        "number": traps.count,
        "time_constants_s": [float(traps.time_constants[0]), float(traps.time_constants[-1])],
        "amplitude_S": [float(traps.amplitude.min()), float(traps.amplitude.max())],
        "attempt_time_s": traps.attempt_time,
    }


@app.command()
def simulate(
    cells: Annotated[int, typer.Option(help="number of cells")],
    program: Annotated[
        str,
        typer.Option(
            help='voltages, "-2, 1.5 x100", or a CSV or Parquet file with a column voltage; for '
            ".zarr output also a .npy or .zarr array of voltages (pulses, cells)"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="table (.parquet, .csv), or .zarr for any number of cells"
        ),
    ],
    model: Annotated[str, typer.Option(help='"published" or a model file')] = "published",
    condition: ConditionOption = None,
    seed: Annotated[int, typer.Option(help="0 … 2**64 - 1")] = 0,
    order: Annotated[int | None, typer.Option(help="order of the history")] = None,
    history: Annotated[str, typer.Option(help="float32 or compact")] = "float32",
    read_voltage: Annotated[float, typer.Option(help="voltage of a read, V")] = 0.2,
    bandwidth: Annotated[float, typer.Option(help="bandwidth of a read, Hz")] = 1e8,
    noise: Annotated[bool, typer.Option(help="include read noise")] = True,
    reads: Annotated[str, typer.Option(help=".zarr: read after every pulse or the last")] = "every",
    resume: Annotated[bool, typer.Option(help=".zarr: continue an interrupted run")] = False,
) -> None:
    """Apply a pulse program to cells and write the currents read after each pulse."""
    from synfab.io.files import refuse_overwrite

    refuse_overwrite("--output", output, the_program=program, the_model=model)
    loaded = load_model_at(model, condition)
    if output.suffix.lower() == ".zarr":
        from synfab.simulate import Simulation

        simulation = Simulation(
            program, cells, output, seed=seed, model=loaded, order=order, history=history,
            reads=reads, read_voltage=read_voltage, bandwidth=bandwidth, noise=noise,
        )  # fmt: skip
        _simulate_to_zarr(simulation, resume)
        return
    from synfab.cells.array import CellArray
    from synfab.io.files import atomic_path
    from synfab.io.table_writer import TableWriter, table_format
    from synfab.pulses.program import read_program

    kind = table_format(output)
    if resume or reads != "every":
        raise InvalidValueError("--resume and --reads: require an output that ends in .zarr")
    pulses = read_program(program)
    array = CellArray(loaded, cells, seed=seed, order=order, history=history)
    with (
        atomic_path(output) as path,
        TableWriter(path, kind) as writer,
        progress_bar("pulses", len(pulses)) as bar,
    ):
        for number, u in enumerate(pulses):
            array.apply_voltage(u)
            currents = array.read(read_voltage, bandwidth=bandwidth, noise=noise)
            writer.write(number, u, array.cycle, currents)
            bar.advance()
    say(f"{counted(len(pulses), 'pulse')} on {counted(cells, 'cell')}: {output}")


def _simulate_to_zarr(simulation: Simulation, resume: bool) -> None:
    with progress_bar("estimating …"):
        estimate = simulation.estimate()
    progress.print(f"{estimate}", highlight=False, soft_wrap=True)
    try:
        with (
            progress_bar("cells", simulation.cells) as bar,
            interrupts_between_steps("pulse") as check,
        ):
            simulation.run(resume=resume, advance=bar.advance, after_pulse=check)
    except KeyboardInterrupt:
        sys.stderr.write(
            "stopped; finished blocks are kept; add --resume to the command to continue\n"
        )
        raise typer.Exit(130) from None
    pulses = counted(len(simulation.pulses), "pulse")
    say(f"{pulses} on {counted(simulation.cells, 'cell')}: {simulation.path}")


@app.command()
def explore(
    model: Annotated[
        str, typer.Argument(help='"published" or a model file; or a measurement')
    ] = "published",
    measurement: Annotated[
        Path | None, typer.Argument(help="I-V loops or features to show with the model")
    ] = None,
    condition: ConditionOption = None,
    columns: learn.ColumnsOption = None,
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0: any free port")] = 0,
    show: Annotated[bool, typer.Option(help="open the page in a browser")] = True,
) -> None:
    """Explore a model interactively in a browser page that this machine serves."""
    from synfab.explore.page import require_packages, serve
    from synfab.io.column_names import parsed_columns

    require_packages()
    if measurement is None and model != "published" and not model.lower().endswith(".json"):
        model, measurement = "published", Path(model)  # synfab explore my.csv
    if columns is not None and measurement is None:
        raise InvalidValueError("--columns: expected a measurement with it")
    loaded = load_model_at(model, condition)

    def started(address: str) -> None:
        say(f"{address}  (stop with Ctrl-C)")

    progress.print("starting; the first start takes half a minute to compile the kernels …")
    serve(
        loaded, port, measurement=measurement, columns=parsed_columns(columns), source=model,
        show=show, started=started,
    )  # fmt: skip


@app.command()
def bench(as_json: JsonOption = False) -> None:
    """Compare the speed with the published package on this machine, in one alternating run."""
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
        list[str] | None,
        typer.Argument(help="what to check: ngspice, compiler, zarr, torch, …; default: all"),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="download ngspice into the cache if it is missing")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check Python, compiler, simulator and optional packages; show how to install what is missing.

    The exit status is 1 if something named or required is missing, or if --fix failed.
    """
    from dataclasses import asdict

    from synfab.circuit.provide import is_provided
    from synfab.cli.doctor import examine

    asked = subjects or []
    findings = examine(asked)
    if fix:
        asked = [*asked, "ngspice"]
        if not examine(["ngspice"])[0].good or is_provided():
            _provide_ngspice()
            findings = examine(subjects or [])
    missing = [f for f in findings if not f.good and f.is_needed(asked)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print_findings(findings)
    if missing:
        raise typer.Exit(1)


def _provide_ngspice() -> None:
    from synfab.circuit.provide import provide_ngspice

    try:
        provide_ngspice(lambda text: progress.print(text, highlight=False))
    except SynfabError as error:  # the list below still shows it as missing
        sys.stderr.write(f"synfab: {error}\n")


def _print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        mark = "ok     " if finding.good else "missing"
        say(f"{mark}  {finding.subject}: {finding.found}")
        if not finding.good:
            need = f"         needed for {finding.needed_for}; install it with:"
            say(f"{need} {finding.fix}")


app.add_typer(circuit.app, name="export")
app.command()(circuit.run)
app.command()(learn.fit)
app.command()(learn.compare)


def main() -> None:
    """Run the command line; an error prints one line and returns exit status 2."""
    sys.exit(stdio.run(_main))


def _main() -> None:
    exit_on_signals()
    show_warnings_in_one_line()
    try:
        requested_threads()  # checked before every command
        app()
    except SynfabError as error:
        sys.stderr.write(f"synfab: {shown(str(error))}\n")
        sys.exit(2)
