"""Simulations block by block: cells are independent, so only one block is in memory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cells.identity import CellOptions
from synfab.common import checks
from synfab.common.checks import number
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.no_array import no_array
from synfab.engines.capacity import bytes_per_cell
from synfab.engines.registry import histories
from synfab.io.files import LOCK, locked, refuse_overwrite
from synfab.io.memory import require_memory
from synfab.io.progress import ProgressBar
from synfab.io.zarr_file import require_zarr
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.pulses.blocks import Program, read_pulses
from synfab.random.streams import check_seed
from synfab.simulate.estimate import Estimate
from synfab.simulate.layout import Settings
from synfab.simulate.store import Results

Array = npt.NDArray[Any]

BLOCK = 2**21
MAX_BLOCK, MAX_CELLS = 2**31, 2**63 - 1
PROBE = 2**17  # cells simulated for the estimate
READS = ("every", "last")


class ReadOptions(TypedDict):
    """Options of a read: bandwidth in Hz, and whether it has noise."""

    bandwidth: float
    noise: bool


@no_array("sf.simulate.open_results(path) for the currents")
class Simulation:
    """A pulse program, cells and a path for the results; see ``simulate`` for the arguments.

    Examples
    --------
    >>> simulation = sf.simulate.Simulation("-2, 0.9 x3", 1000, "out.zarr", seed=1)
    >>> simulation.estimate().output
    32000
    """

    def __init__(
        self,
        program: Program,
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
        require_memory(-(-cells // self.block), "cells")  # one byte per block
        self.path = checks.path("output", output)
        self.pulses = read_pulses(program, cells)
        order = self.model.history(order).order
        # Plain Python types, because the settings are stored as JSON.
        seed, history = check_seed(seed), checks.choice("history", history, histories("numba"))
        self.cell_options: CellOptions = {"seed": seed, "order": order, "history": history}
        self.read_options: ReadOptions = {
            "bandwidth": number("bandwidth", bandwidth, minimum=0.0),
            "noise": checks.flag("noise", noise),
        }
        self.read_voltage = number("read_voltage", read_voltage)
        self._read(self._array(1))  # checks these arguments before the run
        traps = self.model.traps is not None
        each = bytes_per_cell(order, history, self.model.averages, traps=traps)
        self.memory = self.block * (each + 16)
        require_memory(self.memory, "block")
        self.kept = range(len(self.pulses)) if reads == "every" else [len(self.pulses) - 1]
        self.settings: Settings = {
            "cells": cells,
            "block": self.block,
            "reads": len(self.kept),
            "pulses": len(self.pulses),
            "program": self.pulses.name,
            "model": self.model.fingerprint,
            "read_voltage": self.read_voltage,
            **self.cell_options,
            **self.read_options,
        }

    def _array(self, size: int) -> CellArray:
        return CellArray(self.model, size, **self.cell_options)

    def _read(self, array: CellArray) -> Array:
        currents: Array = array.read(self.read_voltage, **self.read_options)
        return currents

    @property
    def starts(self) -> range:
        """Number of the first cell of each block."""
        return range(0, self.cells, self.block)

    def estimate(self) -> Estimate:
        """Return an estimate from running the program on a few cells; nothing is written."""
        size = min(PROBE, self.block)
        array = self._array(size)
        for timed in (False, True):  # the first pass compiles the kernels
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
        """Run all blocks that are not finished.

        Parameters
        ----------
        resume
            Continue an existing output of the same settings. The results equal those of an
            uninterrupted run.
        advance
            Called with the number of cells of each finished block.
        after_pulse
            Called after each pulse on a block. An exception that it raises ends the run; finished
            blocks are kept.

        Raises
        ------
        InvalidValueError
            The output exists and ``resume`` is False, belongs to other settings, or cannot be
            written.
        FileFormatError
            The output is damaged or was written by a newer version.
        """
        checks.flag("resume", resume)
        if advance is not None:
            checks.function("advance", advance)
        if after_pulse is not None:
            checks.function("after_pulse", after_pulse)
        if self._has_results(resume):
            Results.resume(self.path, self.settings)  # before a lock file is created in the folder
        with locked(self.path, "output"), _write_errors(self.path):
            exists = self._has_results(resume)  # again: another process may just have ended
            results = (Results.resume if exists else Results.create)(self.path, self.settings)
            Results.remove_partial(self.path)
            array: CellArray | None = None
            for block, start in enumerate(self.starts):
                size = min(self.block, self.cells - start)
                if not results.is_finished(block):
                    if array is None or array.size != size:
                        array = None  # frees its memory first
                        array = self._array(size)
                    self._run_block(array.renew(start), results, after_pulse)
                    results.finish(block)
                if advance is not None:
                    advance(size)
            results.close()

    def _has_results(self, resume: bool) -> bool:
        exists = self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir())
        if self.path.is_file() or (exists and not resume):
            raise InvalidValueError(
                f"output: {self.path} already exists; pass resume=True (--resume) to continue it, "
                f"or choose another path"
            )
        return exists and not Results.is_uninitialised(self.path)

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
def _write_errors(path: Path) -> Iterator[None]:
    """Replace errors of the file system by one line."""
    try:
        yield
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(
            f"output: cannot write {path}: {error.strerror or error}; finished blocks are kept, "
            f"pass resume=True (--resume) to continue"
        ) from None


def simulate(
    program: Program,
    cells: int,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: bool = False,
    seed: int,
    model: CellModel | str | os.PathLike[str] = "published",
    order: int | None = None,
    history: str = "float32",
    reads: str = "every",
    read_voltage: float = 0.2,
    bandwidth: float = 1e8,
    noise: bool = True,
    block: int = BLOCK,
) -> Simulation:
    """Apply a pulse program to any number of cells and write the currents to a Zarr group.

    Cells are created, pulsed and read one block at a time, so memory does not grow with the number
    of cells. Cell c of a seed equals cell c of a ``CellArray``. An interrupted or killed run is
    continued with ``resume`` and gives the same results.

    Parameters
    ----------
    program
        An expression (``"-2, 0.9"``), a CSV or Parquet file with a column ``voltage``, or a list of
        voltages (V) for all cells; for one voltage per cell a ``.npy`` file or Zarr array (pulses,
        cells), or a list of functions that return the voltages of the cells start … stop - 1 for
        (start, stop).
    cells
        Number of cells.
    output
        Folder of the Zarr group: ``current`` (A, float32) and ``cycle``, each (reads, cells).
    resume
        Continue an existing output.
    progress
        Show a progress bar: on standard error, or in the output of a notebook.
    seed, model, order, history
        As of ``CellArray``.
    reads
        Read after ``"every"`` pulse or only after the ``"last"`` one.
    read_voltage, bandwidth, noise
        Of each read: voltage in V, bandwidth in Hz, and whether the currents include noise.
    block
        Cells in memory at a time.

    Raises
    ------
    InvalidValueError, InvalidTypeError, FileFormatError, CapacityError
        An argument is not valid, or the output belongs to another run or cannot be written.

    Examples
    --------
    >>> run = sf.simulate.simulate("-2, 0.9 x3", 1000, "out.zarr", seed=1)
    >>> sf.simulate.open_results("out.zarr").current.shape
    (4, 1000)
    """
    checks.flag("resume", resume)
    checks.flag("progress", progress)
    simulation = Simulation(
        program, cells, output, seed=seed, model=model, order=order, history=history, reads=reads,
        read_voltage=read_voltage, bandwidth=bandwidth, noise=noise, block=block,
    )  # fmt: skip
    with ProgressBar("cells", cells, show=progress) as bar:
        simulation.run(resume=resume, advance=bar.advance)
    return simulation
