"""Cells with traps in circuits: the moves of the array, noise, temperature, and the way back."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from osdi_program import STRICT, build, run, shown
from scipy.stats import norm
from trap_models import model_with_traps, traps
from verilog_a import EVAS

import synfab as sf
from synfab.cells.state import get_state, with_state
from synfab.circuit import (
    build_osdi,
    crossbar_netlist,
    read_pulse,
    run_crossbar,
    run_ngspice,
    to_osdi_source,
    to_veriloga,
)
from synfab.circuit.veriloga_text import noise_table
from synfab.physics.noise import BOLTZMANN, ELEMENTARY_CHARGE
from synfab.physics.traps import amplitude_in_r

SEED = 2**40 + 17
CELSIUS_27 = 300.15
DRAWN = ("occupied", "initial", "fresh", "step", "r", "r_programmed", "cycle")


@pytest.fixture(scope="module")
def model():
    return model_with_traps(raising=[0.2, 0.5, 0.7])


@pytest.fixture(scope="module")
def harness(model, tmp_path_factory):
    return build(tmp_path_factory.mktemp("traps"), to_osdi_source(model), *STRICT)


@pytest.fixture(scope="module")
def device(ngspice, model, tmp_path_factory):
    return build_osdi(model, tmp_path_factory.mktemp("device") / "cell.osdi")


def identity(cell):
    return [f"set seed {SEED % 2**32}", f"set seed_high {SEED >> 32}", f"set cell {cell}"]


def one_analysis_each(steps):
    """One transient per step, as small steps vanish beside a long time."""
    lines = [line for dt, u in steps for line in ("start", f"try {dt!r} {u}")]
    return [*lines, "start", "show"]  # the last point is accepted when the next analysis begins


def by_name(found):
    return {name: np.array([cell[name] for cell in found]) for name in DRAWN}


def same_traps(found, cells):
    """Same bits, step number and moved states as the array, from columns of numbers per cell."""
    stored = cells.traps.storage(cells.engine_instance)
    drawn = stored["traps_drawn"]
    np.testing.assert_array_equal(found["fresh"] == 0.0, drawn)
    np.testing.assert_array_equal(found["occupied"][drawn], stored["traps_occupied"][drawn])
    np.testing.assert_array_equal(found["initial"][drawn], stored["traps_initial"][drawn])
    np.testing.assert_array_equal(found["step"], cells.traps.step_number)
    np.testing.assert_array_equal(found["cycle"], cells.cycle)
    np.testing.assert_allclose(found["r"], cells.r, rtol=0.0, atol=5e-6)


# ---- without a simulator ------------------------------------------------------------------------

# Durations (s) and the voltage at the end of each: every power of ten, switching in between.
STEPS = [
    *((10.0**p, 0.0) for p in range(-9, 10)),
    *[(1e-7, -2.0), (1e-7, 0.0), (1e-3, 0.0), (1.0, 1.1), (1e-9, 0.0), (1e5, 0.0)],
    *[(1e-6, 1.6), (1e-6, -2.0), (3e3, 0.2), (1e7, 0.0), (1e18, 0.0), (1e-12, 0.0)],
]


@pytest.mark.parametrize("temperature", [250.0, CELSIUS_27, 400.0])
def test_accepted_points_move_traps_as_waits_move_those_of_the_array(harness, model, temperature):
    count, heat = 24, f"temperature {temperature}"
    cells = sf.CellArray(model, count, seed=SEED)
    for dt, u in STEPS:
        cells.wait(dt, temperature).apply_voltage(np.float32(u))
    lines = one_analysis_each(STEPS)
    found = [shown(run(harness, [heat, *identity(k), *lines])[-1]) for k in range(count)]
    same_traps(by_name(found), cells)
    assert np.abs(cells.r - get_state(cells)["r"]).max() > 0.01  # the traps have moved the cells


def test_models_without_raising_traps_and_with_one_node_or_33_edges_agree(tmp_path):
    for i, changes in enumerate(
        (
            {"conductance": [0.0], "amplitude": [2e-6], "raising": 1.0},
            {"time_constants": np.logspace(-4, 8, 33), "spectrum": 0.2},
            {"time_constants": [1e-3, 1e-2], "spectrum": 1.0, "cell_spread": 0.0},
        )
    ):
        model, folder = model_with_traps(**changes), tmp_path / str(i)
        folder.mkdir()
        program, count = build(folder, to_osdi_source(model), *STRICT), 8
        cells, times = sf.CellArray(model, count, seed=SEED), (1e-3, 1e-2, 10.0, 1e5)
        for dt in times:
            cells.wait(dt, CELSIUS_27)
        lines = one_analysis_each([(dt, 0.0) for dt in times])
        found = [shown(run(program, [*identity(k), *lines])[-1]) for k in range(count)]
        same_traps(by_name(found), cells)


def test_rejected_points_move_no_trap(harness):
    accepted = ["try 1 0", "try 2 0", "try 3 0", "show"]
    rejected = ["try 1 0", "try 5 0", "try 2 0", "try 2 0", "try 9 0", "try 3 0"]
    plain = run(harness, [*identity(3), "start", *accepted])[-1]
    assert run(harness, [*identity(3), "start", *rejected, "show"])[-1] == plain


def test_an_operating_point_moves_no_trap_and_time_goes_on_in_the_next_analysis(harness):
    first = [*identity(3), "start", "try 1 0", "try 2 0"]
    frozen = shown(run(harness, [*first, "start", "op 0.2", "op 1", "start", "show"])[-1])
    assert frozen["step"] == 2.0
    again = shown(run(harness, [*first, "start", "try 1 0", "try 2 0", "show"])[-1])
    assert again["step"] == 3.0


def test_a_cell_is_seen_as_programmed_until_the_next_time_step(harness):
    start = [*identity(3), "start", "try 1 0", "try 2 -3", "try 3 0", "show", "try 4 0", "show"]
    first, second = (shown(line) for line in run(harness, start) if "=" in line)
    assert (first["fresh"], second["fresh"]) == (1.0, 0.0)
    assert first["r"] == first["r_programmed"] == second["r_programmed"]


def test_a_given_state_of_traps_continues(harness, model):
    count = 12
    cells = sf.CellArray(model, count, seed=SEED).wait(3.0).apply_voltage(-2.0).wait(1e3)
    stored = cells.traps.storage(cells.engine_instance)
    state = get_state(cells)
    cells.wait(1e-4, CELSIUS_27).wait(1e6, CELSIUS_27)
    found = []
    for k in range(count):
        lines = [f"set phase0 {state['phase'][k]}", f"set r0 {float(state['r'][k])!r}"]
        lines += [f"set threshold0 {float(state['threshold'][k])!r}"]
        lines += [f"set occupied0 {stored['traps_occupied'][k]}"]
        lines += [f"set initial0 {stored['traps_initial'][k]}", "set step0 2", "start"]
        lines += one_analysis_each([(1e-4, 0.0), (1e6, 0.0)])
        found.append(shown(run(harness, [*identity(k), *lines])[-1]))
    same_traps(by_name(found), cells)


@pytest.mark.parametrize(
    ("name", "value"), [("occupied0", 2**28), ("initial0", 0.5), ("step0", -1), ("step0", 2**32)]
)
def test_a_wrong_state_of_traps_is_refused_by_name(harness, name, value):
    assert run(harness, [f"set {name} {value}", "start"]) == [f"refused {name}"]


def lorentzians(model, cell, frequency, r, temperature):
    """Spectral density of r of a fresh cell from the traps that its random numbers give it."""
    from synfab.physics import traps as rules

    parts = model.traps
    number = (np.array([cell], np.uint32), np.zeros(1, np.uint32))
    cycle, r = np.zeros(1, np.uint32), np.array([r], np.float32)
    scale = amplitude_in_r(model, r) * rules.cell_factor(parts, SEED, number)
    low, width = rules.log_times(parts)
    density = 0.0
    for first in range(0, parts.count, rules.FOUR):
        times, z = rules.trap_parameters(SEED, number, cycle, first, min(4, parts.count - first))
        _, place = rules.orientation(rules.raising_share(model, r), times)
        for k in range(len(z)):
            above = low[first + k] + width[first + k] * float(place[k, 0])
            tau = parts.attempt_time * np.exp(300.0 / temperature * above)
            size = float(scale[0]) * parts.spectrum[first + k]
            size *= np.exp(parts.trap_spread * float(z[k, 0]))
            q = parts.occupancy[first + k]
            corner = 1.0 + (2.0 * np.pi * frequency * tau) ** 2
            density += 4.0 * size**2 * q * (1.0 - q) * tau / corner
    return density


@pytest.mark.parametrize("temperature", [CELSIUS_27, 360.0])
@pytest.mark.parametrize("frequency", [1e-3, 10.0, 1e6])
def test_noise_of_a_cell_is_that_of_its_own_traps(harness, model, temperature, frequency):
    r, u = 0.3, 0.4
    start = [f"temperature {temperature}", f"frequency {frequency}", *identity(5)]
    start += ["set phase0 1", f"set r0 {r}", "set $mfactor 3", "start"]
    out = run(harness, [*start, f"op {u}"])
    found = [float(x) for x in out[0].split()[2:]]
    conduction = model.conduction
    i = conduction.current(r, u)
    by_r = conduction.current(1.0, u) - conduction.current(0.0, u)
    johnson, shot = 4.0 * BOLTZMANN * temperature * i / u, 2.0 * ELEMENTARY_CHARGE * i
    assert found[0] == pytest.approx(3.0 * (johnson + shot), rel=1e-9)
    expected = lorentzians(model, 5, frequency, r, temperature)
    assert found[1] == pytest.approx(3.0 * by_r**2 * expected, rel=1e-4)


def test_the_mean_noise_of_cells_is_the_spectral_density_of_the_model(harness, model):
    """At U_0, the trap noise is that of the conductance times U_0 squared; 400 cells."""
    r, u, count = 0.3, model.conduction.u_0, 400
    g = float(model.conduction.conductance(np.array(r)))
    frequencies, density = (1e-6, 1.0, 1e5), []
    lines = [f"set seed {SEED % 2**32}", f"set seed_high {SEED >> 32}", "set phase0 1"]
    lines += [f"set r0 {r}"]
    for k in range(count):
        lines += [f"set cell {k}", "start"]
        for frequency in frequencies:
            lines += [f"frequency {frequency}", f"op {u}"]
    found = np.array([float(line.split()[3]) for line in run(harness, lines)])
    density = found.reshape(count, len(frequencies)) / u**2
    expected = model.traps.spectral_density(np.array(frequencies), g, CELSIUS_27)
    error = density.std(axis=0) / np.sqrt(count)
    assert (error < 0.15 * expected).all()
    assert (np.abs(density.mean(axis=0) - expected) < norm.isf(1e-4) * error).all()


def test_a_model_without_traps_has_no_text_of_them(published, model):
    words = {
        to_osdi_source: ("TRAP", "occupied", "seen", "expm1f", "R_PROGRAMMED"),
        to_veriloga: ("noise_table", "trap_amplitude", "Traps"),
    }
    for export, found in words.items():
        for word in found:
            assert word in export(model)
            assert word not in export(published)


# ---- in ngspice ---------------------------------------------------------------------------------


def test_ngspice_moves_traps_at_every_accepted_point_as_the_array_does(device, model):
    """Ramps with switching, then a million seconds: same bits after each of a thousand points."""
    count = 8
    saved = [f"@n{k}[{name}]" for k in range(count) for name in DRAWN]
    lines = ["t", *(f"N{k} d 0 mem cell={k}" for k in range(count))]
    lines += ["Vd d 0 PWL(0 0 1u -2 2u -2 3u 0 10u 0 11u 1.1 12u 1.1 13u 0 1 0 100 0 1e6 0)"]
    lines += [".model mem synfab_with_traps seed=7", ".temp 77", ".save v(d) " + " ".join(saved)]
    (wave,) = run_ngspice("\n".join([*lines, ".tran 1e3 1e6"]) + "\n", osdi=device)
    time, u = wave["time"], np.float32(wave["v(d)"])
    cells = sf.CellArray(model, count, seed=7)
    for i in range(1, len(time)):
        # What point i - 1 did to the cells shows at point i.
        if i > 1:
            cells.wait(time[i - 1] - time[i - 2], 350.15).apply_voltage(u[i - 1])
        if i % 10 == 1 or i == len(time) - 1:
            columns = {n: np.array([wave[f"@n{k}[{n}]"][i] for k in range(count)]) for n in DRAWN}
            same_traps(columns, cells)
    assert len(time) > 1000
    assert (cells.cycle == 1).all()


def test_noise_analysis_has_the_traps_at_the_temperature_of_the_circuit(device, model):
    deck = """noise of one cell across its voltage source's resistor
