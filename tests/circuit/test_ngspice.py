"""The compiled cells in ngspice itself, beside the array."""

import signal
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from optional_models import models

import synfab as sf
from synfab.cells.state import get_state
from synfab.circuit import (
    Pulse,
    build_osdi,
    crossbar_netlist,
    read_pulse,
    run_crossbar,
    run_ngspice,
    to_osdi_source,
)
from synfab.circuit.ngspice import seconds
from synfab.circuit.ngspice_search import find_ngspice, loads_osdi
from synfab.common.errors import InvalidTypeError, InvalidValueError, SolverError, ToolError
from synfab.crossbar import Selector, Transistor

CELLS, CYCLES, SEED = 64, 20, 7
READ = 0.2
PULSES = [u for c in range(CYCLES) for u in (-2.0, READ, (1.0, 1.6, 1.2)[c % 3], READ)]
STEP = 3.2e-7  # s, from pulse to pulse
NAMES = ("cycle", "r_hrs", "u_set", "r_lrs", "u_reset", "phase")


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "Cell One.osdi")


def deck(ohm, analyses, options=""):
    """Every cell by itself on one drive, through a resistor or none."""
    lines = ["cells on one drive"]
    for k in range(CELLS):
        top = f"t{k}" if ohm else "d"
        lines += [f"N{k} {top} b{k} mem cell={k}", f"V{k} b{k} 0 0"]
        if ohm:
            lines.append(f"R{k} d {top} {ohm}")
    corners = []
    for n, u in enumerate(PULSES):
        t = n * STEP
        corners += [(t + 1e-8, 0), (t + 1.1e-7, u), (t + 2.1e-7, u), (t + 3.1e-7, 0)]
    points = [f"+ {t:.9g} {u:g}" for t, u in corners]
    lines += ["Vd d 0 PWL( 0 0", *points, "+ )"]
    lines += [f".model mem synfab_published seed={SEED} {options}", analyses]
    saved = [f"i(V{k})" for k in range(CELLS)]
    saved += ["v(d)"]
    saved += [f"@n{k}[{name}]" for k in range(CELLS) for name in NAMES]
    lines += [f".save {name}" for name in saved]
    return "\n".join(lines) + "\n"


def ideal(cells, **options):
    """A crossbar whose lines have no resistance."""
    return sf.Crossbar(cells, 0.0, **options)


TRANSIENT = f".tran 2e-8 {len(PULSES) * STEP:.9g}"


def reads(waveforms):
    """Currents at the end of each reading pulse, (reads, cells)."""
    times = np.array([n * STEP + 2.05e-7 for n, u in enumerate(PULSES) if u == READ])
    return np.stack([waveforms.at(f"i(v{k})", times) for k in range(CELLS)], axis=1)


def at_the_end(waveforms):
    return {n: np.array([waveforms[f"@n{k}[{n}]"][-1] for k in range(CELLS)]) for n in NAMES}


def life_alone(rounds=1):
    """The array's currents at the reads, and the array."""
    cells = sf.CellArray("published", CELLS, seed=SEED)
    currents = []
    for u in PULSES * rounds:
        cells.apply_voltage(u)
        if u == READ:
            currents.append(cells.current(READ))
    return np.array(currents), cells


@cache
def life_in_series(ohm):
    """Pulses through a resistor: small steps of the source, at each until nothing moves."""
    cells = sf.CellArray("published", CELLS, seed=SEED)
    conduction = cells.model.conduction

    def voltage(source):
        r, u = cells.r.astype(np.float64), np.full(CELLS, 0.9 * source)
        for _ in range(7):
            residual = u + ohm * conduction.current(r, u) - source
            u = u - residual / (1.0 + ohm * conduction.slope(r, u))
        return u

    currents = []
    for pulse in PULSES:
        for source in np.linspace(0.0, pulse, 40):
            for _ in range(60):
                before = cells.r
                cells.apply_voltage(voltage(source).astype(np.float32))
                if (cells.r == before).all():
                    break
        if pulse == READ:
            currents.append(conduction.current(cells.r.astype(np.float64), voltage(READ)))
    return np.array(currents), cells


def same_cells(found, currents, expected, cells):
    """Currents within 1e-8 A, features within the bound of float32, the same switching."""
    np.testing.assert_allclose(currents, expected, rtol=0.0, atol=1e-8)
    np.testing.assert_array_equal(found["cycle"], cells.cycle)
    np.testing.assert_array_equal(found["phase"], get_state(cells)["phase"])
    for name in sf.FEATURES:
        np.testing.assert_allclose(found[name], cells.features[name], rtol=3e-5)


