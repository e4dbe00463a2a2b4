"""Commands ``synfab fit`` and ``synfab compare``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from synfab.cli.terminal import out, plain, print_json, progress_bar, say, say_sentences
from synfab.common import extras
from synfab.common.errors import InvalidValueError
from synfab.io.column_names import parsed_columns

if TYPE_CHECKING:
    from synfab.learn import Comparison, FeatureTable, FitResult, Sweeps, TrapFit

Source = Annotated[
    Path,
    typer.Argument(
        help="I-V loops or features: CSV, Excel, Parquet, HDF5, NPZ, … file, or a folder"
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        help="'voltage=My V (mV),current=I2', or all columns in order: 'voltage, current [uA], _'"
    ),
]
VoltageOption = Annotated[
    str | None, typer.Option(help="V, or mean,deviation; if it was not measured")
]
ResetOption = Annotated[
    str, typer.Option(help="definition of u_reset: onset, peak, or auto (reproduces loops better)")
]
ReadVoltageOption = Annotated[
    float | None,
    typer.Option(
        "--u-0",
        "--read-voltage",
        help="V at which resistances are defined; default: by the loops",
    ),
]
PickleOption = Annotated[
    bool, typer.Option("--allow-pickle", help="open pickles; they can execute code")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="write the comparison as an interactive page (.html)"),
]
RelaxationOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--relaxation",
        help="reads over time (cell, time, conductance, …) to fit traps to; repeatable",
    ),
]
RelaxationColumns = Annotated[
    list[str] | None,
    typer.Option("--relaxation-columns", help="columns of each --relaxation file, as --columns"),
]
RateOption = Annotated[
    list[float] | None,
    typer.Option(
        "--rate", help="Hz, of each --relaxation file with one trace per row; 0: one read per row"
    ),
]
NUMBERS = ("distance", "yardstick", "detects")
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def fit(
    source: Annotated[
        Path | None,
        typer.Argument(help="as for compare; without it, --relaxation adds traps to --model"),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="model file (.json)")],
    order: Annotated[str, typer.Option(help="order of the history: 1 … 10, auto or bic")] = "auto",
    components: Annotated[str, typer.Option(help="components of the population, or auto")] = "auto",
    columns: ColumnsOption = None,
    u_set: VoltageOption = None,
    u_reset: VoltageOption = None,
    reset: ResetOption = "auto",
    u_0: ReadVoltageOption = None,
    conduction: Annotated[
        str | None, typer.Option(help='use the I-V curves of this model ("published" or a file)')
    ] = None,
    skip: Annotated[int, typer.Option(help="skip the first cycles of each device")] = 0,
    detrend: Annotated[bool, typer.Option(help="remove the linear trend over the cycles")] = False,
    wear_in: Annotated[
        str, typer.Option(help="deviation of the first cycles: keep it in the model, or remove")
    ] = "keep",
    seed: Annotated[int, typer.Option(help="seed of the mixture fit")] = 0,
    name: Annotated[
        str | None, typer.Option(help="name of the model; default: name of the file")
    ] = None,
    relaxation: RelaxationOption = None,
    relaxation_columns: RelaxationColumns = None,
    rate: RateOption = None,
    model: Annotated[
        str | None, typer.Option(help="add the traps to this model; default: published")
    ] = None,
    allow_pickle: PickleOption = False,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a model to I-V loops or a table of features, and its traps to reads over time."""
    from synfab.cli.relaxation import add_traps, fit_relaxation, refuse_unused

    refuse_unused("without --relaxation", {"--relaxation-columns": relaxation_columns,
                                           "--rate": rate}, unless=bool(relaxation))  # fmt: skip
    if source is None:
        of_measurements = {
            "--columns": columns, "--u-set": u_set, "--u-reset": u_reset, "--u-0": u_0,
            "--order": order != "auto", "--components": components != "auto",
            "--reset": reset != "auto", "--conduction": conduction, "--skip": skip,
            "--detrend": detrend, "--wear-in": wear_in != "keep", "--seed": seed,
            "--allow-pickle": allow_pickle,
        }  # fmt: skip
        refuse_unused("without SOURCE", of_measurements, unless=not relaxation)
        add_traps(relaxation, relaxation_columns, rate, model, output, name, as_json, report)
        return
    if model is not None:
        raise InvalidValueError("--model: only without a measurement; the traps are added to the "
                                "model that is fitted to it")  # fmt: skip
    from synfab.io.files import refuse_overwrite
    from synfab.learn import compare as learn_compare
    from synfab.learn import fit as learn_fit
    from synfab.learn.comparison.verdicts import next_steps
    from synfab.learn.readers.registry import suffix_of
    from synfab.learn.reading import reading_notes, source_files
    from synfab.learn.rejected import rejected_sentence
    from synfab.learn.sweeps import Sweeps
    from synfab.model.model_file import load_model, save_model

    measured = source_files(source)
    refuse_overwrite("--output", output, the_measurement=[*measured, *(relaxation or [])],
                     the_model=conduction)  # fmt: skip
    _check_report(report, the_measurement=measured, the_model=[conduction, output])
    if not output.absolute().parent.is_dir():
        raise InvalidValueError(f"--output: cannot write {output}: its folder does not exist")
    with progress_bar("reading …") as bar:
        data, features = _load(source, columns, u_set, u_reset, reset, u_0, allow_pickle)
        bar.update(text="fitting …")
        result = learn_fit(
            features,
            data if isinstance(data, Sweeps) else None,
            order=_whole("--order", order, "auto", "bic"),
            components=_whole("--components", components, "auto"),
            conduction=load_model(conduction) if conduction else None,
            skip=skip,
            detrend=detrend,
            wear_in=wear_in,
            seed=seed,
            name=name or source.name.removesuffix(suffix_of(source)) or source.stem,
        )
        traps = None
        if relaxation:
            bar.update(text="fitting traps …")
            traps = fit_relaxation(relaxation, relaxation_columns, rate)
        save_model(result.model.replace(traps=traps.traps) if traps else result.model, output)
        bar.update(text="comparing …")
        sweeps = data if isinstance(data, Sweeps) else None
        found = learn_compare(result.model, features, sweeps, seed=seed)
        if report is not None:
            bar.update(text="drawing the report …")
            files = {"measurement": source, "model file": output}
            _save_report(found, report, data, files, result.diagnostics)
    if as_json:
        made = {"model": str(output)} | ({} if report is None else {"report": str(report)})
        of_traps = {} if traps is None else {"traps": traps.summary()}
        verdict = {"counts": found.counts()._asdict(), "next_steps": next_steps(found.verdicts())}
        print_json({**made, **result.diagnostics, **of_traps, **verdict})
        return
    _show_fit(result, found, output, traps)
    if report is not None:
        say(f"report: {report}")
    for text in reading_notes(features.notes):
        say(text)
    if features.rejected:
        say(rejected_sentence(features.rejected, len(features)))


