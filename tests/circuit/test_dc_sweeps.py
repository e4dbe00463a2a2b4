"""DC sweeps that switch cells on request: every point is a pulse, then a measurement."""

import numpy as np
import pytest
from osdi_program import SANITIZERS, STRICT, build, run, shown
from scipy.optimize import brentq
from trap_models import model_with_traps

import synfab as sf
from synfab.circuit import build_osdi, run_ngspice, to_osdi_source
from synfab.common.errors import InvalidValueError

SEED, CELL = 7, 3
SWEEP = np.concatenate([
    np.linspace(0.0, -1.5, 31), np.linspace(-1.45, 1.45, 59), np.linspace(1.4, -1.5, 59),
    np.linspace(-1.45, 1.5, 60), [0.2],
])  # fmt: skip
DECK = """I-V curve
V1 a 0 0
{between}
N1 b 0 memory cell={cell}
.model memory synfab_published seed=7 dc_switching=1
.save v(a) v(b) @n1[i] @n1[r] @n1[cycle] @n1[phase]
.dc V1 0 -1.5 -0.05
.dc V1 -1.45 1.46 0.05
.dc V1 1.4 -0.01 -0.05
"""


@pytest.fixture(scope="module", params=["published", "with traps"])
def harness(request, tmp_path_factory):
    model = "published" if request.param == "published" else model_with_traps()
    return build(tmp_path_factory.mktemp("dc"), to_osdi_source(model), *STRICT, *SANITIZERS)


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


def start(cell=CELL, **parameters):
    given = {"seed": SEED, "cell": cell, **parameters}
    return [*(f"set {name} {value}" for name, value in given.items()), "start"]


def curve(cells, k, voltages):
    """Current of a cell that is pulsed with each voltage and measured at it, and its r."""
    conduction, found = cells.model.conduction, []
    for u in voltages:
        r = float(cells.apply_voltage(u).r[k])
        found.append((conduction.current(r, u), r))
    return np.array(found).T


def test_each_point_of_a_sweep_is_a_pulse_and_a_measurement(harness):
    out = run(harness, [*start(dc_switching=1), *(f"dc {u!r}" for u in SWEEP.tolist()), "show"])
    cells = sf.CellArray("published", CELL + 1, seed=SEED)
    current, r = curve(cells, CELL, SWEEP)
    np.testing.assert_allclose([float(x.split()[0]) for x in out[:-1]], current, atol=2e-10)
    end = shown(out[-1])
    assert end.get("r_programmed", end["r"]) == pytest.approx(r[-1], abs=2e-6)
    assert end["cycle"] == cells.cycle[CELL] == 2


def test_cells_rest_in_sweeps_unless_switching_is_asked_for(harness):
    before = run(harness, [*start(), "op 0.2", "show"])[-1]
    assert run(harness, [*start(), "dc -2", "dc 1.6", "dc 0.2", "op 0.2", "show"])[-1] == before


def test_a_voltage_that_a_solver_only_tries_does_not_switch(harness):
    """An iteration away from the solution, as Newton's method has them."""
    tried = [*start(dc_switching=1), "dc 0.1", "once -2", "dc 0.1", "show"]
    assert shown(run(harness, tried)[-1])["phase"] == 0.0
    solved = [*start(dc_switching=1), "dc 0.1", "once -2", "once -2", "dc 0.1", "show"]
    assert shown(run(harness, solved)[-1])["phase"] == 1.0


def swept(device, cell, between):
    parts = run_ngspice(DECK.format(cell=cell, between=between), osdi=device)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_the_curve_in_ngspice_is_that_of_the_array(device):
    for cell in (0, 3):
        wave = swept(device, cell, "V2 a b 0")
        cells = sf.CellArray("published", 4, seed=SEED)
        current, r = curve(cells, cell, wave["v(a)"])
        np.testing.assert_allclose(wave["@n1[i]"], current, atol=2e-10)
        np.testing.assert_allclose(wave["@n1[r]"], r, atol=2e-6)
        assert {0.0, 1.0, 2.0} == set(wave["@n1[phase]"])


@pytest.mark.parametrize("ohm", [3000.0, 5000.0])
def test_behind_a_resistor_a_cell_follows_until_it_rests(device, ohm):
    """The reference applies the voltage of the cell as it is, again and again, until it rests.

    With 3 kilo-ohm the RESET runs away. With 5 kilo-ohm, cell 1 rests just below its threshold,
    next to a solution with a RESET that no rising voltage reaches.
    """
    for cell in (0, 1):
        wave = swept(device, cell, f"R1 a b {ohm}")
        cells = sf.CellArray("published", 2, seed=SEED)
        conduction = cells.model.conduction
        for u, v, r in zip(wave["v(a)"], wave["v(b)"], wave["@n1[r]"], strict=True):
            before = np.inf
            while abs((now := float(cells.r[cell])) - before) > 1e-7:
                rest = brentq(lambda x: (u - x) / ohm - conduction.current(now, x), -2.0, 2.0)  # noqa: B023
                before = now
                cells.apply_voltage(rest)
            assert v == pytest.approx(rest, abs=5e-4)
            assert r == pytest.approx(now, abs=5e-6)


def test_a_sweep_of_two_sources_repeats_the_curve(device):
    deck = DECK.format(cell=CELL, between="V2 a b 0").split(".dc")[0]
    (wave,) = run_ngspice(deck + "V3 c 0 0\nR3 c 0 1k\n.dc V1 0 -1.4 -0.1 V3 0 1 1\n", osdi=device)
    assert wave["@n1[phase]"][0] == 0.0
    assert (wave["@n1[phase]"][15:] == 1.0).all()


@pytest.mark.parametrize("given", ["dc_switching=2", "dc_switching=0.5", "growth_voltage=-1"])
def test_a_model_with_another_value_is_refused_by_name(device, given):
    deck = DECK.format(cell=1, between="V2 a b 0").replace("dc_switching=1", given)
    with pytest.raises(InvalidValueError, match=given.split("=")[0]):
        run_ngspice(deck, osdi=device)