@pytest.mark.parametrize("ohm", [0, 1000])
def test_twenty_cycles_of_64_cells_are_those_of_the_array(device, ohm):
    (wave,) = run_ngspice(deck(ohm, TRANSIENT), osdi=device)
    expected, cells = life_in_series(ohm) if ohm else life_alone()
    same_cells(at_the_end(wave), reads(wave), expected, cells)
    assert wave.units["i(v0)"] == "A"
    assert wave.units["time"] == "s"


def test_a_cell_in_a_subcircuit_takes_its_number_from_an_expression(device):
    text = """two cells by their numbers
.model memory synfab_published seed={1 + 6}
.subckt bit top bottom number=0
N1 top bottom memory cell={number} cycle0={3 * 7} phase0={2 - 1}
.ends
V1 a 0 0.2
X1 a 0 bit number=3
V2 b 0 0.2
X2 b 0 bit number=4294967297
N3 c 0 memory cell=3 cycle0=21 phase0=1
V3 c 0 0.2
N4 d 0 memory cell=1 cell_high=1 cycle0=21 phase0=1
V4 d 0 0.2
.op
"""
    (point,) = run_ngspice(text, osdi=device)
    assert point["i(v1)"] == point["i(v3)"] != point["i(v4)"] == point["i(v2)"]


def test_the_end_of_a_transient_is_known_to_the_progress_bar():
    ends = ("4e-7", "400n", "0.4us", "400ns", "{stop}", "1..2n")
    assert [seconds(text) for text in ends] == [*[pytest.approx(4e-7)] * 4, None, None]


def test_rejected_steps_change_nothing(device):
    """Thresholds located within 1 mV: ngspice rejects many steps, the cells do not mind."""
    (coarse,) = run_ngspice(deck(0, TRANSIENT, "event_tolerance=0"), osdi=device)
    (fine,) = run_ngspice(deck(0, TRANSIENT, "event_tolerance=1e-3"), osdi=device)
    assert len(fine["time"]) > 1.5 * len(coarse["time"])
    expected, cells = life_alone()
    for wave in (coarse, fine):
        same_cells(at_the_end(wave), reads(wave), expected, cells)


def switched_too_early(wave):
    """How many SETs came before an accepted time point had reached the cell's SET voltage."""
    early = 0
    for k in range(CELLS):
        phase, u_set = wave[f"@n{k}[phase]"], wave[f"@n{k}[u_set]"]
        sets = np.flatnonzero((phase[1:] == 1) & (phase[:-1] == 0))
        early += int((wave["v(d)"][sets] > u_set[sets]).sum())
    return early


def test_without_the_commit_rule_rejected_steps_corrupt_the_cells(device, tmp_path):
    rule = "if (device->pending && time > device->time)"
    source = to_osdi_source("published")
    assert rule in source
    naive = source.replace(rule, "if (device->pending && time != device->time)")
    (tmp_path / "naive.c").write_text(naive)
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared"]
    subprocess.run(
        ["cc", *flags, tmp_path / "naive.c", "-o", tmp_path / "naive.osdi", "-lm"], check=True
    )
    text = deck(0, TRANSIENT, "event_tolerance=1e-3")
    (right,) = run_ngspice(text, osdi=device)
    (wrong,) = run_ngspice(text, osdi=tmp_path / "naive.osdi")
    assert switched_too_early(right) == 0
    assert switched_too_early(wrong) > 10


def test_two_transients_with_an_operating_point_between_are_one_life(device):
    first, frozen, second = run_ngspice(deck(0, f"{TRANSIENT}\n.op\n{TRANSIENT}"), osdi=device)
    expected, cells = life_alone(rounds=2)
    half = len(expected) // 2
    np.testing.assert_allclose(reads(first), expected[:half], rtol=0.0, atol=1e-8)
    assert frozen.analysis == "Operating Point"
    same_cells(at_the_end(second), reads(second), expected[half:], cells)


