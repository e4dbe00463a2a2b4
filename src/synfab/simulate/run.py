"""Running a program block by block: cells do not know of each other, so memory needs only one."""

from __future__ import annotations

import inspect
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.checks import number
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.engines.registry import HISTORIES
from synfab.io.files import LOCK, locked, refuse_overwrite
from synfab.io.memory import bytes_per_cell, require_memory
from synfab.io.progress import ProgressBar
from synfab.io.zarr_file import require_zarr
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.pulses.blocks import read_pulses
from synfab.random.streams import check_seed
from synfab.simulate.estimate import Estimate
from synfab.simulate.store import Results

BLOCK = 2**21
MAX_BLOCK, MAX_CELLS = 2**31, 2**63 - 1
PROBE = 2**17  # cells of the estimate
READS = ("every", "last")


class Simulation:
    """A program, the cells it is for, and where the results go; see ``simulate``."""

    def __init__(
        self,
        program: Any,
        cells: int,
        output: str | os.PathLike[str],
        *,
        seed: int,
        model: CellModel | str | os.PathLike[str] = "published",
        order: int | None = None,
        history: str = "float32",
        reads: str = "every",
        read_voltage: float = 0.2,
        bandwidth: float = 1e8,
        noise: bool = True,
        block: int = BLOCK,
    ) -> None:
        require_zarr()
        checks.choice("reads", reads, READS)
        block = checks.count("block", block, MAX_BLOCK)
        cells = checks.count("cells", cells, MAX_CELLS)
        refuse_overwrite("output", output, the_program=program, the_model=model)
        self.model, self.cells, self.block = load_model(model), cells, min(block, cells)
        require_memory(-(-cells // self.block), "cells")  # a byte for each block
        self.path = checks.path("output", output)
        self.pulses = read_pulses(program, cells)
        order = self.model.history(order).order
        # Python's own types: JSON, which the results are described in, has no others.
        seed, history = check_seed(seed), checks.choice("history", history, HISTORIES)
        self.make: dict[str, Any] = {"seed": seed, "order": order, "history": history}
        self.measure: dict[str, Any] = {
            "bandwidth": number("bandwidth", bandwidth, minimum=0.0),
            "noise": checks.flag("noise", noise),
        }
        self.read_voltage = number("read_voltage", read_voltage)
        self._read(self._array(1))  # says now what is wrong with these arguments
        self.memory = self.block * (bytes_per_cell(order, history) + 16)
        require_memory(self.memory, "block")
        self.kept = range(len(self.pulses)) if reads == "every" else [len(self.pulses) - 1]
        self.settings: dict[str, Any] = {
            "cells": cells,
            "block": self.block,
            "reads": len(self.kept),
            "pulses": len(self.pulses),
            "program": self.pulses.name,
            "model": self.model.fingerprint,
            "read_voltage": self.read_voltage,
            **self.make,
            **self.measure,
        }

    def _array(self, size: int) -> CellArray:
        return CellArray(self.model, size, **self.make)

    def _read(self, array: CellArray) -> Any:
        return array.read(self.read_voltage, **self.measure)

    @property
    def starts(self) -> range:
        """First cells of the blocks."""
        return range(0, self.cells, self.block)

    def estimate(self) -> Estimate:
        """Run the program on a few cells, without writing anything."""
        size = min(PROBE, self.block)
        array = self._array(size)
        for timed in (False, True):  # the first time compiles
            begin = time.perf_counter()
            array.renew(0)
            for pulse in range(len(self.pulses) if timed else min(len(self.pulses), 2)):
                array.apply_voltage(self.pulses.voltages(pulse, 0, size))
                if pulse in self.kept or not timed:
                    self._read(array)
        seconds = (time.perf_counter() - begin) * self.cells / size
        output = 8 * self.cells * len(self.kept)
        folder = self.path.absolute()
        while not folder.is_dir():
            folder = folder.parent
        return Estimate(seconds, self.memory, output, shutil.disk_usage(folder).free)

    def run(
        self,
        *,
        resume: bool = False,
        advance: Callable[[int], object] | None = None,
        after_pulse: Callable[[], object] | None = None,
    ) -> None:
        """Run every block that is not done yet.

        Parameters
        ----------
        resume
            Go on with an output that was begun; whatever stopped the earlier run, the results are
            those of one that was never stopped.
        advance
            Called with the number of cells that were finished.
        after_pulse
            Called after each pulse on a block; what it raises ends the run. The blocks finished
            before are kept.
        """
        checks.flag("resume", resume)
        if advance is not None:
            checks.function("advance", advance)
        if after_pulse is not None:
            checks.function("after_pulse", after_pulse)
        if self._is_begun(resume):
            Results.resume(self.path, self.settings)  # before anything is left in a wrong folder
        with locked(self.path, "output"), _told(self.path):
            begun = self._is_begun(resume)  # another process may just have ended
            results = (Results.resume if begun else Results.create)(self.path, self.settings)
            Results.sweep(self.path)
            array: CellArray | None = None
            for block, start in enumerate(self.starts):
                size = min(self.block, self.cells - start)
                if not results.is_finished(block):
                    if array is None or array.size != size:
                        array = None  # its memory first
                        array = self._array(size)
                    self._run_block(array.renew(start), results, after_pulse)
                    results.finish(block)
                if advance is not None:
                    advance(size)
            results.close()

    def _is_begun(self, resume: bool) -> bool:
        there = self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir())
        if self.path.is_file() or (there and not resume):
            raise InvalidValueError(
                f"output: {self.path} is there already; resume goes on with it, another name or "
                f"removing it begins anew"
            )
        return there and not Results.stillborn(self.path)

    def _run_block(
        self, array: CellArray, results: Results, after_pulse: Callable[[], object] | None
    ) -> None:
        start, stop = array.first_cell, array.first_cell + array.size
        for pulse in range(len(self.pulses)):
            array.apply_voltage(self.pulses.voltages(pulse, start, stop))
            if pulse in self.kept:
                read = pulse - self.kept[0]
                array.read_number = pulse
                results.write("current", read, start, self._read(array))
                results.write("cycle", read, start, array.cycle)
            if after_pulse is not None:
                after_pulse()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line why results cannot be written."""
    try:
        yield
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(
            f"output: cannot write {path}: {error.strerror or error}; finished blocks are kept, "
            f"resume goes on after them"
        ) from None


def simulate(
    program: Any,
    cells: int,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: bool = False,
    **options: Any,
) -> Simulation:
    """Apply a program to any number of cells and write what is read to a Zarr group.

    Cells are made, pulsed and read a block at a time, so memory holds one block, whatever the
    number of cells; cell c of a seed is the cell c of ``CellArray``. A run that was stopped, even
    killed, is continued with ``resume`` and ends with the same results.

    Parameters
    ----------
    program
        An expression (``"-2, 0.9"``) or a CSV or Parquet file with a column ``voltage``; a
        ``.npy`` or Zarr array (pulses, cells) in V, of which only blocks are read; or a list of
        voltages and functions of (start, stop), the numbers of a block's cells.
    cells
        How many.
    output
        Folder of the Zarr group: ``current`` (A, float32) and ``cycle``, each (reads, cells).
    resume
        Go on with what was begun there.
    progress
        Show a progress bar on standard error.
    **options
        ``seed`` (required), ``model``, ``order``, ``history`` of the cells; ``read_voltage`` (V),
        ``bandwidth`` (Hz), ``noise`` of the reads; ``reads``: after ``"every"`` pulse or the
        ``"last"``; ``block``: cells at a time.

    Raises
    ------
    InvalidValueError, InvalidTypeError, FileFormatError, CapacityError
        An argument is not allowed, the output is another run's, or cannot be written.
    """
    checks.flag("resume", resume)
    checks.flag("progress", progress)
    unknown = options.keys() - inspect.signature(Simulation).parameters.keys()
    if unknown or "seed" not in options:
        wrong = f"{min(unknown)}: no such option" if unknown else "seed: required, found none"
        raise InvalidTypeError(wrong)
    simulation = Simulation(program, cells, output, **options)
    with ProgressBar("cells", cells, show=progress) as bar:
        simulation.run(resume=resume, advance=bar.advance)
    return simulation
