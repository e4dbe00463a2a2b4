"""A SET whose current the circuit limits: the resistance follows the limit on request."""

import numpy as np
import pytest

import synfab as sf
from synfab.circuit import Pulse, build_osdi, crossbar_netlist, run_ngspice
from synfab.crossbar import Crossbar, Transistor

CELL, GROWTH = 3, 0.5
# A transistor with its source at the drive, saturated at `limit` (A), between it and the cell.
DECK = """1T1R cell
Vd drive 0 {drive}
Vg gate drive 1.5
M1 cell gate drive drive limiter
N1 cell 0 memory cell=3
.model limiter nmos level=1 vto=0.5 kp={kp} w=1u l=1u
.model memory synfab_published seed=7 growth_voltage={growth} {more}
.save v(cell) @n1[i] @n1[r] @n1[resistance] @n1[r_lrs] @n1[phase]
{analysis}
"""
PULSE = "PWL(0 0 1u -2 2u -2 3u 0)"


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


def pulsed(device, limit, growth, step="10n"):
    deck = DECK.format(drive=PULSE, kp=2.0 * limit, growth=growth, more="",
                       analysis=f".tran {step} 3u 0 {step}")  # fmt: skip
    (wave,) = run_ngspice(deck, osdi=device)
    assert wave["@n1[phase]"][-1] == 1.0
    return wave


def test_the_resistance_after_a_set_follows_the_limit(device):
    conduction = sf.load_model("published").conduction
    resistances = []
    for limit in (20e-6, 50e-6, 100e-6):
        wave = pulsed(device, limit, GROWTH)
        assert np.abs(wave["@n1[i]"]).max() == pytest.approx(limit, rel=5e-3)
        # The cell conducts the limit at the growth voltage.
        held = -conduction.current(wave["@n1[r]"][-1], -GROWTH)
        assert held == pytest.approx(limit, rel=0.02)
        resistances.append(wave["@n1[resistance]"][-1])
    assert np.all(np.diff(resistances) < 0.0)
    # What is drawn is the lowest resistance: a limit that it does not reach changes nothing.
    wide = pulsed(device, 235e-6, GROWTH)
    assert wide["@n1[resistance]"][-1] == pytest.approx(wide["@n1[r_lrs]"][-1], rel=1e-6)


def test_without_a_growth_voltage_the_limit_changes_nothing(device):
    for limit in (100e-6, 235e-6):
        wave = pulsed(device, limit, 0)
        assert wave["@n1[resistance]"][-1] == pytest.approx(wave["@n1[r_lrs]"][-1], rel=1e-6)


def test_the_limited_resistance_does_not_depend_on_the_time_step(device):
    ends = [pulsed(device, 50e-6, GROWTH, step)["@n1[r]"][-1] for step in ("5n", "20n", "100n")]
    np.testing.assert_allclose(ends, ends[0], atol=2e-3)


def test_a_higher_limit_lowers_the_resistance_further_and_a_lower_one_leaves_it(device):
    drive = "PWL(0 0 1u -2 2u -2 3u 0 4u -2 5u -2 6u 0)"
    deck = DECK.format(drive=drive, kp=2e-4, growth=GROWTH, more="", analysis=".tran 20n 6u 0 20n")
    for first, second in ((1.0, 1.3), (1.3, 1.0)):
        gate = f"Vg gate drive PWL(0 {first} 3u {first} 3.1u {second})"
        (wave,) = run_ngspice(deck.replace("Vg gate drive 1.5", gate), osdi=device)
        after = wave.at("@n1[r]", [2.9e-6, 6e-6])
        assert after[1] < after[0] - 0.1 if second > first else after[1] == after[0]


def test_a_sweep_that_switches_is_limited_in_the_same_way(device):
    for limit in (50e-6, 100e-6):
        deck = DECK.format(drive="0", kp=2.0 * limit, growth=GROWTH, more="dc_switching=1",
                           analysis=".dc Vd 0 -2 -0.05")  # fmt: skip
        (wave,) = run_ngspice(deck, osdi=device)
        expected = pulsed(device, limit, GROWTH)["@n1[r]"][-1]
        assert wave["@n1[r]"][-1] == pytest.approx(expected, abs=1e-4)


def test_a_voltage_source_leads_to_the_resistance_that_is_drawn(device):
    deck = """ideal drive
V1 a 0 PWL(0 0 1u -2 2u 0)
N1 a 0 memory cell=3
.model memory synfab_published seed=7 growth_voltage=0.5
.tran 10n 2u
"""
    (wave,) = run_ngspice(deck, osdi=device)
    cells = sf.CellArray("published", CELL + 1, seed=7).apply_voltage(-2.0)
    assert wave["@n1[r]"][-1] == pytest.approx(float(cells.r[CELL]), abs=1e-6)


# ---- the transistor of the cells that were measured ---------------------------------------------


def test_the_published_curves_saturate_as_a_transistor_does():
    """After a SET the current stays near 0.2 mA from -1 to -1.5 V; a filament has no limit."""
    model = sf.load_model("published")
    assert model.contains_transistor
    current = model.conduction.current
    assert current(0.0, -1.0) == pytest.approx(-196e-6, rel=0.01)
    assert current(0.0, -1.5) == pytest.approx(-198e-6, rel=0.01)
    assert current(0.0, -0.2) == pytest.approx(-52e-6, rel=0.01)


def test_a_mosfet_in_the_netlist_counts_the_transistor_once():
    cells = sf.CellArray("published", (1, 1), seed=1)
    published = Crossbar(cells, 0.0, access=Transistor(0.0))
    alone = cells.model.replace(provenance={"measurement": "cells without a transistor"})
    assert not alone.contains_transistor
    other = Crossbar(sf.CellArray(alone, (1, 1), seed=1), 0.0, access=Transistor(0.0))
    assert "w=0.001 " in crossbar_netlist(published, "-2", mosfet=True).text
    assert "w=1e-06 " in crossbar_netlist(other, "-2", mosfet=True).text


def test_a_pulse_through_the_mosfet_programs_a_published_cell_as_without_it(ngspice):
    from synfab.circuit import run_crossbar

    cells = sf.CellArray("published", (2, 2), seed=5)
    program = [Pulse(-2.0), Pulse(1.1)]
    with_it, without = (
        run_crossbar(crossbar_netlist(bar, program, mosfet=mosfet)).cells
        for bar, mosfet in (
            (Crossbar(cells, 0.0, access=Transistor(0.0)), True),
            (Crossbar(cells, 0.0), False),
        )
    )
    np.testing.assert_allclose(with_it.r, without.r, atol=2e-3)
