"""Symbols and schematics for xschem: their syntax, and the netlist that xschem makes of them."""

import re
import shutil
import subprocess

import pytest

import synfab as sf
from synfab.circuit import export_xschem, run_ngspice
from synfab.common.errors import InvalidValueError

# Objects of the documented file format: letter, number of coordinates, and texts before them.
NUMBERS = {"L": 5, "B": 5, "N": 4, "T": 6, "C": 4}
LEADING = ("T", "C")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_xschem("published", tmp_path_factory.mktemp("schematics") / "new")


def objects(path):
    """Return (letter, leading text, numbers, attributes) of all objects of a file."""
    text = path.read_text()
    found, position = [], 0

    def braced():
        nonlocal position
        position = text.index("{", position)
        depth, start = 0, position
        while True:
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
            if depth == 0:
                return text[start + 1 : position - 1]

    while position < len(text.rstrip()):
        letter = text[position]
        leading = braced() if letter in LEADING else ""
        end = text.index("{", position)
        position += letter not in LEADING
        numbers = [float(word) for word in text[position:end].split()]
        found.append((letter, leading, numbers, braced()))
        assert text[position] == "\n"
        position += 1
    return found


@pytest.mark.parametrize(
    "name", ["synfab_cell.sym", "synfab_1t1r.sym", "synfab_1t1r.sch", "synfab_testbench.sch"]
)
def test_every_file_has_the_syntax_of_xschem(folder, name):
    found = objects(folder / name)
    assert [letter for letter, *_ in found[:5]] == ["v", "G", "V", "S", "E"]
    for letter, _, numbers, _ in found[5:]:
        assert len(numbers) == NUMBERS[letter]
    assert "$" not in (folder / name).read_text()


@pytest.mark.parametrize(
    ("name", "pins"), [("synfab_cell.sym", ["p", "m"]), ("synfab_1t1r.sym", ["bl", "wl", "sl"])]
)
def test_a_symbol_has_its_pins_in_the_order_of_its_device(folder, name, pins):
    found = objects(folder / name)
    named = [re.search(r"name=(\w+)", a)[1] for letter, _, _, a in found if letter == "B"]
    assert named == pins
    properties = found[1][3]
    template = properties.split('template="')[1]
    for word in re.findall(r"@(\w+)", properties.split('format="')[1].split('"')[0]):
        assert word in ("pinlist", "symname") or f"{word}=" in template


def test_the_schematic_connects_every_pin_of_its_symbol(folder):
    """Wires end at pins of the cell (30 above and below), the transistor and the labels."""
    found = objects(folder / "synfab_1t1r.sch")
    ports = [re.search(r"lab=(\w+)", a)[1] for _, name, _, a in found if "pin.sym" in name]
    assert {"bl", "wl", "sl"} <= set(ports)
    ends = {(x, y) for letter, _, n, _ in found if letter == "N" for x, y in (n[:2], n[2:])}
    placed = {name: n[:2] for letter, name, n, _ in found if letter == "C"}
    x, y = placed["synfab_cell.sym"]
    assert {(x, y - 30), (x, y + 30)} <= ends
    x, y = placed["devices/nmos4.sym"]
    assert {(x + 20, y - 30), (x - 20, y), (x + 20, y + 30)} <= ends


def test_xschem_netlists_the_test_bench_and_ngspice_runs_it(folder, ngspice):
    if shutil.which("xschem") is None:
        pytest.skip("xschem is not installed")
    done = subprocess.run(
        ["xschem", "-n", "-s", "-q", "-x", "-r", "synfab_testbench.sch"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    netlist = folder / "synfab_testbench.spice"
    assert netlist.is_file(), done.stderr
    text = netlist.read_text()
    assert "MISSING" not in text
    assert re.search(r"^N1 bl between memory cell='cell'\s*$", text, re.MULTILINE)
    assert re.search(r"^x1 bl wl sl synfab_1t1r cell=42", text, re.MULTILINE)
    (waves,) = run_ngspice(netlist)
    after_set, after_reset = -waves.at("i(vbl)", [140e-9, 330e-9])
    # The cell of Python, in series with the transistor, whose resistance is below 1 kilo-ohm.
    cells = sf.CellArray("published", (43,), seed=7).apply_voltage(-1.6)
    alone = cells.read(0.2)[42]
    assert 0.8 * alone < after_set < alone
    assert 0.0 < after_reset < 0.3 * after_set


def test_the_device_of_another_name_is_that_of_the_test_bench(tmp_path):
    export_xschem("published", tmp_path, order=1, name="my_cell")
    assert ".model memory my_cell seed=7" in (tmp_path / "synfab_testbench.sch").read_text()
    assert b"my_cell" in (tmp_path / "synfab_cell.osdi").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "words"), [({"name": "my cell"}, "name: expected letters"), ({"order": 99}, "order")]
)
def test_a_wrong_argument_leaves_nothing(tmp_path, wrong, words):
    with pytest.raises(InvalidValueError, match=words):
        export_xschem("published", tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()
