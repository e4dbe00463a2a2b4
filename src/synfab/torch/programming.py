"""Programming whole networks: the cells of every layer are brought to their targets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from synfab.crossbar.programming import Programming
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.torch import pulses
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer

METHODS = ("ideal", "write-verify", "open-loop")


def program(
    network: nn.Module, method: str = "write-verify", *, progress: bool = False, **options: Any
) -> pd.DataFrame:
    """Program every layer on cells for its present ``weight``.

    Parameters
    ----------
    network
        A layer on cells, or a module that holds some.
    method
        ``"ideal"``: at once and without error. ``"write-verify"``: pulses until every cell reads
        what it should; options ``tolerance`` (S), ``retries``, ``most_passes``, ``duration`` (s) as
        in ``Crossbar.program``. ``"open-loop"``: a staircase that fits the typical device, without
        reading; options ``step`` (V) and ``duration``.
    progress
        Show a progress bar.

    Returns
    -------
    DataFrame
        One row a layer: ``cells``; ``median_error`` and ``rms_error`` of the conductances, S;
        ``pulses`` a cell; ``energy``, J; ``unreachable`` and ``outliers``, numbers of cells.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or a weight is NaN or outside the window.
    """
    if method not in METHODS:
        raise InvalidValueError(f"method: expected one of {', '.join(METHODS)}, found {method!r}")
    layers = crossbar_layers(network)
    if not layers:
        raise InvalidValueError("network: expected layers on cells, found none; use convert first")
    with _bar(progress, sum(len(layer.tiles.tiles) for _, layer in layers)) as done:
        rows = {name or "layer": _program(layer, method, options, done) for name, layer in layers}
    return pd.DataFrame.from_dict(rows, orient="index")


def _program(
    layer: CrossbarLayer, method: str, options: dict[str, Any], done: Callable[[], None]
) -> dict[str, Any]:
    targets = layer.tiles.split(layer.targets())
    results: list[Programming] = []
    try:
        for cells, wanted in zip(layer.tiles.cells, targets, strict=True):
            if method == "ideal":
                results.append(pulses.ideal(cells, wanted, **options))
            elif method == "open-loop":
                results.append(pulses.open_loop(cells, wanted, **options))
            else:
                results.append(pulses.write_verify(cells, wanted, **options)[0])
            done()
    except TypeError as error:
        raise InvalidTypeError(f"{method}: {error}") from None
    layer.refresh()
    return summary(results)


def summary(results: list[Programming]) -> dict[str, Any]:
    """One row of ``program``'s table."""
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


def _bar(progress: bool, total: int) -> Any:
    if not progress:
        return nullcontext(lambda: None)
    return _Bar(total)


class _Bar:
    """A progress bar; entering gives the function that moves it on."""

    def __init__(self, total: int) -> None:
        from rich.progress import Progress

        self.bar = Progress()
        self.task = self.bar.add_task("programming", total=total)

    def __enter__(self) -> Callable[[], None]:
        self.bar.start()
        return lambda: self.bar.update(self.task, advance=1)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