V1 a 0 0.4 ac 1
R1 a b 1m
N1 b 0 mem cell=5 phase0=1 r0=0.3 dtemp=10
.model mem synfab_with_traps seed=17 seed_high=256
.temp 77
.noise v(b) V1 dec 1 1 1e4 1
"""
    _, density = run_ngspice(deck, osdi=device)
    by_r = model.conduction.current(1.0, 0.4) - model.conduction.current(0.0, 0.4)
    found = (density["onoise_n1_traps"] / 1e-3) ** 2
    expected = [lorentzians(model, 5, f, 0.3, 360.15) * by_r**2 for f in density["frequency"]]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_python_to_circuit_to_python_with_traps(ngspice, model):
    cells = sf.CellArray(model, (3, 4), seed=SEED)
    cells.wait(1.0).apply_voltage(-2.0).wait(1e4)
    first = np.arange(3)[:, None] == [[0, 0, 0, 0]]
    cells.apply_voltage(1.1, where=first)  # drawn at the first time step of the circuit
    crossbar = sf.Crossbar(cells, 0.0)
    still = run_crossbar(crossbar_netlist(crossbar, voltages=0.2))
    expected = cells.current(0.2).astype(np.float64).sum(axis=1)
    np.testing.assert_allclose(still.row_currents[0], expected, rtol=1e-6)
    frozen = run_crossbar(crossbar_netlist(crossbar, voltages=0.2, snapshot=True))
    np.testing.assert_allclose(frozen.row_currents[0], expected, rtol=1e-6)

    netlist = crossbar_netlist(crossbar, [read_pulse(), -2.0, read_pulse()])
    run, timeline = run_crossbar(netlist), netlist.timeline
    time = run.waveforms["time"]
    u = np.interp(time, timeline.times, timeline.columns[0] - timeline.rows[0])
    mine = cells.copy()
    for i in range(1, len(time)):
        mine.wait(time[i] - time[i - 1], CELSIUS_27).apply_voltage(np.float32(u[i]))
    assert run.cells.traps.step_number == mine.traps.step_number == len(time) + 1
    names = ("traps_occupied", "traps_initial", "traps_drawn")
    theirs, ours = (x.traps.storage(x.engine_instance) for x in (run.cells, mine))
    for name in names:
        np.testing.assert_array_equal(theirs[name], ours[name])
    np.testing.assert_allclose(run.cells.r, mine.r, rtol=0.0, atol=5e-6)
    # And on from there: the same steps, the same cells.
    np.testing.assert_allclose(run.cells.wait(1e5).r, mine.wait(1e5).r, rtol=0.0, atol=5e-6)


def test_a_state_that_is_set_is_seen(model):
    cells = sf.CellArray(model, 3, seed=1).apply_voltage(-2.0).wait(1e3)
    state = get_state(cells)
    state["r"] = state["r"] + np.float32(0.01)
    np.testing.assert_array_equal(with_state(cells, state).r, state["r"])


# ---- Verilog-A ----------------------------------------------------------------------------------


def test_the_noise_table_is_the_spectrum_of_the_model():
    parts = traps()
    table = noise_table(parts)
    between = np.sqrt(table[1:, 0] * table[:-1, 0])
    interpolated = np.interp(between, table[:, 0], table[:, 1])
    g = 50e-6
    expected = parts.spectral_density(between, g) / parts.amplitude_at(g) ** 2
    np.testing.assert_allclose(interpolated, expected, rtol=0.05)
    text = to_veriloga(model_with_traps())
    inside = re.search(r"noise_table\('\{(.*?)\}", text, re.DOTALL)[1]
    written = np.array([float(x) for x in inside.split(",")]).reshape(-1, 2)
    np.testing.assert_allclose(written, table, rtol=1e-5)


@pytest.mark.skipif(not EVAS.is_file(), reason="evas-sim is not installed")
def test_the_strict_checker_accepts_a_module_with_traps(tmp_path, model):
    file = Path(tmp_path / "cell.va")
    file.write_text(to_veriloga(model))
    done = subprocess.run(
        [EVAS, "lint", "--spectre-strict", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