@pytest.mark.slow
def test_statistics_in_the_circuit_are_those_of_the_published_package(device):
    """1,000 cells x 100 cycles in ngspice: device means, last cycles and the lag-1 memory."""
    import synaptogen.synaptogen as oracle
    from scipy.stats import ks_2samp

    count, cycles = 1000, 100
    period = 1e-7
    corners = [
        f"+ {c * period + t:.9g} {u}"
        for c in range(cycles)
        for t, u in ((0, 0), (1e-8, -2), (2e-8, -2), (3e-8, 0), (5e-8, 1.5), (6e-8, 1.5), (7e-8, 0))
    ]
    lines = ["statistics", *(f"N{k} d 0 mem cell={k}" for k in range(count))]
    lines += [
        "Vd d 0 PWL(",
        *corners,
        "+ )",
        ".model mem synfab_published seed=6 event_tolerance=0",
    ]
    lines += [f".save @n{k}[{name}]" for k in range(count) for name in sf.FEATURES]
    lines += [f".tran 1e-8 {cycles * period:.9g} 0 1e-8"]
    (wave,) = run_ngspice("\n".join(lines) + "\n", osdi=device)
    rows = np.searchsorted(wave["time"], (np.arange(cycles) + 0.95) * period)
    ours = np.array([[wave[f"@n{k}[{name}]"][rows] for k in range(count)] for name in sf.FEATURES])
    ours[0] = np.log10(ours[0])

    oracle.rng = np.random.default_rng(5)
    oracle.randn = lambda *a, **k: oracle.rng.standard_normal(*a, **{"dtype": np.float32, **k})
    oracle.rand = lambda n: oracle.rng.random(n, dtype=np.float32)
    theirs = oracle.CellArrayCPU(4 * count)
    theirs.inHRS[:] = True
    for _ in range(300):
        oracle.applyVoltage(oracle.applyVoltage(theirs, -2.0), 1.5)
    published = np.empty((4, 4 * count, cycles))
    for c in range(cycles):
        oracle.applyVoltage(oracle.applyVoltage(theirs, -2.0), 1.5)
        drawn = oracle.Ψ(theirs.μ, theirs.σ, oracle.Γ(theirs.params.γ, theirs.Xhat[-4:]))
        published[:, :, c] = np.concatenate([np.log10(drawn[:1]), drawn[1:]])
    for f in range(4):
        assert ks_2samp(ours[f].mean(1), published[f].mean(1)).pvalue > 1e-4
        assert ks_2samp(ours[f, :, -1], published[f, :, -1]).pvalue > 1e-4
        memory = [
            np.mean([np.corrcoef(life[:-1], life[1:])[0, 1] for life in lives[f]])
            for lives in (ours, published)
        ]
        assert memory[0] == pytest.approx(memory[1], abs=0.02)


# ---- crossbars ----------------------------------------------------------------------------------


def used_cells(shape, seed=11):
    cells = sf.CellArray("published", shape, seed=seed)
    return cells.apply_voltage(-2.0).apply_voltage(1.1)


def same_state(found, expected):
    found, expected = get_state(found), get_state(expected)
    np.testing.assert_array_equal(found["cycle"], expected["cycle"])
    np.testing.assert_array_equal(found["phase"], expected["phase"])
    np.testing.assert_allclose(found["r"], expected["r"], rtol=0.0, atol=3e-6)
    held = expected["phase"] != 0  # a completely RESET cell has no threshold
    for name in ("threshold", "steepness"):
        np.testing.assert_allclose(found[name][held], expected[name][held], rtol=3e-5, atol=1e-9)


def test_python_to_circuit_to_python(ngspice):
    """A study goes on in the circuit where Python left it, and back."""
    cells = used_cells((6, 9))
    program = [-2.0, 1.0, read_pulse(), -2.0, 1.6, read_pulse(), -1.0, 1.3]
    run = run_crossbar(crossbar_netlist(ideal(cells), program))
    expected, currents = cells.copy(), []
    for pulse in program:
        u = pulse.voltage if isinstance(pulse, Pulse) else pulse
        expected.apply_voltage(u)
        currents.append(expected.current(u).astype(np.float64).sum(axis=1))
    same_state(run.cells, expected)
    np.testing.assert_allclose(run.row_currents, currents, rtol=0.0, atol=9e-8)
    assert (cells.cycle == 1).all()
    again = run.cells.apply_voltage(-2.0).apply_voltage(1.2)
    same_state(again, expected.apply_voltage(-2.0).apply_voltage(1.2))


def test_cells_with_optional_parts_continue_in_the_circuit(ngspice):
    cells = sf.CellArray(models()["every part"], (4, 6), seed=SEED, order=3)
    for u in [-3.1, 1.7] * 20:
        cells.apply_voltage(u)
    program = [-3.1, 1.0, read_pulse(), -3.1, 1.7, read_pulse(), -3.1, 1.3]
    run = run_crossbar(crossbar_netlist(ideal(cells), program))
    expected = cells.copy()
    for pulse in program:
        expected.apply_voltage(pulse.voltage if isinstance(pulse, Pulse) else pulse)
    same_state(run.cells, expected)
    failed = np.isinf(expected.features["u_set"]) | np.isinf(expected.features["u_reset"])
    assert failed.any()
    assert (expected.cycle[~failed] > cells.cycle[~failed]).all()


