"""Measurements, fits and comparisons as notebooks show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import svg
from synfab.common.html import card, middle, quantity, sample, sampling, span, table
from synfab.learn.rejected import by_reason
from synfab.model.cell_model import FEATURES
from synfab.model.html import UNITS, model_card

if TYPE_CHECKING:
    from synfab.learn.comparison.compare import Comparison
    from synfab.learn.features import FeatureTable
    from synfab.learn.fit import FitResult
    from synfab.learn.sweeps import Sweeps
    from synfab.learn.traps.result import TrapFit
    from synfab.model.traps import Traps

MAX_ROWS = 12
# A bar has its full width at this ratio of distance and yardstick.
FULL = 4.0


def features_html(features: FeatureTable) -> str:
    """Return the description of a table of features, with the distribution of each."""
    listed = sample((len(features),))
    values = features.values[listed]
    lost = sum(features.rejected.values())
    facts = {
        "cycles": str(len(features)),
        "rejected": f"{lost} cycles: {by_reason(features.rejected)}" if lost else "",
        "conditions": ", ".join(features.conditions),
        "notes": _notes(features.notes),
        "shown": sampling(len(features), len(listed)).replace("cells", "cycles"),
    }
    rows = []
    for f, name in enumerate(FEATURES):
        column = values[:, f]
        picture = svg.sparkline(column, f"distribution of {name}")
        missing = int(np.isnan(column).sum())
        rows.append([name, middle(column, UNITS[name]), picture, str(missing)])
    header = ("feature", "median; range", "distribution", "missing")
    return card("FeatureTable", f"of {len(features.names)} devices", facts, table(header, rows))


def sweeps_html(sweeps: Sweeps) -> str:
    """Return the description of measured loops; no file is read."""
    files = [path.name for path in sweeps.files]
    more = f" and {len(files) - MAX_ROWS} more" if len(files) > MAX_ROWS else ""
    facts = {
        "files": ", ".join(files[:MAX_ROWS]) + more,
        "notes": _notes(sweeps.notes),
        "loops": "read when they are needed",
    }
    return card("Sweeps", "with SET at negative voltage", facts)


def fit_html(fit: FitResult) -> str:
    """Return the description of a fit: what it was fitted to, and its model."""
    found = fit.diagnostics
    low, bound = (found.get(f"residual_autocorrelation{end}") for end in ("", "_bound"))
    facts = {
        "data": f"{found.get('devices', '?')} devices, {found.get('cycles', '?')} cycles",
        "left out": f"{len(found.get('devices_left_out', ()))} devices, "
        f"{sum(found.get('rejected_cycles', {}).values())} cycles",
        "order": str(found.get("order", "")),
        "components": str(found.get("components", "")),
        "residuals": f"autocorrelation up to {low:.2f}, expected below {bound:.2f}"
        if _numbers(low, bound)
        else "",
        "I-V curves": str(found.get("conduction", "")),
    }
    return card("FitResult", "", facts, model_card(fit.model))


def comparison_html(found: Comparison) -> str:
    """Return the description of a comparison: the properties with the largest ratios first."""
    order = sorted(found.results, key=lambda one: _sortable(one.ratio), reverse=True)
    rows = [
        [
            one.name, _number(one.measured), _number(one.generated), _number(one.ratio),
            svg.bar(_sortable(one.ratio) / FULL, 1.0 / FULL, f"{one.ratio:.2g}"),
        ]
        for one in order[:MAX_ROWS]
    ]  # fmt: skip
    header = ("property", "measured", "generated", "ratio", "1: a correct model")
    within = sum(one.ratio <= 1.0 for one in order)
    facts = {
        "data": f"{len(found.measured.devices)} devices, "
        f"{sum(len(y) for _, y in found.measured.devices)} cycles",
        "within": f"{within} of {len(order)} properties are as close as those of a correct model",
        "ratio": "distance divided by what a correct model does not exceed in 95 % of cases",
        "not scored": ", ".join(found.not_scored),
        "shown": f"{MAX_ROWS} of {len(order)} properties, largest ratio first"
        if len(order) > MAX_ROWS
        else "",
    }
    words = f"of {found.model.name} with a measurement"
    return card("Comparison", words, facts, table(header, rows))


def traps_html(fit: TrapFit, units: Mapping[str, str]) -> str:
    """Return the description of fitted traps; ``units`` names the numbers to show."""
    traps = fit.traps
    edges = traps.time_constants
    facts = {
        "time constants": f"{span((edges[0], edges[-1]), 's')} at 300 K",
        "read noise": "" if math.isnan(fit.read_noise) else quantity(fit.read_noise, "S"),
        "misfit": f"{fit.misfit:.2f} (1: as large as the errors)",
        "notes": "; ".join(fit.notes),
    }
    rows = [_trap_row(traps, fit.sources, name, unit) for name, unit in units.items()]
    header = ("number", "value", "determined by")
    return card("TrapFit", f"of {traps.count} traps per cell", facts, table(header, rows))


def _trap_row(traps: Traps, sources: Mapping[str, str], name: str, unit: str) -> list[str]:
    value = np.atleast_1d(getattr(traps, name))
    return [name, span((float(value.min()), float(value.max())), unit), sources.get(name, "")]


def _notes(notes: Mapping[str, Any]) -> str:
    """Return notes in one line; nested ones only by name."""
    simple = (str, int, float, bool)
    return ", ".join(
        f"{name.replace('_', ' ')}: {value}" if isinstance(value, simple) else str(name)
        for name, value in notes.items()
    )


def _numbers(*values: object) -> bool:
    return all(isinstance(value, float) and math.isfinite(value) for value in values)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def _sortable(ratio: float) -> float:
    return 0.0 if math.isnan(ratio) else ratio
