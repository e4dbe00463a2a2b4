"""Program whole networks: the cells of all layers to the conductances of their weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from synfab.cells.array import CellArray
from synfab.cells.files import dump_cells, restore_cells
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.io.checkpoints import Checkpoints, Run, as_checkpoints
from synfab.io.limits import one_line_errors
from synfab.io.progress import ProgressBar
from synfab.programming.methods import check_options, program_arrays, program_cells
from synfab.programming.result import Programming
from synfab.random.arrays import digest
from synfab.torch.convert import crossbar_layers
from synfab.torch.inputs import check_network
from synfab.torch.options import MethodName, ProgramOptions


def program(
    network: nn.Module,
    method: MethodName = "write-verify",
    *,
    progress: bool = False,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    **options: Unpack[ProgramOptions],
) -> pd.DataFrame:
    """Program the cells of every layer for its present ``weight`` and return a summary.

    Parameters
    ----------
    network
        Layer on cells, or a module that contains such layers.
    method
        ``"ideal"``: without pulses or errors. ``"write-verify"``: pulses until every cell reads
        within tolerance; options ``tolerance`` (S), ``retries``, ``max_passes``, ``duration`` (s)
        as in ``Crossbar.program``. ``"refresh"``: the same for the cells that have left the
        tolerance since; the others receive no pulse. ``"open-loop"``: the staircase of the typical
        device, without reads; options ``step`` (V) and ``duration``.
    progress
        Show a progress bar: on standard error, or in the output of a notebook.
    checkpoints
        Where to write a checkpoint after every completed tile; all are kept. A stopped run
        resumes with ``Checkpoints(folder, resume=True)``.

    Returns
    -------
    DataFrame
        One row per layer: ``cells``; ``median_error`` and ``rms_error`` of the conductances, S;
        ``pulses`` per cell; ``energy``, J; ``unreachable``, cells that did not reach the tolerance
        of their targets, and ``outliers``, devices of the technology's rarest component.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or a weight is NaN or outside the window.

    Examples
    --------
    >>> chip = sf.torch.convert(torch.nn.Linear(16, 8), seed=7)
    >>> len(sf.torch.program(chip))
    1
    """
    check_network(network)
    settings = check_options(method, options)
    checks.flag("progress", progress)
    given = None if checkpoints is None else as_checkpoints(checkpoints)
    tiles = _tiles_of(network)
    with (
        ProgressBar("programming", len(tiles), show=progress) as bar,
        _run(given, tiles, method, settings) as run,
    ):
        if run is None:
            done = _program(tiles, method, settings, bar.advance)
        else:
            done = _program_with_checkpoints(tiles, method, settings, run, bar)
    return _completed(network, tiles, done)


def program_networks(
    networks: Sequence[nn.Module], method: str, options: Mapping[str, Any]
) -> list[pd.DataFrame]:
    """Program several networks at the same time; the results are those of ``program`` for each."""
    tiles = [_tiles_of(network) for network in networks]
    done = iter(_program([tile for each in tiles for tile in each], method, options))
    return [
        _completed(network, each, list(islice(done, len(each))))
        for network, each in zip(networks, tiles, strict=True)
    ]


class _Tile(NamedTuple):
    """One crossbar of a layer and its target conductances, S."""

    layer: str
    cells: CellArray
    targets: npt.NDArray[Any]


def _tiles_of(network: nn.Module) -> list[_Tile]:
    layers = crossbar_layers(network)
    if not layers:
        raise InvalidValueError("network: expected layers on cells, found none; use convert first")
    return [
        _Tile(name or "layer", cells, targets)
        for name, layer in layers
        for cells, targets in zip(
            layer.tiles.cells, layer.tiles.split(layer.targets()), strict=True
        )
    ]


def _program(
    tiles: list[_Tile],
    method: str,
    options: Mapping[str, Any],
    after: Callable[[], object] = lambda: None,
) -> list[Programming]:
    arrays, targets = [tile.cells for tile in tiles], [tile.targets for tile in tiles]
    return program_arrays(arrays, targets, method, options, after)


def _program_with_checkpoints(
    tiles: list[_Tile], method: str, options: Mapping[str, Any], run: Run, bar: ProgressBar
) -> list[Programming]:
    done = _finished(tiles, run)
    bar.advance(len(done))
    for number, tile in enumerate(tiles[len(done) :], len(done) + 1):
        done.append(program_cells(tile.cells, tile.targets, method, options))
        run.save(number, {"cells": dump_cells(tile.cells), "result": vars(done[-1])})
        bar.advance()
    return done


def _completed(network: nn.Module, tiles: list[_Tile], done: list[Programming]) -> pd.DataFrame:
    """Let the layers compute with what their cells hold now; return the table of ``program``."""
    rows = {}
    for name, layer in crossbar_layers(network):
        layer.refresh()
        layer.note_programmed()
        mine = [r for tile, r in zip(tiles, done, strict=True) if tile.layer == (name or "layer")]
        rows[name or "layer"] = summary(mine)
    return pd.DataFrame.from_dict(rows, orient="index")


def _run(
    given: Checkpoints | None, tiles: list[_Tile], method: str, options: dict[str, Any]
) -> Any:
    if given is None:
        return nullcontext()
    settings = {
        "job": "program", "method": method, "options": options, "tiles": len(tiles),
        "targets": digest(*(tile.targets for tile in tiles)),
    }  # fmt: skip
    # keep=None keeps all checkpoints: each holds one tile.
    return Checkpoints(given.folder, keep=None, resume=given.resume).open(settings)


def _finished(tiles: list[_Tile], run: Run) -> list[Programming]:
    """Return results of the tiles in checkpoints, restoring the saved state of their cells."""
    results: list[Programming] = []
    while len(results) < run.step and run.has(len(results) + 1):
        state = run.load(len(results) + 1)
        with one_line_errors("checkpoints: not the state of such a run"):
            result = Programming(**state["result"])
            restore_cells(tiles[len(results)].cells, state["cells"])
        results.append(result)
    return results


def summary(results: list[Programming]) -> dict[str, Any]:
    """Return one row of the table that ``program`` returns."""
    errors = np.concatenate([result.errors.ravel() for result in results])
    pulse_counts = np.concatenate([result.pulses.ravel() for result in results])
    return {
        "cells": errors.size,
        "median_error": float(np.median(np.abs(errors))),
        "rms_error": float(np.sqrt(np.mean(errors**2))),
        "pulses": float(pulse_counts.mean()),
        "energy": float(sum(result.energy.sum() for result in results)),
        "unreachable": int(sum(result.unreachable.sum() for result in results)),
        "outliers": int(sum(result.outliers.sum() for result in results)),
    }
