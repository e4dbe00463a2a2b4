"""Deprecated arguments of ``crossbar_netlist`` (cells and wires), accepted for one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from synfab.cells.array import CellArray
from synfab.circuit.elements import SWITCH_OFF, SWITCH_ON
from synfab.common import checks
from synfab.crossbar.array import Crossbar
from synfab.network.access import Transistor

P = ParamSpec("P")
Result = TypeVar("Result")

ACCESS = ("switch", "transistor")
WIRES = ("wire_resistance", "source_resistance", "sense_resistance", "drive", "sense")


def accepts_former_arguments(function: Callable[P, Result]) -> Callable[P, Result]:
    """Make a function of a crossbar also accept cells with wire and access arguments."""

    @wraps(function)
    def call(*given: Any, **options: Any) -> Result:
        if "cells" in options:
            given = (options.pop("cells"), *given)
        if given and isinstance(given[0], CellArray):
            warnings.warn(
                "crossbar_netlist(cells, …) is deprecated: describe wires and access devices by "
                "sf.Crossbar(cells, wire_resistance, …) and pass it",
                DeprecationWarning,
                stacklevel=2,
            )
            given = (_crossbar(given[0], options), *given[1:])
        return cast(Callable[..., Result], function)(*given, **options)

    return call


def _crossbar(cells: CellArray[Any], options: dict[str, Any]) -> Crossbar[Any]:
    """Return a crossbar built from its arguments in ``options``, which are removed there."""
    wires = {"wire_resistance": 0.0} | {k: options.pop(k) for k in WIRES if k in options}
    access = options.pop("access", None)
    if access is None:
        return Crossbar(cells, **wires)
    options["mosfet"] = checks.choice("access", access, ACCESS) == "transistor"
    return Crossbar(cells, **wires, access=Transistor(SWITCH_ON, SWITCH_OFF))
