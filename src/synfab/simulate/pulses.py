"""Voltages of a program for one block of cells at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.arrays import digest
from synfab.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.program import read_program

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
        given = np.asarray(step(start, stop))
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
        text = os.fspath(program)
        if text.lower().endswith((".npy", ".zarr")):
            return _from_array(Path(text), cells)
        steps: list[Any] = list(read_program(text))
        return Pulses(steps, digest(steps))
    steps = list(program)
    if not steps:
        raise InvalidValueError("program: expected at least one pulse, found none")
    names = []
    for step in steps:
        if callable(step):
            names.append(f"{getattr(step, '__module__', '')}.{getattr(step, '__qualname__', step)}")
        elif (
            isinstance(step, (bool, str))
            or np.asarray(step).dtype.kind not in "iuf"
            or np.ndim(step)
        ):
            raise InvalidTypeError(
                f"program: expected voltages and functions of (start, stop), found {step!r}"
            )
        elif not np.isfinite(float(step)):
            raise InvalidValueError(f"program: expected finite voltages, found {step}")
        else:
            names.append(float(step).hex())
    plain = [step if callable(step) else float(step) for step in steps]
    return Pulses(plain, hashlib.sha256("|".join(names).encode()).hexdigest())


def _from_array(path: Path, cells: int) -> Pulses:
    try:
        if path.suffix.lower() == ".npy":
            table: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            from synfab.simulate.store import open_array

            table = open_array(path)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{path}: cannot read the program: {reason}") from None
    if (
        table.ndim != 2
        or table.shape[1] != cells
        or not table.shape[0]
        or table.dtype.kind not in "fiu"
    ):
        raise FileFormatError(
            f"{path}: expected voltages of shape (pulses, {cells}), found {table.dtype} "
            f"{tuple(table.shape)}"
        )

    def step(pulse: int) -> Callable[[int, int], Array]:
        return lambda start, stop: np.asarray(table[pulse, start:stop])

    name = f"{path.name} {tuple(table.shape)} {table.dtype}"
    return Pulses([step(pulse) for pulse in range(table.shape[0])], name)