def test_a_selected_cell_switches_and_the_half_selected_hold(ngspice):
    cells = sf.CellArray("published", (4, 5), seed=3)
    run = run_crossbar(crossbar_netlist(ideal(cells), [Pulse(-1.4, rows=[2], columns=[3])]))
    expected = cells.copy()
    part = np.zeros((4, 5))
    part[2], part[:, 3] = -0.7, -0.7
    part[2, 3] = -1.4
    same_state(run.cells, expected.apply_voltage(part.astype(np.float32)))
    assert run.cells.in_lrs[2, 3]


def test_floating_lines_and_an_access_switch(ngspice):
    cells = sf.CellArray("published", (3, 3), seed=3)
    pulse = Pulse(-1.0, rows=[0], columns=[1], scheme="floating")
    run = run_crossbar(crossbar_netlist(ideal(cells), [pulse]))
    assert run.cells.in_lrs[0, 1]
    assert run.cells.in_lrs.sum() == 1
    gated = ideal(cells, access=Transistor(1.0, 1e12))
    gated = crossbar_netlist(gated, [Pulse(-1.6, rows=[1], scheme="ground")])
    after = run_crossbar(gated).cells
    np.testing.assert_array_equal(after.in_lrs, np.arange(3)[:, None] == [[1, 1, 1]])


def test_an_access_transistor_limits_the_current(ngspice):
    cells = used_cells((2, 2))
    free = run_crossbar(crossbar_netlist(ideal(cells))).row_currents
    gated = run_crossbar(
        crossbar_netlist(ideal(cells, access=Transistor()), mosfet=True)
    ).row_currents
    assert (gated < free).all()
    assert (gated > 0.5 * free).all()


@pytest.mark.parametrize(
    "options",
    [
        {"access": Transistor(2e3)},
        {"access": Transistor(2e3, gates="columns")},
        {"access": Selector(1e-6, 0.1)},
        {"open_cells": np.eye(6, 9, dtype=bool), "shorted_cells": np.eye(6, 9, 1, dtype=bool)},
    ],
    ids=("row gates", "column gates", "selectors", "defects"),
)
@pytest.mark.parametrize("wire", [0.0, 2.5])
def test_access_devices_and_defects_agree_with_our_solver(ngspice, wire, options):
    crossbar = sf.Crossbar(used_cells((6, 9)), wire, **options)
    v = np.linspace(0.1, 0.4, 9)
    run = run_crossbar(crossbar_netlist(crossbar, voltages=v))
    expected = crossbar.read(v, noise=False)
    np.testing.assert_allclose(run.row_currents[0], expected, rtol=1e-5)


def test_defective_cells_keep_their_state_and_the_others_switch(ngspice):
    crossbar = ideal(sf.CellArray("published", (3, 4), seed=3), open_cells=np.eye(3, 4, dtype=bool))
    after = run_crossbar(crossbar_netlist(crossbar, "-2")).cells
    np.testing.assert_array_equal(after.in_lrs, ~np.eye(3, 4, dtype=bool))


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("arrays", ["numpy", "torch", "jax"])
def test_cells_of_another_engine_or_library_come_back_as_such(ngspice, engine, arrays):
    pytest.importorskip(arrays)
    cells = sf.CellArray("published", (2, 3), seed=7, engine=engine, arrays=arrays)
    cells.apply_voltage(-2.0)
    run = run_crossbar(crossbar_netlist(ideal(cells), [1.1, read_pulse()]))
    assert (run.cells.engine, run.cells.arrays) == (engine, arrays)
    same_state(run.cells, cells.copy().apply_voltage(1.1))


@pytest.mark.parametrize("snapshot", [True, False])
def test_reading_through_wires_agrees_with_our_solver(ngspice, snapshot):
    cells = used_cells((32, 32))
    v = np.linspace(0.1, 1.0, 32)
    netlist = crossbar_netlist(sf.Crossbar(cells, 2.5), voltages=v, snapshot=snapshot)
    run = run_crossbar(netlist)
    expected = sf.Crossbar(cells, 2.5).read(v, noise=False)
    np.testing.assert_allclose(run.row_currents[0], expected, rtol=1e-6)