def _show_fit(result: FitResult, found: Comparison, output: Path, traps: TrapFit | None) -> None:
    """Print how the model was learned, its traps, and the verdict with what to try."""
    from synfab.cli.relaxation import show_traps

    say_sentences(f"{output}: {result}")
    if traps is not None:
        show_traps(traps)
    say_sentences(str(found))


def compare(
    model: Annotated[str, typer.Argument(help='"published" or a model file')],
    source: Source,
    columns: ColumnsOption = None,
    u_set: VoltageOption = None,
    u_reset: VoltageOption = None,
    reset: ResetOption = "auto",
    u_0: ReadVoltageOption = None,
    seed: Annotated[int, typer.Option(help="seed of the generated cells")] = 0,
    allow_pickle: PickleOption = False,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model with a measurement by generating the same devices and cycles."""
    from synfab.learn import compare as learn_compare
    from synfab.learn.reading import reading_notes, source_files
    from synfab.learn.sweeps import Sweeps
    from synfab.model.model_file import load_model
    from synfab.report.verdict import left_out, rare_sentences

    _check_report(report, the_measurement=source_files(source), the_model=model)
    loaded = load_model(model)
    with progress_bar("reading …") as bar:
        data, features = _load(source, columns, u_set, u_reset, reset, u_0, allow_pickle)
        bar.update(text="generating and comparing …")
        sweeps = data if isinstance(data, Sweeps) else None
        found = learn_compare(loaded, features, sweeps, seed=seed)
        if report is not None:
            bar.update(text="drawing the report …")
            files: dict[str, str | Path] = {"measurement": source}
            files |= {} if model == "published" else {"model file": model}
            _save_report(found, report, data, files)
    if as_json:
        made = {} if report is None else {"report": str(report)}
        print_json({**made, **found.summary()})
        return
    table = Table(title=plain(f"{loaded.name} against {source}"))
    for heading in ("property", "verdict", *NUMBERS):
        table.add_column(heading, justify="right" if heading in NUMBERS else "left")
    for v in found.worst_first():
        table.add_row(v.name, v.words, *(f"{getattr(v, name):.3g}" for name in NUMBERS))
    out.print(table)
    say("detects: deviation that would have been called different in 80 of 100 cases")
    for text in (
        *(str(found).splitlines()),
        *reading_notes(features.notes),
        *(*left_out(found), *rare_sentences(found)),
    ):
        say(text)
    if report is not None:
        say(f"report: {report}")


def _check_report(path: Path | None, **others: object) -> None:
    """Check the path of the report before the fit; ``others``: files it must not overwrite."""
    from synfab.io.files import refuse_overwrite

    if path is None:
        return
    extras.check("bokeh")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidValueError(f"--report: expected a name ending in .html, found {path.name!r}")
    if not path.absolute().parent.is_dir():
        raise InvalidValueError(f"--report: cannot write {path}: its folder does not exist")
    refuse_overwrite("--report", path, **others)


def _save_report(
    found: Comparison,
    path: Path,
    data: Sweeps | FeatureTable,
    files: Mapping[str, str | Path],
    diagnostics: Mapping[str, object] | None = None,
) -> None:
    from synfab.learn import Sweeps
    from synfab.report.page import save_report

    sweeps = data if isinstance(data, Sweeps) else None
    save_report(found, path, sweeps=sweeps, diagnostics=diagnostics, files=files)


def _load(
    source: Path,
    columns: str | None,
    u_set: str | None,
    u_reset: str | None,
    reset: str,
    u_0: float | None,
    allow_pickle: bool,
) -> tuple[Sweeps | FeatureTable, FeatureTable]:
    from synfab.learn import Sweeps, extract_features, read_any

    data = read_any(
        source,
        columns=parsed_columns(columns),
        u_set=_voltage("--u-set", u_set),
        u_reset=_voltage("--u-reset", u_reset),
        allow_pickle=allow_pickle,
    )
    if isinstance(data, Sweeps):
        return data, extract_features(data, reset=reset, u_0=u_0)
    features = data if u_0 is None else replace(data, notes={**data.notes, "u_0": u_0})
    return features, features


def _voltage(option: str, text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InvalidValueError(f"{option}: expected V, or mean,deviation; found {text!r}")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _whole(option: str, text: str, *words: str) -> int | str:
    if text in words:
        return text
    if not text.isdecimal():
        allowed = ", ".join(("a whole number", *words[:-1])) + f" or {words[-1]}"
        raise InvalidValueError(f"{option}: expected {allowed}, found {text!r}")
    return int(text)
