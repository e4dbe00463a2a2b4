"""Frozen cells for Xyce, LTspice and HSPICE.

None of the three was available. Their netlists follow the grammar of their reference guides, have
the currents of the array, and ngspice runs them in the mode that imitates each of them.
"""

import re
import subprocess

import numpy as np
import pytest
from spice_grammar import GRAMMARS, evaluated, kinds

import synfab as sf
from synfab.circuit import crossbar_netlist, read_raw
from synfab.common.errors import InvalidValueError
from synfab.crossbar import Selector, Transistor

# Modes of ngspice that imitate other simulators. It has none for Xyce; "psa" reads its switches.
MODES = {"xyce": "psa", "ltspice": "lt", "hspice": "hsa"}
every_dialect = pytest.mark.parametrize("dialect", sorted(GRAMMARS))


@pytest.fixture(scope="module")
def cells():
    array = sf.CellArray("published", (3, 2), seed=7).apply_voltage(-2.0)
    return array.apply_voltage([[1.2, 0.1], [1.5, 1.0], [0.0, 0.0]])


def frozen(cells, dialect, program=None, *, wire=2.0, access=None, **options):
    crossbar = sf.Crossbar(cells, wire, access=access)
    return crossbar_netlist(crossbar, program, dialect=dialect, snapshot=True, **options)


@every_dialect
def test_netlists_follow_the_grammar_of_their_simulator(tmp_path, cells, dialect):
    seen = {}
    for program, access, mosfet in [
        (None, None, False), ("0.1, 0.2", Transistor(), False),
        ("0.1, 0.2", Transistor(), True), ("0.1, -0.2", Selector(), False),
    ]:  # fmt: skip
        path = frozen(cells, dialect, program, access=access, mosfet=mosfet).save(tmp_path / "x")
        found = kinds(dialect, path.read_text())
        assert found[-1][0] == "end"
        seen |= dict(found)
    assert set(seen) == set(GRAMMARS[dialect])


@every_dialect
def test_the_expressions_of_cells_give_their_currents(cells, dialect):
    netlist = frozen(cells, dialect, wire=0.0)
    given = [text for kind, text in kinds(dialect, netlist.text) if kind == "cell"]
    assert len(given) == 6
    for voltage in (-1.8, -1.0, 0.0, 0.2, 1.4, 1.6):
        expected = netlist.circuit.cells.current(voltage).astype(np.float64).ravel()
        for text, current in zip(given, expected, strict=True):
            name, a, b, source = text.split(maxsplit=3)
            expression = re.sub(r"^(I|cur)=|[{}']", "", source)
            assert f"c{name[-1]} r{name[1]}" == f"{a} {b}"
            found = evaluated(expression, {a: voltage + 0.3, b: 0.3})
            assert found == pytest.approx(current, rel=1e-5, abs=1e-12)


@every_dialect
@pytest.mark.parametrize("access", [None, Transistor(), Selector()], ids=["1R", "1T1R", "1S1R"])
def test_ngspice_reads_the_currents_of_the_crossbar(tmp_path, cells, ngspice, dialect, access):
    netlist = frozen(cells, dialect, access=access, voltages=[0.2, 0.75])
    path = netlist.save(tmp_path / "frozen.cir")
    run = ".control\nset num_threads=1\nset filetype=binary\nrun\nwrite frozen.raw\n.endc\n.end\n"
    path.write_text(path.read_text().replace(".end\n", run))
    (tmp_path / ".spiceinit").write_text(f"set ngbehavior={MODES[dialect]}\n")
    subprocess.run([ngspice, "-b", path.name], cwd=tmp_path, capture_output=True, check=False)
    waves = read_raw(tmp_path / "frozen.raw")[-1]
    found = [waves[f"i(vr{i})"][-1] for i in range(3)]
    expected = sf.Crossbar(cells, 2.0, access=access).read([0.2, 0.75], noise=False)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@every_dialect
def test_cells_that_switch_are_refused(cells, dialect):
    with pytest.raises(InvalidValueError, match=r"^snapshot: expected True, dialect"):
        crossbar_netlist(sf.Crossbar(cells, 0.0), dialect=dialect)
