"""A new dialect is one new file, tests/helpers/toy_dialect.py, and one registration."""

from collections import Counter

import pytest
from toy_dialect import Toy

import synfab as sf
from synfab.circuit import crossbar_netlist
from synfab.circuit.dialects import DIALECTS, Dialect, register
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.crossbar import Selector, Transistor


@pytest.fixture
def written():
    """Return a function: how many lines of each kind the toy netlist of a crossbar has."""
    register(Toy)
    cells = sf.CellArray("published", (2, 3), seed=1)

    def count(program=None, *, access=None, wire=0.0, **options):
        crossbar = sf.Crossbar(cells, wire, access=access)
        text = crossbar_netlist(crossbar, program, dialect="toy", **options).text
        return Counter(line.split()[0] for line in text.splitlines())

    yield count
    del DIALECTS[Toy.name]


def test_a_registered_dialect_writes_every_kind_of_element(written):
    plain = written()
    assert (plain["cell"], plain["supply"], plain["solve"], plain["use"]) == (6, 5, 1, 1)
    pulsed = written("-2, 0.2", wire=2.0, access=Transistor())
    assert (pulsed["resistor"], pulsed["switch"], pulsed["simulate"]) == (2 * 6, 6, 1)
    # Columns, rows and gates; rows stay at 0 V.
    assert (pulsed["drive"], pulsed["supply"]) == (3 + 2, 2)
    assert written(access=Transistor(), mosfet=True)["transistor"] == 6
    assert written(access=Selector())["selector"] == 6


def test_a_dialect_without_snapshots_refuses_them(written):
    with pytest.raises(InvalidValueError, match=r'snapshot: expected dialect "ngspice" or "xyce"'):
        written(snapshot=True)


def test_a_dialect_is_known_only_once_it_is_registered():
    crossbar = sf.Crossbar(sf.CellArray("published", (2, 3), seed=1), 0.0)
    with pytest.raises(InvalidValueError, match=r"dialect: expected one of ngspice, spectre,"):
        crossbar_netlist(crossbar, dialect="toy")


def test_an_incomplete_dialect_is_refused_when_it_is_registered():
    class Empty(Dialect):
        name = "empty"

    with pytest.raises(InvalidTypeError, match=r"^dialect: Empty lacks moves_traps, COMMENT"):
        register(Empty)
    with pytest.raises(InvalidTypeError, match=r"^dialect: expected a subclass of Dialect"):
        register("text")


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - {"ngspice", "spectre"}))
def test_the_width_of_transistors_is_not_lost_where_models_have_none(name):
    """Instances have equal width and length; kp contains their ratio."""
    writer = DIALECTS[name]()
    model = {"level": 1.0, "vto": 0.5, "kp": 4e-4, "w": 1e-3, "l": 1e-6}
    assert " kp=0.4" in writer.transistor_model(model)
    assert "w=1u l=1u" in writer.transistor("x", "d", "g", "s").lower()
