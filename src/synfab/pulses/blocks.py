"""Voltages of a pulse program for one block of cells at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array, ArrayLike
from synfab.io.limits import one_line_errors
from synfab.io.zarr_file import Table
from synfab.pulses.program import MAX_PULSES, read_program
from synfab.random.arrays import digest

# Voltage of a pulse for all cells, V, or a function of (start, stop) for those of the cells start …
# stop - 1.
Voltages: TypeAlias = float | Callable[[int, int], ArrayLike]
Program: TypeAlias = str | os.PathLike[str] | Iterable[Voltages]


class Pulses:
    """Sequence of pulses with one voltage for all cells, or one per cell.

    Attributes
    ----------
    steps
        For each pulse a voltage (V), or a function of (start, stop) that returns the voltages of
        the cells start … stop - 1.
    name
        Digest by which a resumed run recognises its program.
    """

    def __init__(self, steps: Sequence[Voltages], name: str) -> None:
        self.steps, self.name = list(steps), name

    def __len__(self) -> int:
        return len(self.steps)

    def voltages(self, pulse: int, start: int, stop: int) -> float | Array:
        """Return the voltages of a pulse for cells ``start`` … ``stop - 1``, V."""
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


def read_pulses(program: Program, cells: int) -> Pulses:
    """Return the pulses of a program in any of its forms.

    Parameters
    ----------
    program
        An expression or table as for ``read_program``; the path of a ``.npy`` file or Zarr array of
        shape (pulses, cells), which is read in blocks; or voltages (V) and functions of (start,
        stop).
    cells
        Number of cells.

    Raises
    ------
    InvalidValueError, InvalidTypeError, FileFormatError
        The program is not valid, or is for another number of cells.
    """
    if isinstance(program, (str, os.PathLike)):
        text = program if isinstance(program, str) else str(checks.path("program", program))
        if text.lower().endswith((".npy", ".zarr")):
            return _from_array(checks.path("program", program), cells)
        voltages = read_program(text)
        return Pulses(voltages, digest(voltages))
    steps = _listed(program)
    names = []
    for step in steps:
        if callable(step):
            names.append(f"{getattr(step, '__module__', '')}.{getattr(step, '__qualname__', step)}")
        else:
            names.append(_voltage(step).hex())
    plain = [step if callable(step) else float(step) for step in steps]
    return Pulses(plain, hashlib.sha256("|".join(names).encode()).hexdigest())


def _voltage(step: object) -> float:
    try:
        return checks.number("program", step)
    except InvalidTypeError:
        raise InvalidTypeError(
            f"program: expected voltages and functions of (start, stop), found {checks.shown(step)}"
        ) from None


def _listed(program: object) -> list[Voltages]:
    """Return the voltages and functions of a program that is neither text nor a file."""
    expected = "program: expected text, a path, or a list of voltages (V) and functions"
    if isinstance(program, (bytes, Mapping, Set)) or not isinstance(program, Iterable):
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(program)}")
    if isinstance(program, np.ma.MaskedArray):
        raise InvalidTypeError("program: masked arrays are not accepted")
    try:
        steps = list(program)
    except Exception as error:  # arrays without axes, and objects of other libraries
        pass_on(error)
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(program)}") from None
    if not steps:
        raise InvalidValueError("program: expected at least one pulse, found none")
    if len(steps) > MAX_PULSES:
        raise InvalidValueError(f"program: expected up to {MAX_PULSES} pulses, found {len(steps)}")
    return steps


def _from_array(path: Path, cells: int) -> Pulses:
    table: Array | Table = _map(path) if path.suffix.lower() == ".npy" else Table(path)
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

    def step(pulse: int) -> Callable[[int, int], Array]:
        if isinstance(table, Table):
            return partial(table.read, pulse)
        return lambda start, stop: np.asarray(table[pulse, start:stop])

    name = f"{path.name} {tuple(table.shape)} {table.dtype} {_content(path)}"
    return Pulses([step(pulse) for pulse in range(table.shape[0])], name)


def _content(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = hashlib.sha256()
    for file in files:
        with one_line_errors(f"{file}: cannot read the pulse program"), file.open("rb") as stream:
            found.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape"))
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _map(path: Path) -> Array:
    """Return the array of a .npy file, mapped into memory (``np.load`` would open archives too)."""
    with one_line_errors(f"{path}: cannot read the pulse program"):
        return np.lib.format.open_memmap(path, mode="r")
