"""Content of a model file for the parts that the published model does not have."""

from __future__ import annotations

import math
from typing import Any

from synfab.common.errors import FileFormatError
from synfab.io.json_file import Fields
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.history import History
from synfab.model.population import Population
from synfab.model.scale import PUBLISHED, Scale
from synfab.model.traps import ARRAYS, NUMBERS, Traps
from synfab.model.wear import Failure, WearIn

# Optional fields of the file, and of each of its histories.
NAMES = ("scales", "population_spread", "wear_in", "failure", "traps")
OF_HISTORY = ("rates", "couplings")
# Values of ``population_spread``: what the last four device parameters are.
SPREADS = {"sigma": False, "ln sigma": True}
SCALE = ("type", "sign", "shift", "low", "high")
WEAR_IN = ("cycles", "shift", "log_spread")
FAILURE = ("scale", "shape", "share", "stuck_hrs")


def written_parts(model: CellModel) -> dict[str, object]:
    """Return the fields of the optional parts that ``model`` has."""
    found: dict[str, object] = {}
    if model.scales != PUBLISHED:
        found["scales"] = [_written_scale(scale) for scale in model.scales]
    if model.population.log_spread:
        found["population_spread"] = "ln sigma"
    if (wear := model.wear_in) is not None:
        found["wear_in"] = {name: getattr(wear, name).tolist() for name in WEAR_IN}
    if (failure := model.failure) is not None:
        found["failure"] = {name: getattr(failure, name) for name in FAILURE}
    if (traps := model.traps) is not None:
        found["traps"] = {
            **{name: getattr(traps, name).tolist() for name in ARRAYS},
            **{name: getattr(traps, name) for name in NUMBERS},
        }
    return found


def written_averages(history: History) -> dict[str, object]:
    """Return the fields of the averages of a history, none if it has none."""
    if not len(history.rates):
        return {}
    return {name: getattr(history, name).tolist() for name in OF_HISTORY}


def has_parts(document: dict[str, Any]) -> bool:
    """Tell whether the content of a file has an optional part, which version 1 cannot have."""
    return any(name in document for name in NAMES) or any(
        "rates" in history for history in document["histories"]
    )


def read_parts(top: Fields) -> dict[str, Any]:
    """Return arguments of ``CellModel`` from the optional fields of a file."""
    given, found = top.content, dict[str, Any]()
    if "scales" in given:
        items = top.items("scales")
        if len(items) != len(FEATURES):
            raise FileFormatError(f"scales: expected {len(FEATURES)}, found {len(items)}")
        found["scales"] = [_read_scale(item, f"scales[{k}]") for k, item in enumerate(items)]
    if "wear_in" in given:
        wear = Fields(given["wear_in"], "wear_in", WEAR_IN)
        depths = dict(zip(WEAR_IN, (1, 2, 2), strict=True))
        parts = {name: wear.array(name, depth=depth) for name, depth in depths.items()}
        found["wear_in"] = wear.make(lambda: WearIn(**parts))
    if "failure" in given:
        failure = Fields(given["failure"], "failure", FAILURE)
        numbers = {name: float(failure.array(name, depth=0)) for name in FAILURE}
        found["failure"] = failure.make(lambda: Failure(**numbers))
    if "traps" in given:
        traps = Fields(given["traps"], "traps", (*ARRAYS, *NUMBERS))
        values: dict[str, Any] = {name: traps.array(name, depth=1) for name in ARRAYS}
        values |= {name: float(traps.array(name, depth=0)) for name in NUMBERS}
        found["traps"] = traps.make(lambda: Traps(**values))
    return found


def read_averages(fields: Fields) -> dict[str, Any]:
    """Return arguments of ``History`` from the optional fields of one."""
    if not any(name in fields.content for name in OF_HISTORY):
        return {}
    for name in OF_HISTORY:
        if name not in fields.content:
            raise FileFormatError(f"{fields.prefix}{name}: missing")
    return {
        "rates": fields.array("rates", depth=1),
        "couplings": fields.array("couplings", depth=3),
    }


def read_spread(top: Fields, population: Population) -> Population:
    """Return the population whose last four parameters are what the file says."""
    if "population_spread" not in top.content:
        return population
    spread = top.text("population_spread")
    if spread not in SPREADS:
        raise FileFormatError(f"population_spread: expected {' or '.join(SPREADS)}")
    return Population(population.weights, population.means, population.factors, SPREADS[spread])


def _written_scale(scale: Scale) -> dict[str, object]:
    # JSON has no infinite numbers; null means that there is no limit.
    limits = {n: None if math.isinf(v := getattr(scale, n)) else v for n in ("low", "high")}
    return {"type": scale.kind, "sign": scale.sign, "shift": scale.shift, **limits}


def _read_scale(item: object, name: str) -> Scale:
    fields = Fields(item, name, SCALE)
    limits = {
        limit: default if fields.content[limit] is None else float(fields.array(limit, depth=0))
        for limit, default in (("low", -math.inf), ("high", math.inf))
    }
    sign, shift = (float(fields.array(n, depth=0)) for n in ("sign", "shift"))
    kind = fields.text("type")
    return fields.make(lambda: Scale(kind, sign=sign, shift=shift, **limits))
