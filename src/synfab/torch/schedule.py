"""What happens to programmed chips over time: evaluations, refreshes and compensation of drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from synfab.cells.traps import checked_temperature, checked_time
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray
from synfab.torch.aging import Layers, calibrate_drift, compensate_drift, layers_of, wait
from synfab.torch.programming import program

MAX_REFRESHES = 10_000
# Columns of the table of ``program`` that are totals of all pulses so far.
TOTALS = ("pulses", "energy")


class Schedule(NamedTuple):
    """Times (s) of evaluations, temperature (K), and what is done against drift."""

    times: tuple[float, ...]
    temperature: float
    compensate: bool
    refresh: float | None
    options: Mapping[str, Any]  # of the refreshes

    @classmethod
    def of(
        cls,
        times: npt.ArrayLike | None,
        temperature: float,
        compensate: bool,
        refresh: float | None,
        options: Mapping[str, Any],
    ) -> Self | None:
        """Return the checked schedule; None without times."""
        kelvin, flag = checked_temperature(temperature), checks.flag("compensate", compensate)
        interval = None if refresh is None else checked_time("refresh", refresh, positive=True)
        for name, given, other, needed in (
            ("compensate", flag, "times", times is not None),
            ("refresh", interval is not None, "times", times is not None),
            ("refreshing", bool(options), "refresh", interval is not None),
        ):
            if given and not needed:
                raise InvalidValueError(f"{name}: has no effect without {other}; pass {other}=")
        if times is None:
            return None
        found = checks.real_array("times", times)
        if found.ndim != 1 or not found.size:
            raise InvalidValueError(f"times: expected a list of times, found shape {found.shape}")
        seconds = tuple(checked_time("times", float(at)) for at in found)
        if (np.diff(seconds) < 0.0).any():
            raise InvalidValueError("times: expected ascending times")
        if interval is not None and seconds[-1] / interval > MAX_REFRESHES:
            raise InvalidValueError(
                f"refresh: expected at most {MAX_REFRESHES} refreshes, found "
                f"{seconds[-1] / interval:.3g} until {seconds[-1]:g} s"
            )
        return cls(seconds, kelvin, flag, interval, options)

    def ages(
        self, chip: nn.Module, table: pd.DataFrame
    ) -> Iterator[tuple[float, pd.DataFrame, dict[str, float]]]:
        """Let a chip age, and yield time (s), table and further columns when it is to be evaluated.

        Parameters
        ----------
        table
            From programming the chip; the yielded table has the errors at that time and the pulses
            and energy so far.
        """
        layers = layers_of(chip)
        targets = [layer.targets() for _, layer in layers]
        self._programmed(chip)
        now, done = 0.0, 0
        for at in self.times:
            while self.refresh is not None and (done + 1) * self.refresh < at:
                done += 1
                wait(chip, done * self.refresh - now, self.temperature)
                now = done * self.refresh
                again = program(chip, "refresh", **self.options)
                table = again.assign(**{name: table[name] + again[name] for name in TOTALS})
                self._programmed(chip)
            wait(chip, at - now, self.temperature)
            now = at
            if self.compensate:
                compensate_drift(chip)
            yield at, _with_errors(table, layers, targets), {"refreshes": done}

    def _programmed(self, chip: nn.Module) -> None:
        if self.compensate:
            calibrate_drift(chip)


def _with_errors(table: pd.DataFrame, layers: Layers, targets: list[FloatArray]) -> pd.DataFrame:
    """Return the table of ``program`` with the present errors of the conductances."""
    errors = []
    for (_, layer), wanted in zip(layers, targets, strict=True):
        conduction = layer.options.model.conduction
        errors.append(np.abs(conduction.conductance(layer.tiles.states()) - wanted))
    return table.assign(
        median_error=[float(np.median(each)) for each in errors],
        rms_error=[float(np.sqrt(np.mean(each**2))) for each in errors],
    )
