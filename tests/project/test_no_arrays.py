"""Objects that hold arrays are none: NumPy refuses them instead of wrapping them."""

import importlib
import inspect

import numpy as np
import pytest
from misuse.harness import MODULES

import synfab as sf

# Values of a few named fields, which users put into lists and tables of objects.
VALUES = {
    *("Checkpoints", "Estimate", "Gradient", "LayerOptions", "Mapping", "Outcome", "Property"),
    "PeripheralCosts",
    *("Pulse", "PulsedSGD", "Result", "Selector", "Transistor", "Verdict", "Wires"),
    *("StochasticPulseSGD", "MixedPrecisionSGD", "TikiTaka", "TikiTakaV2"),
}


def public_classes():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            kind = getattr(module, public)
            if inspect.isclass(kind) and not issubclass(kind, (BaseException, tuple)):
                yield kind


def test_every_public_class_with_arrays_refuses_to_be_one():
    wrapped = {kind.__name__ for kind in public_classes() if not hasattr(kind, "__array__")}
    assert wrapped == VALUES


def holders():
    cells = sf.CellArray("published", (3, 4), seed=1).apply_voltage(-2.0)
    bar = sf.Crossbar(cells)
    return {
        "CellArray": (cells, "cells.conductance()"),
        "CellView": (cells[0], "view.conductance()"),
        "Crossbar": (bar, "bar.read(v)"),
        "CellModel": (cells.model, "sf.CellArray(model"),
        "Solution": (bar.solve(np.full(4, 0.1)), "solution.cell_voltage"),
        "Programming": (bar.program(np.full((3, 4), 5e-5)), "programming.achieved"),
        "Netlist": (sf.circuit.crossbar_netlist(bar), "netlist.text"),
    }


@pytest.mark.parametrize("convert", [np.asarray, np.array, lambda x: np.add(1.0, x)])
def test_numpy_says_which_property_to_use(convert):
    for name, (thing, instead) in holders().items():
        with pytest.raises(sf.InvalidTypeError) as caught:
            convert(thing)
        message = str(caught.value)
        assert message.startswith(f"{name} is not an array; use "), message
        assert instead in message
        assert "\n" not in message


def test_cells_are_refused_as_an_argument_by_its_name():
    cells = sf.CellArray("published", 4, seed=1)
    with pytest.raises(sf.InvalidTypeError, match=r"^u: expected real numbers, found CellArray"):
        cells.read(cells)
