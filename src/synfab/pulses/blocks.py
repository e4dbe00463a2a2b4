"""Voltages of a program for one block of cells at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.limits import one_line_errors
from synfab.io.zarr_file import Table
from synfab.pulses.program import MAX_PULSES, read_program
from synfab.random.arrays import digest

Array = npt.NDArray[Any]
Voltages = float | Callable[[int, int], npt.ArrayLike]


class Pulses:
    """Pulses, each one voltage for all cells or one for each cell.

    Attributes
    ----------
    steps
        For each pulse a voltage (V), or a function of (start, stop) that gives the voltages of
        the cells start … stop - 1.
    name
        What a program is recognised by when a run goes on.
    """

    def __init__(self, steps: Sequence[Voltages], name: str) -> None:
        self.steps, self.name = list(steps), name

    def __len__(self) -> int:
        return len(self.steps)

    def voltages(self, pulse: int, start: int, stop: int) -> float | Array:
        """Voltages of a pulse for cells ``start`` … ``stop - 1``, V."""
        step = self.steps[pulse]
        if not callable(step):
            return step
        given = checks.real_array(f"program: pulse {pulse}", step(start, stop))
        if given.shape not in ((), (stop - start,)):
            raise InvalidValueError(
                f"program: pulse {pulse} gives shape {given.shape} for cells {start} … "
                f"{stop - 1}; expected ({stop - start},)"
            )
        return given


def read_pulses(program: Any, cells: int) -> Pulses:
    """Return the pulses of whatever a user may give as a program.

    Parameters
    ----------
    program
        An expression or table as ``read_program`` takes them; the path of a ``.npy`` file or a Zarr
        array of shape (pulses, cells), which is read in blocks; or a sequence of voltages (V) and
        functions of (start, stop).
    cells
        How many there are.

    Raises
    ------
    InvalidValueError, InvalidTypeError, FileFormatError
        The program is not understood, or has another number of cells.
    """
    if isinstance(program, (str, os.PathLike)):
        text = program if isinstance(program, str) else str(checks.path("program", program))
        if text.lower().endswith((".npy", ".zarr")):
            return _from_array(checks.path("program", program), cells)
        steps: list[Any] = list(read_program(text))
        return Pulses(steps, digest(steps))
    steps = _listed(program)
    names = []
    for step in steps:
        if callable(step):
            names.append(f"{getattr(step, '__module__', '')}.{getattr(step, '__qualname__', step)}")
        else:
            names.append(_voltage(step).hex())
    plain = [step if callable(step) else float(step) for step in steps]
    return Pulses(plain, hashlib.sha256("|".join(names).encode()).hexdigest())


def _voltage(step: Any) -> float:
    """One voltage (V) of a list."""
    try:
        return checks.number("program", step)
    except InvalidTypeError:
        raise InvalidTypeError(
            f"program: expected voltages and functions of (start, stop), found {checks.shown(step)}"
        ) from None


def _listed(program: Any) -> list[Any]:
    """Voltages and functions of a program that is neither a text nor a file."""
    expected = "program: expected a text, a path, or a list of voltages (V) and functions"
    if isinstance(program, (bytes, Mapping, Set)) or not isinstance(program, Iterable):
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(program)}")
    if isinstance(program, np.ma.MaskedArray):
        raise InvalidTypeError("program: masked arrays are not accepted")
    try:
        steps = list(program)
    except Exception as error:  # arrays without axes, and objects that raise whatever they like
        pass_on(error)
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(program)}") from None
    if not steps:
        raise InvalidValueError("program: expected at least one pulse, found none")
    if len(steps) > MAX_PULSES:
        raise InvalidValueError(f"program: expected up to {MAX_PULSES} pulses, found {len(steps)}")
    return steps


def _from_array(path: Path, cells: int) -> Pulses:
    table: Any = _map(path) if path.suffix.lower() == ".npy" else Table(path)
    if (
        table.ndim != 2
        or table.shape[1] != cells
        or not 1 <= table.shape[0] <= MAX_PULSES
        or table.dtype.kind not in "fiu"
    ):
        raise FileFormatError(
            f"{path}: expected voltages of shape (pulses, {cells}), up to {MAX_PULSES} pulses, "
            f"found {table.dtype} {tuple(table.shape)}"
        )
    read = table.read if isinstance(table, Table) else lambda k, a, b: np.asarray(table[k, a:b])

    def step(pulse: int) -> Callable[[int, int], Array]:
        return lambda start, stop: read(pulse, start, stop)

    name = f"{path.name} {tuple(table.shape)} {table.dtype} {_content(path)}"
    return Pulses([step(pulse) for pulse in range(table.shape[0])], name)


def _content(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder and their names."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = hashlib.sha256()
    for file in files:
        with one_line_errors(f"{file}: cannot read the program"), file.open("rb") as stream:
            found.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape"))
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _map(path: Path) -> Array:
    """Map the file into memory, as nothing but an array (``np.load`` would open archives too)."""
    with one_line_errors(f"{path}: cannot read the program"):
        return np.lib.format.open_memmap(path, mode="r")