def test_a_snapshot_beyond_the_trained_range_is_ohmic(ngspice):
    cells = used_cells((1, 2))
    for v in (1.8, -1.9):
        with pytest.warns(UserWarning, match=r"outside the trained range -1.5 … 1.46 V"):
            netlist = crossbar_netlist(ideal(cells), voltages=v, snapshot=True)
        expected = cells.current(v).astype(np.float64).sum(axis=1)
        np.testing.assert_allclose(run_crossbar(netlist).row_currents[0], expected, rtol=1e-5)


# ---- what goes wrong ----------------------------------------------------------------------------

BAD = [
    ("R1 a 0 xx\nV1 a 0 1\n.op", ToolError, "model is missing"),
    ("N1 a 0 mem\nV1 a 0 1\n.op", ToolError, "model"),
    ("N1 a 0 mem\nV1 a 0 1\n.model mem synfab_published seed=-1\n.op", InvalidValueError, "seed"),
    ("N1 a 0 mem\nV1 a 0 1\n.model mem nothing\n.op", ToolError, "model"),
    (".include nowhere.cir\nV1 a 0 1\n.op", ToolError, "file is missing"),
    ("V1 a 0 1\nV2 a 0 2\n.op", SolverError, "single solution"),
    ("N1 b c mem\nV1 a 0 1\nR1 a 0 1\n.model mem synfab_published\n.op",
     SolverError, "floating node"),
    ("V1 a 0 1\nR1 a 0 1\n.control\nlet x=1\n.endc", InvalidValueError, "control"),
    ("V1 a 0 1\nR1 a 0 1", InvalidValueError, "expected an analysis"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "match"), BAD)
def test_failures_of_the_simulator_become_clear_errors(device, text, kind, match):
    with pytest.raises(kind, match=match):
        run_ngspice(f"title\n{text}\n", osdi=device)


def test_time_limit_and_kill(device, monkeypatch, tmp_path):
    with pytest.raises(ToolError, match=r"did not end within 0.3 s \(time_limit\)"):
        run_ngspice("t\nV1 a 0 sin(0 1 1e9)\nR1 a 0 1\n.tran 1e-12 1\n", time_limit=0.3)
    killer = tmp_path / "ngspice"
    killer.write_text("#!/bin/sh\nkill -9 $$\n")
    killer.chmod(0o755)
    with pytest.raises(ToolError, match=signal.Signals.SIGKILL.name):
        run_ngspice("t\nV1 a 0 1\nR1 a 0 1\n.op\n", ngspice=killer)
    with pytest.raises(InvalidValueError, match="time_limit"):
        run_ngspice("t\nV1 a 0 1\nR1 a 0 1\n.op\n", time_limit=-1)


def test_no_simulator_or_one_without_osdi_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNFAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SYNFAB_NGSPICE", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ToolError, match="not installed; `synfab doctor`"):
        find_ngspice()
    old = tmp_path / "ngspice" / "ngspice"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'Error: osdi: no such command available in ngspice'\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("SYNFAB_NGSPICE", str(old))
    loads_osdi.cache_clear()
    with pytest.raises(ToolError, match=r"cannot load compiled devices \(OSDI\)"):
        find_ngspice()
    monkeypatch.setenv("SYNFAB_NGSPICE", str(tmp_path / "nothing"))
    with pytest.raises(InvalidValueError, match="SYNFAB_NGSPICE: there is no file"):
        find_ngspice()


def test_a_netlist_file_finds_its_includes_and_the_run_can_be_kept(device, tmp_path):
    (tmp_path / "part.inc").write_text("R1 a 0 2\n")
    (tmp_path / "main.cir").write_text("title\n.include part.inc\nV1 a 0 1\n.op\n.end\n")
    folder = tmp_path / "kept"
    (wave,) = run_ngspice(tmp_path / "main.cir", keep=folder, progress=True)
    assert wave["i(v1)"][0] == pytest.approx(-0.5)
    assert (folder / "deck.cir").is_file()
    with pytest.raises(KeyError, match=r"v\(zz\): not among"):
        wave["v(zz)"]
    with pytest.raises(InvalidValueError, match="cannot read"):
        run_ngspice(Path("nowhere.cir"))
    with pytest.raises(InvalidTypeError, match="netlist"):
        run_ngspice(3)
    with pytest.raises(InvalidValueError, match="osdi: there is no file"):
        run_ngspice("t\nV1 a 0 1\n.op\n", osdi="nothing.osdi")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InvalidValueError, match="keep: cannot create"):
        run_ngspice("t\nV1 a 0 1\n.op\n", keep=blocked / "x")
