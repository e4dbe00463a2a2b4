"""Netlists as text, pulse programs, the doctor and the commands."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from optional_models import models
from trap_models import model_with_traps

import synfab as sf
from synfab.cells.state import get_state, with_state
from synfab.circuit import Pulse, crossbar_netlist, provide, read_pulse
from synfab.circuit.dialects.base import corners
from synfab.common.errors import InvalidTypeError, InvalidValueError, ToolError
from synfab.crossbar import Selector, Transistor
from synfab.pulses.timeline import as_pulses, lay_out

OPTIONS = (
    {"engine": "numba"},
    {"engine": "array"},
    {"arrays": "torch"},
    {"arrays": "jax"},
    {"history": "compact"},
)
EVERY_ENGINE = pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            options,
            id=name,
            marks=pytest.mark.skipif(
                name in {"torch", "jax"} and find_spec(name) is None, reason=f"{name} is missing"
            ),
        )
        for options in OPTIONS
        for name in options.values()
    ],
)


@pytest.fixture
def cells():
    return sf.CellArray("published", (3, 4), seed=2**40 + 9, first_cell=2**32 - 2)


def ideal(cells, **options):
    """A crossbar whose lines have no resistance."""
    return sf.Crossbar(cells, 0.0, **options)


# ---- pulses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("ground", (1.0, 0.0, 1.0, 0.0)),
        ("V/2", (1.0, 0.5, 0.5, 0.0)),
        ("V/3", (1.0, 1 / 3, 1 / 3, -1 / 3)),
    ],
)
def test_what_each_cell_sees_in_a_scheme(scheme, expected):
    """Selected, on the selected row, on the selected column, elsewhere."""
    line = lay_out([Pulse(-1.2, rows=[1], columns=[2], scheme=scheme)], (3, 4))
    top = np.searchsorted(line.times, line.samples[0])
    seen = line.columns[None, :, top] - line.rows[:, None, top]
    found = (seen[1, 2], seen[1, 0], seen[0, 2], seen[0, 0])
    if scheme == "ground":  # unselected rows are at 0 V as well: the column disturbs
        expected = (1.0, 0.0, 1.0, 0.0)
    np.testing.assert_allclose(found, np.array(expected) * -1.2)
    assert (line.columns[:, [0, -1]] == 0).all()
    assert line.stop == line.times[-1]


def test_a_floating_line_is_let_go_during_the_pulse_only():
    line = lay_out([Pulse(1.0, rows=[0], columns=[0], scheme="floating")], (2, 2))
    assert line.held_columns[0].all()
    assert line.held_rows[0].all()
    assert line.held_columns[1, [0, -1]].all()
    assert not line.held_columns[1, 1:-1].any()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Pulse(np.nan), "voltage"),
        (lambda: Pulse(1.0, scheme="V/4"), "scheme: expected one of V/2, V/3, floating, ground"),
        (lambda: Pulse(1.0, rise=0.0), "rise: expected 1e-15"),
        (lambda: as_pulses([]), "program: expected 1"),
        (lambda: as_pulses("1 2"), "program: cannot be parsed"),
        (lambda: as_pulses(["x"]), "program"),
        (lambda: lay_out([Pulse(1.0, rows=[3])], (3, 4)), "rows: expected line numbers 0 … 2"),
        (lambda: lay_out([Pulse(1.0, columns=[0.5])], (3, 4)), "columns"),
    ],
)
def test_wrong_pulses_are_named(make, match):
    with pytest.raises((InvalidValueError, InvalidTypeError), match=match):
        make()


# ---- text ---------------------------------------------------------------------------------------


def test_instances_carry_the_identity_of_their_cells(cells):
    text = crossbar_netlist(ideal(cells), "-2, 0.2").text
    assert f".model memory synfab_published seed=9 seed_high={2**8}\n" in text
    lines = [line for line in text.splitlines() if line.startswith("N")]
    assert lines[0] == f"N0_0 c0 r0 memory cell={2**32 - 2}"
    assert lines[2] == "N0_2 c2 r0 memory cell=0 cell_high=1"
    assert "event_tolerance" not in text
    assert " event_tolerance=0\n" in crossbar_netlist(ideal(cells), "-2", event_tolerance=0).text


def spectre_instances(cells):
    """Head and parameters of each instance in a Spectre netlist."""
    text = crossbar_netlist(ideal(cells), "-2", dialect="spectre").text.replace(" \\\n   ", "")
    for line in text.splitlines():
        if line.startswith("N"):
            head, *pairs = line.split(" synfab_")[0], *line.split(" synfab_")[1].split()[1:]
            yield head, {key: float(x) for key, x in (pair.split("=") for pair in pairs)}


def test_spectre_instances_are_the_cells_of_the_array_in_their_state(cells):
    for u in (-2.0, 1.0, -2.0, [[1.0, 1.0, 0.0, 1.0]] * 3):
        cells.apply_voltage(np.broadcast_to(u, cells.shape))
    state = get_state(cells)
    for index, (head, given) in enumerate(spectre_instances(cells)):
        i, j = divmod(index, 4)
        assert head == f"N{i}_{j} (c{j} r{i})"
        assert given["seed"] + 2**32 * given["seed_high"] == cells.seed
        assert given["number"] + 2**32 * given.get("number_high", 0) == cells.first_cell + index
        assert given.get("cycle0", 0) == cells.cycle[i, j]
        assert np.float32(given["r0"]) == cells.r[i, j]
        assert given.get("phase0", 0) == state["phase"][i, j]
        if state["phase"][i, j] == 2:
            assert np.float32(given["threshold0"]) == state["threshold"][i, j]
            assert np.float32(given["steepness0"]) == state["steepness"][i, j]
    assert {*state["phase"].flat} >= {1, 2}


def test_a_fresh_spectre_instance_needs_only_its_identity():
    instances = spectre_instances(sf.CellArray("published", (1, 2), seed=5))
    assert [given for _, given in instances] == [{"seed": 5, "number": k} for k in range(2)]


def test_spectre_instances_with_traps_start_in_the_state_that_reads_see():
    cells = sf.CellArray(model_with_traps(), (2, 2), seed=5).apply_voltage(-2.0).wait(1.0)
    fresh = sf.CellArray(model_with_traps(), (2, 2), seed=5).wait(1.0)
    for array in (cells, fresh):
        seen = array.r.reshape(-1)
        for k, (_, given) in enumerate(spectre_instances(array)):
            assert np.float32(given["r0"]) == seen[k]
            assert "occupied0" not in given


def test_a_given_cycle_beyond_the_life_of_a_cell_is_the_last_one():
    model = models()["failure"]
    cells, younger = (sf.CellArray(model, 50, seed=5, order=1) for _ in range(2))
    for u in [-3.1, 1.7] * 60:
        cells.apply_voltage(u)
    state = get_state(cells)
    after = with_state(younger, {**state, "cycle": np.full(50, 60)})
    np.testing.assert_array_equal(after.cycle, cells.cycle)
    assert (after.cycle < 60).any()
    for name in ("r", "phase"):
        np.testing.assert_array_equal(get_state(after)[name], state[name])


def test_a_cell_that_was_reset_carries_its_cycle_and_its_state():
    cells = sf.CellArray("published", (1, 1), seed=5).apply_voltage(-2.0).apply_voltage(1.6)
    text = crossbar_netlist(ideal(cells), "-2").text
    (line,) = [line for line in text.splitlines() if line.startswith("N")]
    given = dict(pair.split("=") for pair in line.split() if "=" in pair)
    assert given.keys() == {"cell", "cycle0", "r0"}
    assert given["cycle0"] == "1"
    assert np.float32(given["r0"]) == cells.r[0, 0]


@pytest.mark.parametrize(
    ("dialect", "resistances", "expected"),
    [
        (
            "ngspice",
            (1e3, 1e9),
            ["S2_3 m2_3 r2 g2 0 access", "sw vt=0.5 vh=0 ron=1000 roff=1000000000\n"],
        ),
        (
            "ngspice",
            (),
            ["M2_3 m2_3 g2 r2 0 select", ".model select nmos level=1 vto=0.5"],
        ),
        ("spectre", (0.0,), ["S2_3 (m2_3 r2 g2 0) access", "ropen=1000000000000 rclosed=0.001\n"]),
        ("spectre", (), ["M2_3 (m2_3 g2 r2 0) select", "mos1 type=n vto=0.5 kp=0.0004"]),
    ],
)
def test_access_devices_stand_between_cell_and_row_at_the_row_s_gate(
    cells, dialect, resistances, expected
):
    crossbar = ideal(cells, access=Transistor(*resistances))
    mosfet = resistances == ()
    text = crossbar_netlist(crossbar, "-2", mosfet=mosfet, dialect=dialect).text
    for part in expected:
        assert part in text


@pytest.mark.parametrize("lines", [{"rows": [0]}, {"columns": [0]}])
def test_floating_lines_bring_the_model_of_their_switches(cells, lines):
    pulse = Pulse(-1.0, scheme="floating", **lines)
    assert ".model access sw" in crossbar_netlist(ideal(cells), [pulse]).text
    held = Pulse(-1.0, scheme="ground", **lines)
    assert ".model access sw" not in crossbar_netlist(ideal(cells), [held]).text


@pytest.mark.parametrize(
    ("dialect", "longest", "expected"),
    [
        ("ngspice", None, ".tran 2e-09 8e-08 0 2e-09\n"),
        ("ngspice", 1e-9, ".tran 1e-09 8e-08 0 1e-09\n"),
        ("ngspice", 5e-9, ".tran 2e-09 8e-08 0 5e-09\n"),
        ("spectre", 5e-9, "program tran stop=8e-08 step=2e-09 maxstep=5e-09\n"),
    ],
)
def test_steps_are_short_beside_pulses_unless_told_otherwise(cells, dialect, longest, expected):
    text = crossbar_netlist(ideal(cells), "-2", dialect=dialect, longest_step=longest).text
    assert text.endswith(expected)


def test_a_drive_keeps_the_corners_that_shape_it():
    times = np.arange(8.0)
    levels = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    kept = ["0 0", "2 0", "3 1", "5 1", "6 0", "7 0"]
    assert list(corners(times, levels)) == kept


@pytest.mark.parametrize("dialect", ["ngspice", "spectre"])
def test_a_large_netlist_has_short_lines_and_every_cell_once(dialect):
    cells = sf.CellArray("published", (256, 256), seed=1).apply_voltage(-2.0).apply_voltage(1.1)
    netlist = crossbar_netlist(sf.Crossbar(cells, 2.0), "-2, 1.2, 0.2", dialect=dialect)
    lines = netlist.text.splitlines()
    assert max(map(len, lines)) < 250
    assert sum(line.startswith("N") for line in lines) == 256**2
    assert sum(line.startswith("R") for line in lines) == 2 * 256**2
    assert len(netlist.text) < 80e6
    names = [line.split()[0] for line in lines if line[0] in "NRV"]
    assert len(set(names)) == len(names)


def test_wires_have_a_segment_before_each_crosspoint_and_named_ends(cells):
    text = crossbar_netlist(
        sf.Crossbar(cells, (2.0, 3.0), source_resistance=10.0, sense_resistance=20.0)
    ).text
    assert "Rc1t dc1 c1_0 13\n" in text
    assert "Rr2l dr2 r2_0 22\n" in text
    assert "Rc1_0 c1_0 c1_1 3\n" in text
    assert "Rr1_2 r1_2 r1_3 2\n" in text
    both = crossbar_netlist(sf.Crossbar(cells, 2.0, drive="both", sense="right")).text
    assert "Rc1b dc1 c1_2 2\n" in both
    assert "Rr2r dr2 r2_3 2\n" in both
    assert "Rr2l" not in both


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dialect": "qspice"}, "dialect: expected one of ngspice, spectre,"),
        ({"mosfet": True}, "mosfet: expected False, the crossbar has no transistors"),
        ({"voltages": np.ones(3)}, r"voltages: expected shape \(4,\)"),
        ({"voltages": np.nan}, "voltages: expected finite"),
        ({"device": "1x"}, "device: expected letters"),
        ({"snapshot": True, "dialect": "spectre"}, "snapshot: expected dialect"),
        ({"program": "1", "longest_step": 0.0}, "longest_step: expected above 0"),
        ({"event_tolerance": -1.0}, "event_tolerance: expected at least 0"),
    ],
)
def test_wrong_arguments_are_named(cells, options, match):
    with pytest.raises(InvalidValueError, match=match):
        crossbar_netlist(ideal(cells), **options)


def test_a_read_beyond_the_trained_range_warns_and_a_full_reset_does_not(cells):
    with pytest.warns(UserWarning, match="1 read voltages between 1.5 and 1.5 V lie outside"):
        crossbar_netlist(ideal(cells), [read_pulse(1.5)])
    crossbar_netlist(ideal(cells), [-2.0, 1.6, read_pulse(0.2)])


def test_anything_but_a_crossbar_is_refused():
    with pytest.raises(InvalidTypeError, match="crossbar: expected a Crossbar, found an array"):
        crossbar_netlist(np.ones((2, 2)))


def test_a_circuit_gives_the_netlist_of_its_crossbar(cells):
    crossbar = sf.Crossbar(cells, 2.0)
    assert crossbar_netlist(crossbar.circuit).text == crossbar_netlist(crossbar).text


# ---- access devices and defects -----------------------------------------------------------------


def test_floating_lines_have_switches_of_their_own_beside_transistors(cells):
    crossbar = ideal(cells, access=Transistor(1e3))
    pulse = Pulse(-1.0, rows=[0], columns=[0], scheme="floating")
    text = crossbar_netlist(crossbar, [pulse]).text
    assert "Sfc1 sc1 c1 hc1 0 line\n" in text
    assert ".model line sw vt=0.5 vh=0 ron=1 roff=1000000000000\n" in text
    assert ".model access sw vt=0.5 vh=0 ron=1000 roff=1000000000000\n" in text


def test_gate_lines_along_columns_are_on_for_selected_columns(cells):
    crossbar = ideal(cells, access=Transistor(1e3, gates="columns"))
    text = crossbar_netlist(crossbar, [Pulse(-1.0, rows=[0], columns=[3])]).text
    gates = [line for line in text.splitlines() if line.startswith("Vg")]
    assert [line.split()[3:] == ["0"] for line in gates] == [True, True, True, False]
    assert "S2_3 m2_3 r2 g3 0 access\n" in text


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("ngspice", "Bs2_3 m2_3 r2 I=1e-08*sinh(V(m2_3,r2)/0.05)\n"),
        ("spectre", "Bs2_3 (m2_3 r2) bsource i=1e-08*sinh(v(m2_3,r2)/0.05)\n"),
    ],
)
def test_a_selector_is_a_source_in_series_with_its_cell(cells, dialect, expected):
    crossbar = ideal(cells, access=Selector(1e-8, 0.05))
    assert expected in crossbar_netlist(crossbar, dialect=dialect).text


def test_an_open_cell_is_left_out_and_a_shorted_one_is_a_resistor(cells):
    open_, shorted = np.zeros((2, 3, 4), bool)
    open_[0, 1], shorted[2, 3] = True, True
    crossbar = ideal(cells, access=Transistor(), open_cells=open_, shorted_cells=shorted,
        short_resistance=50.0,
    )  # fmt: skip
    text = crossbar_netlist(crossbar).text
    assert "m0_1" not in text
    assert "Rx2_3 c3 m2_3 50\n" in text
    assert "N2_3" not in text
    assert sum(line.startswith("N") for line in text.splitlines()) == 10


# ---- engines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["ngspice", "spectre"])
@pytest.mark.parametrize("snapshot", [False, True])
@EVERY_ENGINE
def test_cells_of_every_engine_have_netlists(options, snapshot, dialect):
    """Engines differ in last bits of the states; "compact" draws another history."""
    if snapshot and dialect == "spectre":
        pytest.skip("Spectre has no snapshots")
    texts = []
    for given in ({}, options):
        cells = sf.CellArray("published", (3, 4), seed=7, **given)
        cells.apply_voltage(-2.0).apply_voltage(1.0)
        crossbar = sf.Crossbar(cells, 2.0, access=Transistor())
        netlist = crossbar_netlist(crossbar, "-2, 0.2", snapshot=snapshot, dialect=dialect)
        texts.append(netlist.text.replace(repr(cells), ""))
    names, numbers = zip(*(split_numbers(text) for text in texts), strict=True)
    assert names[0] == names[1]
    if options != {"history": "compact"}:
        np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-3, atol=1e-6)


def split_numbers(text):
    """What is between the numbers of a text, and the numbers."""
    parts = re.split(
        r"(?<![\w.])([-+]?\d+\.?\d*(?:e[-+]?\d+)?)(?!\w)",
        " ".join(text.replace("\\\n", "").split()),
    )
    return parts[::2], [float(number) for number in parts[1::2]]


# ---- the former call ----------------------------------------------------------------------------


@pytest.mark.parametrize(("access", "mosfet"), [("switch", False), ("transistor", True)])
def test_the_former_call_gives_the_same_text_for_one_more_release(cells, access, mosfet):
    with pytest.warns(DeprecationWarning, match="pass it"):
        former = crossbar_netlist(cells, "-2", wire_resistance=2.0, drive="both", access=access)
    crossbar = sf.Crossbar(cells, 2.0, drive="both", access=Transistor(1.0, 1e12))
    assert former.text == crossbar_netlist(crossbar, "-2", mosfet=mosfet).text
    with pytest.warns(DeprecationWarning, match="pass it"):
        assert "wires" not in crossbar_netlist(cells=cells).text
    with (
        pytest.warns(DeprecationWarning, match="pass it"),
        pytest.raises(InvalidValueError, match="access: expected one of switch, transistor"),
    ):
        crossbar_netlist(cells, access="diode")


# ---- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [1.2, -2.0])
@EVERY_ENGINE
def test_a_state_can_be_left_and_taken_up_again(options, last):
    cells = sf.CellArray("published", 50, seed=3, **options)
    later = cells.copy()
    for u in (-2.0, 1.1, -0.7, 1.6, -2.0, last):
        later.apply_voltage(u)
    again = with_state(cells, get_state(later))
    for u in (0.3, -0.6, 0.9, -2.0, 1.3):
        later.apply_voltage(u)
        again.apply_voltage(u)
    np.testing.assert_array_equal(again.cycle, later.cycle)
    np.testing.assert_array_equal(again.r, later.r)
    with pytest.raises(InvalidValueError, match="cycle: expected no number before"):
        with_state(later, get_state(cells))
    with pytest.raises(InvalidValueError, match="r: expected finite numbers of shape"):
        with_state(cells, get_state(later) | {"r": np.ones(3)})


# ---- commands -----------------------------------------------------------------------------------


def synfab(*arguments, **environment):
    return subprocess.run(
        [Path(sys.executable).with_name("synfab"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_export_writes_each_kind(tmp_path):
    for kind, name in (("osdi", "a.osdi"), ("veriloga", "a.va"), ("netlist", "a.cir")):
        done = synfab("export", kind, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).stat().st_size > 1000
    assert synfab("export", "osdi", "--source", "-o", tmp_path / "a.c").returncode == 0
    assert "OSDI_DESCRIPTORS" in (tmp_path / "a.c").read_text()
    chip = tmp_path / "chip.npz"
    sf.CellArray("published", (2, 3), seed=1).save(chip)
    done = synfab("export", "netlist", "--array", chip, "--program", "-2", "-o", tmp_path / "b.cir")
    assert "2 x 3 cells" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("osdi", "nothing.json", "-o", "x.osdi"), "nothing.json"),
        (("osdi", "-o", "/nowhere/x.osdi"), "path: cannot write /nowhere/x.osdi"),
        (("osdi", "-o", "x.osdi", "--order", "40"), "order"),
        (("veriloga", "-o", "x.va", "--name", "7"), "name: expected letters"),
        (("netlist", "-o", "x.cir", "--access", "diode"), "access: expected"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = synfab("export", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_doctor_names_what_is_missing_and_what_mends_it(tmp_path):
    shutil.copy("/bin/sh", tmp_path / "sh")  # a machine without compiler and simulator
    done = synfab("doctor", "--json", PATH=str(tmp_path), SYNFAB_CACHE=str(tmp_path), CC="")
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert findings["published model"]["good"]
    assert not findings["C compiler"]["good"]
    assert "apt install gcc" in findings["C compiler"]["fix"]
    assert not findings["ngspice with OSDI"]["good"]
    assert findings["ngspice with OSDI"]["fix"]
    plain = synfab("doctor", PATH=str(tmp_path), SYNFAB_CACHE=str(tmp_path), CC="")
    assert "missing  C compiler" in plain.stdout
    assert plain.returncode == 0


def test_elsewhere_than_on_debian_the_download_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNFAB_CACHE", str(tmp_path))
    monkeypatch.setattr(provide.shutil, "which", lambda tool: None)
    with pytest.raises(ToolError, match="apt-get is not there"):
        provide.provide_ngspice()
    assert not list(tmp_path.iterdir())
