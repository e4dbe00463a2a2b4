"""Result of a fit of traps: the traps, their errors, and what determined them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common.no_array import no_array
from synfab.common.types import Array, FloatArray
from synfab.learn.html import traps_html
from synfab.learn.traps.parameters import ATTEMPT_TIME, WIDTHS, Layout
from synfab.learn.traps.spectra import Band
from synfab.model.traps import Traps

if TYPE_CHECKING:
    from synfab.learn.traps.fit import Part

# A number is determined by the data if its error is below this part of what was expected of it.
DETERMINED = 0.5
SHOWN = {
    "amplitude": "S", "raising": "", "spectrum": "", "occupancy": "", "trap_spread": "",
    "cell_spread": "", "attempt_time": "s",
}  # fmt: skip


@no_array("fit.traps")
@dataclass(frozen=True, eq=False)
class TrapFit:
    """Traps fitted to reads over time.

    Attributes
    ----------
    traps
        For ``CellModel``; ``model.replace(traps=fit.traps)`` returns a model that has them.
    errors
        Standard errors of the fields of ``traps``, by name, from the bootstrap over cells; those of
        ``attempt_time`` are of log10. A field that keeps its default is not among them.
    sources
        What determined each field of ``traps``: the data, or the default.
    read_noise
        Standard deviation (S) of white noise and quantisation of a read, which is not part of the
        traps; NaN if there were no reads after programming.
    misfit
        Mean square deviation of measured from fitted numbers in standard errors; 1 is expected.
    notes
        What was decided when the data were read and fitted.
    """

    traps: Traps
    errors: Mapping[str, FloatArray]
    sources: Mapping[str, str]
    read_noise: float
    misfit: float
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return the result as numbers and texts that JSON can hold."""
        traps = self.traps
        return {
            **{name: _plain(getattr(traps, name)) for name in ("time_constants", "conductance")},
            **{name: _plain(getattr(traps, name)) for name in SHOWN},
            "initial_occupancy": _plain(traps.initial_occupancy),
            "errors": {name: _plain(error) for name, error in self.errors.items()},
            "sources": dict(self.sources),
            "read_noise": None if np.isnan(self.read_noise) else self.read_noise,
            "misfit": self.misfit,
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        return traps_html(self, SHOWN)

    def __repr__(self) -> str:
        traps, lines = self.traps, []
        edges = traps.time_constants
        lines.append(f"TrapFit: {traps.count} traps, {edges[0]:.3g} … {edges[-1]:.3g} s at 300 K")
        for name, unit in SHOWN.items():
            value = np.atleast_1d(getattr(traps, name))
            same = len(value) == 1 or np.ptp(value) == 0.0
            text = f"{value[0]:.3g}" if same else f"{value.min():.3g} … {value.max():.3g}"
            lines.append(f"  {name.replace('_', ' ')}: {text} {unit}".rstrip()
                         + f" ({self.sources[name]})")  # fmt: skip
        if not np.isnan(self.read_noise):
            lines.append(f"  read noise: {self.read_noise:.3g} S (not part of the traps)")
        lines.append(f"  misfit: {self.misfit:.2f} (1: as large as the errors)")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def described(
    layout: Layout,
    vector: Array,
    samples: Array,
    parts: Sequence[Part],
    bands: Sequence[Band],
    misfit: float,
    notes: Sequence[str],
) -> TrapFit:
    """Return the result of a fit; ``samples``: the vectors of bootstrap samples, (B, P)."""
    traps = layout.traps(vector)
    drawn = [layout.traps(sample) for sample in samples]
    errors = {
        name: np.std([getattr(one, name) for one in drawn], axis=0, ddof=1)
        for name in _fitted(layout)
    }
    if "attempt_time" in errors:
        errors["attempt_time"] = np.std(np.log10([one.attempt_time for one in drawn]), ddof=1)
    values = layout.split(vector)
    noise = float(np.exp(values["log_noise"][0])) if "log_noise" in values else float("nan")
    more = list(notes)
    if layout.free.stop < traps.count:
        reach = layout.edges[layout.free.stop]
        more.append(f"time constants above {reach:.3g} s are beyond the data: their traps have the "
                    "amplitude and occupancy of the last one within")  # fmt: skip
    return TrapFit(traps, errors, _sources(layout, samples, parts, bands), noise, misfit,
                   tuple(dict.fromkeys(more)))  # fmt: skip


# Fields of ``Traps`` and the free numbers that they come from.
FIELDS = {
    "amplitude": "log_amplitude", "raising": "raising", "spectrum": "log_spectrum",
    "occupancy": "logit_occupancy", "trap_spread": "trap_spread", "cell_spread": "cell_spread",
    "attempt_time": "log_attempt",
}  # fmt: skip


def _fitted(layout: Layout) -> list[str]:
    return [name for name, free in FIELDS.items() if free in layout.sizes]


def _sources(
    layout: Layout, samples: Array, parts: Sequence[Part], bands: Sequence[Band]
) -> dict[str, str]:
    """Return what determined each field."""
    relaxation = [_described(parts)] if parts else []
    traces = [f"{sum(len(band.g) for band in bands)} traces"] if bands else []
    every = ", ".join([*relaxation, *traces])
    found = {"initial_occupancy": "default"}
    for name, free in FIELDS.items():
        if free not in layout.sizes:
            found[name] = "default"
            continue
        spread = np.std(np.array([layout.split(s)[free] for s in samples]), axis=0)
        share = float(np.mean(spread < DETERMINED * WIDTHS[free]))
        from_changes = name not in ("amplitude", "spectrum", "attempt_time")
        data = ", ".join(relaxation) if from_changes else every
        if share == 0.0:
            found[name] = f"not determined by {data}: near the default"
        else:
            found[name] = data if share == 1.0 else f"{data}; {share:.0%} of its numbers"
    if "log_attempt" not in layout.sizes:
        found["attempt_time"] = f"default {ATTEMPT_TIME:g} s: one temperature"
    return found


def _described(parts: Sequence[Part]) -> str:
    """Return numbers of cells and temperatures of changes, as text."""
    cells = {len(part.changes.g) for part in parts}
    kelvin = sorted({part.changes.temperature for part in parts})
    some = f"{min(cells)}" if len(cells) == 1 else f"{min(cells)} to {max(cells)}"
    at = f"{kelvin[0]:.0f} K" if len(kelvin) == 1 else (
        f"each of {len(kelvin)} temperatures, {kelvin[0]:.0f} to {kelvin[-1]:.0f} K")  # fmt: skip
    return f"{some} cells at {at}"


def _plain(value: object) -> Any:
    return np.asarray(value).tolist()
