"""Option ``--relaxation`` of ``synfab fit``: traps fitted to reads over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from synfab.cli.terminal import out, plain, print_json, progress_bar, say
from synfab.common.errors import InvalidValueError
from synfab.io.column_names import parsed_columns

if TYPE_CHECKING:
    from synfab.learn import TrapFit

Value = TypeVar("Value")


def add_traps(
    files: Sequence[Path] | None,
    columns: Sequence[str] | None,
    rates: Sequence[float] | None,
    model: str | None,
    output: Path,
    name: str | None,
    as_json: bool,
    report: Path | None,
) -> None:
    """Add traps fitted to files to a model, and save it."""
    from synfab.io.files import refuse_overwrite
    from synfab.model.model_file import load_model, save_model

    if not files:
        raise InvalidValueError("SOURCE: expected a measurement, or --relaxation FILE, found none")
    if report is not None:
        raise InvalidValueError(
            "--report: compares with I-V loops or features; pass them as SOURCE"
        )
    refuse_overwrite("--output", output, the_measurement=list(files), the_model=model)
    if not output.absolute().parent.is_dir():
        raise InvalidValueError(f"--output: cannot write {output}: its folder does not exist")
    loaded = load_model(model or "published")
    with progress_bar("fitting traps …"):
        found = fit_relaxation(files, columns, rates)
    made = loaded.replace(traps=found.traps, name=name or f"{loaded.name} with traps")
    save_model(made, output)
    if as_json:
        print_json({"model": str(output), "traps": found.summary()})
        return
    say(f"{output}: {made.name}")
    show_traps(found)


def refuse_unused(when: str, options: Mapping[str, object], *, unless: bool) -> None:
    """Raise if an option was given that has no effect; False, 0 and None are not given."""
    given = [name for name, value in options.items() if value not in (None, False, 0)]
    if given and not unless:
        raise InvalidValueError(f"{given[0]}: has no effect {when}")


def fit_relaxation(
    files: Sequence[Path], columns: Sequence[str] | None, rates: Sequence[float] | None
) -> TrapFit:
    """Return the fit of traps to files; ``columns`` and ``rates``: one for all, or one for each."""
    from synfab.learn import fit_traps, read_relaxation

    texts = _for_each("--relaxation-columns", columns, len(files))
    hertz = _for_each("--rate", rates, len(files))
    return fit_traps([
        read_relaxation(
            file, columns=parsed_columns(text, "--relaxation-columns"), rate=rate or None
        )
        for file, text, rate in zip(files, texts, hertz, strict=True)
    ])  # fmt: skip


def show_traps(found: TrapFit) -> None:
    """Print the result of a fit."""
    for line in repr(found).splitlines():
        out.print(plain(line))


def _for_each(option: str, values: Sequence[Value] | None, count: int) -> list[Value | None]:
    """Return one value for each file."""
    if not values:
        return [None] * count
    if len(values) not in (1, count):
        raise InvalidValueError(
            f"{option}: expected one for all or one for each of the {count} --relaxation files, "
            f"found {len(values)}"
        )
    return [*values] * (count if len(values) == 1 else 1)
