"""State of cells in circuits: saved, restored, and to and from arrays, bit for bit."""

import dataclasses

import numpy as np
import pytest
from trap_models import model_with_traps

import synfab as sf
from synfab.cells.state import get_state
from synfab.circuit import CellStates, build_osdi, run_ngspice
from synfab.common.errors import FileFormatError, InvalidValueError, ToolError

SEED = 3 * 2**32 + 7
NAMES = ["n1", "n.x1.n1", "n2"]
CIRCUIT = """three cells, one in a subcircuit, one behind a resistor
V1 a 0 PWL({})
N1 a 0 memory cell=41
X1 a 0 pair
R9 a b 2k
N2 b 0 memory cell=43
.subckt pair p q
N1 p q memory cell=42
.ends
.model memory {} seed=7 seed_high=3
.tran 0.2u {}u 0 0.2u
"""


def program(seed, count=5):
    """Corners of a source in us and V, and their end: SETs, partial RESETs and complete ones."""
    rng = np.random.default_rng(seed)
    levels = np.where(rng.random(count) < 0.4, -1.6, rng.uniform(0.5, 1.5, count))
    corners, time = ["0 0"], 0
    for u in levels:
        corners += [f"{time + 1}u 0", f"{time + 2}u {u:.4f}", f"{time + 3}u {u:.4f}"]
        corners.append(f"{time + 4}u 0")
        time += 5
    return " ".join(corners), time


def one_run(programs, name):
    """A deck with all programs, one transient after another."""
    (first, end), *rest = programs
    commands = [f"tran 0.2u {end}u 0 0.2u"]
    for corners, end in rest:
        commands += [f"alter @V1[pwl] = [ {corners.replace('u', 'e-6')} ]"]
        commands += [f"tran 0.2u {end}u 0 0.2u"]
    circuit = CIRCUIT.format(first, name, 1).rsplit(".tran", 1)[0]
    return circuit + "\n".join([".control", *commands, ".endc", ""])


@pytest.fixture(scope="module", params=["published", "with traps"])
def part(request, ngspice, tmp_path_factory):
    """A model and its device."""
    model = sf.load_model("published") if request.param == "published" else model_with_traps()
    return model, build_osdi(model, tmp_path_factory.mktemp("device") / "cell.osdi")


def test_runs_through_files_and_an_array_equal_one_long_run(part, tmp_path):
    """ngspice, a file, ngspice, an array in Python, ngspice; then back into an array."""
    model, device = part
    name = f"synfab_{model.name.replace(' ', '_')}"
    programs = [program(seed) for seed in (1, 2, 3)]
    one, two, three, long = (tmp_path / f"{k}.csv" for k in range(4))
    run_ngspice(one_run(programs, name), osdi=device, save_states=long)
    decks = [CIRCUIT.format(corners, name, end) for corners, end in programs]
    run_ngspice(decks[0], osdi=device, save_states=one)
    run_ngspice(decks[1], osdi=device, restore=one, save_states=two)
    cells = CellStates.load(two).into(sf.CellArray(model, 3, seed=SEED, first_cell=41))
    between = CellStates.of(cells, names=NAMES)
    run_ngspice(decks[2], osdi=device, restore=between, save_states=three)
    whole, parts = CellStates.load(long), CellStates.load(three)
    assert sorted(parts.names) == sorted(NAMES)
    assert parts.names == whole.names
    phases = parts.parameters["phase0"]
    for key, values in parts.parameters.items():
        matters = phases == 2 if key in ("threshold0", "steepness0") else np.ones(3, bool)
        np.testing.assert_array_equal(values[matters], whole.parameters[key][matters], key)
    assert parts.parameters["cycle0"].max() >= 2
    array = parts.into(cells)
    order = [parts.names.index(n) for n in NAMES]
    assert array.cycle.tolist() == parts.parameters["cycle0"][order].tolist()
    np.testing.assert_array_equal(get_state(array)["r"], parts.parameters["r0"][order])
    if model.traps is not None:
        assert parts.parameters["step0"].min() > 100
        stored = array.traps.storage(array.engine_instance)
        np.testing.assert_array_equal(
            stored["traps_occupied"], parts.parameters["occupied0"][order]
        )


def test_a_pulse_in_python_or_in_the_circuit_leads_to_the_same_state(part, tmp_path):
    model, device = part
    name = f"synfab_{model.name.replace(' ', '_')}"
    cells = sf.CellArray(model, 3, seed=SEED, first_cell=41).apply_voltage(-2.0)
    states = CellStates.of(cells.copy(), names=NAMES)
    deck = CIRCUIT.format("0 0 1u 1.6 2u 1.6 3u 0", name, 3).replace("2k", "1m")
    run_ngspice(deck, osdi=device, restore=states, save_states=tmp_path / "after.csv")
    after = CellStates.load(tmp_path / "after.csv").into(cells)
    cells.apply_voltage(1.6)
    np.testing.assert_allclose(get_state(after)["r"], get_state(cells)["r"], atol=2e-6)
    assert after.cycle.tolist() == cells.cycle.tolist() == [1, 1, 1]
    assert after.in_hrs.all()


def test_a_file_holds_states_without_rounding(tmp_path):
    cells = sf.CellArray("published", (2, 3), seed=2**63 + 5, first_cell=2**40)
    cells.apply_voltage(-2.0).apply_voltage(np.linspace(0.8, 1.4, 6).reshape(2, 3))
    states = CellStates.of(cells)
    assert states.names == ("n0", "n1", "n2", "n3", "n4", "n5")
    loaded = CellStates.load(states.save(tmp_path / "cells.csv"))
    assert loaded.names == states.names
    for key, values in states.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[key], values)
    fresh = sf.CellArray("published", (2, 3), seed=2**63 + 5, first_cell=2**40)
    back = loaded.into(fresh)
    for key, values in get_state(cells).items():
        np.testing.assert_array_equal(get_state(back)[key], values)
    np.testing.assert_array_equal(back.apply_voltage(1.45).r, cells.apply_voltage(1.45).r)


def test_states_go_to_the_cells_with_their_numbers_only():
    cells = sf.CellArray("published", 4, seed=5).apply_voltage(-2.0)
    states = CellStates.of(cells)
    some = CellStates(states.names[1:3], {k: v[1:3] for k, v in states.parameters.items()})
    after = some.into(sf.CellArray("published", 4, seed=5))
    assert after.in_lrs.tolist() == [False, True, True, False]
    with pytest.raises(InvalidValueError, match=r"cells: expected an array of seed 5 with cell 0"):
        states.into(sf.CellArray("published", 4, seed=6))
    with pytest.raises(InvalidValueError, match=r"with cell 3 \(n3\)"):
        states.into(sf.CellArray("published", 3, seed=5))
    with pytest.raises(InvalidValueError, match="cycle: expected no number before"):
        states.into(sf.CellArray("published", 4, seed=5).apply_voltage(-2.0).apply_voltage(1.6))
    with pytest.raises(InvalidValueError, match="names: expected 4 different names, found 1"):
        CellStates.of(cells, names=["n1"] * 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a table of the states"),
        ("name,r0\nn1,0.2\n", "expected a table of the states"),
        ("{head},nonsense\n", "damaged"),
        ("{head}\nn1,1\n", "damaged"),
        ("{head}\nn1,1,0,x,0,0,0,0.2,0,0\n", "damaged"),
        ("{head}\nn1,7,0,42,0,1,1,inf,1.2,0\n", r"r0: expected a finite number, found inf \(n1\)"),
        ("{head}\nn1,,,42,,1,1,0.1,1.2,0\n", "seed: expected an integer from 0 to 900"),
        ("{head}\nn1,7,0,41.9,0,1,1,0.1,1.2,0\n", "cell: expected an integer"),
        ("{head}\nn1,7,0,-1,0,1,1,0.1,1.2,0\n", "cell: expected an integer"),
        ("{head}\nn1,7,0,42,0,1.5,1,0.1,1.2,0\n", "cycle0: expected an integer"),
        ("{head}\nn1,7,0,42,0,1,7,0.1,1.2,0\n", "phase0: expected an integer from 0 to 2"),
        ("{head}\nn1,7,0,42,0,1,1,0.1,1.2,0\nn1,7,0,43,0,1,1,0.1,1.2,0\n", "found n1 twice"),
        ("{head}\n,7,0,42,0,1,1,0.1,1.2,0\n", "names: expected names of cells"),
        ("{head}\nv1,7,0,42,0,1,1,0.1,1.2,0\n", "names: expected names of cells"),
        ("{head}\nn1 n2,7,0,42,0,1,1,0.1,1.2,0\n", "names: expected names of cells"),
    ],
)
def test_another_or_a_damaged_file_is_refused(tmp_path, text, said):
    states = CellStates.of(sf.CellArray("published", 1, seed=5).apply_voltage(-2.0))
    head = states.save(tmp_path / "good.csv").read_text().splitlines()[0]
    path = tmp_path / "bad.csv"
    path.write_text(text.replace("{head}", head))
    with pytest.raises(FileFormatError, match=said):
        CellStates.load(path)
    with pytest.raises(FileFormatError, match="cannot read"):
        CellStates.load(tmp_path / "missing.csv")


def test_a_name_in_a_file_runs_no_command_of_the_shell(part, tmp_path):
    """ngspice passes what is in backquotes to the shell, as it does with ``; shell``."""
    model, device = part
    path = CellStates.of(sf.CellArray(model, 1, seed=7), names=["n1"]).save(tmp_path / "x.csv")
    deck = CIRCUIT.format("0 0", f"synfab_{model.name.replace(' ', '_')}", 1)
    for name in ("n1`touch {}`", "n1[r0]=0.1 ; shell touch {} ; echo "):
        ran = tmp_path / "ran"
        text = path.read_text().replace("\nn1,", f"\n{name.format(ran)},")
        bad = tmp_path / "bad.csv"
        bad.write_text(text)
        with pytest.raises(FileFormatError, match="names: expected names of cells"):
            run_ngspice(deck, osdi=device, restore=bad)
        assert not ran.exists()


def test_an_array_takes_no_state_that_its_model_cannot_have():
    states = CellStates.of(sf.CellArray("published", 1, seed=5).apply_voltage(-2.0))
    high = dataclasses.replace(states, parameters={**states.parameters, "r0": np.array([5.0])})
    with pytest.raises(InvalidValueError, match=r"r0: expected at most 0\.889.*, found 5"):
        high.into(sf.CellArray("published", 1, seed=5))


def test_numbers_of_cells_from_expressions_are_whole_in_the_file(ngspice, tmp_path):
    """ngspice computes {k + 1} with errors of rounding, with which 6 was another cell in Python."""
    device = build_osdi("published", tmp_path / "cell.osdi")
    cells = "".join(f"X{k} a 0 one k={k}\n" for k in range(1, 30))
    deck = f"""parameters
V1 a 0 0.1
.subckt one p q k=0
N1 p q memory cell={{k}}
.ends
{cells}.model memory synfab_published seed={{4+3}}
.op
"""
    run_ngspice(deck, osdi=device, save_states=tmp_path / "x.csv")
    states = CellStates.load(tmp_path / "x.csv")
    assert sorted(states.parameters["cell"]) == list(range(1, 30))
    assert set(states.parameters["seed"]) == {7.0}


def test_a_state_for_an_element_that_is_not_there_is_an_error(part):
    model, device = part
    states = CellStates.of(sf.CellArray(model, 1, seed=SEED, first_cell=41), names=["n7"])
    deck = CIRCUIT.format("0 0", f"synfab_{model.name.replace(' ', '_')}", 1)
    with pytest.raises(ToolError, match="no such device or model name n7"):
        run_ngspice(deck, osdi=device, restore=states)


def test_a_circuit_without_cells_has_no_states(ngspice, tmp_path):
    with pytest.raises(InvalidValueError, match="save_states: there are no cells"):
        run_ngspice("t\nV1 a 0 1\nR1 a 0 1\n.op\n", save_states=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_saving_does_not_switch_cells_whose_sweeps_do(part, tmp_path):
    model, device = part
    deck = CIRCUIT.format("0 -2 1u 0 2u 0", f"synfab_{model.name.replace(' ', '_')}", 2)
    deck = deck.replace("seed_high=3", "seed_high=3 dc_switching=1").replace(
        ".tran 0.2u 2u 0 0.2u", ".dc V1 0.1 0.2 0.1"
    )
    run_ngspice(deck, osdi=device, save_states=tmp_path / "after.csv")
    assert CellStates.load(tmp_path / "after.csv").parameters["phase0"].tolist() == [0, 0, 0]


SOURCE = """cells of every kind of place
V1 a 0 -2 PWL(0 0 1u -0.3 2u 0)
"""
TRANSIENT = ".tran 0.1u 2u\n"


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


def saved(circuit, device, path):
    run_ngspice(SOURCE + circuit + TRANSIENT, osdi=device, save_states=path)
    states = CellStates.load(path)
    values = states.parameters
    return {
        name: (values["seed"][k], values["cell"][k], values["phase0"][k])
        for k, name in enumerate(states.names)
    }


def test_saving_does_not_switch_cells_whose_model_is_in_a_subcircuit(device, tmp_path):
    """The operating point at -2 V, of the saving, must not SET cells that only saw -0.3 V."""
    circuit = """.subckt inner p q k=3 s=1
.model mm synfab_published seed={s} dc_switching=1
N1 p q mm cell={k}
.ends
.subckt outer p q
Xx p q inner k=9
.ends
X1 a 0 inner k=5 s=4
X2 a 0 outer
"""
    assert saved(circuit, device, tmp_path / "x.csv") == {
        "n.x1.n1": (4, 5, 0),
        "n.x2.xx.n1": (1, 9, 0),
    }


@pytest.mark.parametrize(
    "line",
    [
        "N1 a 0 memory cell=3 $ a comment with memory=2",
        "N1 a 0 memory $ comment",
        "N1 a 0 memory ; comment",
        "N1 a 0 memory\n+ cell=3 ; comment\n+ phase0=0",
        "X1 a 0 one params: k=3",
        "N1 a 0 mm cell=3",
    ],
)
def test_every_spelling_of_a_cell_is_found(line, device, tmp_path):
    circuit = f"""{line}
.subckt one p q k=3
.model mm r r=1k
N1 p q memory cell={{k}}
R1 p q mm
.ends
X9 a 0 one k=9
.model memory synfab_published seed=7
.model mm synfab_published seed=7
.model other synfab_published seed=7
"""
    found = saved(circuit, device, tmp_path / "x.csv")
    assert found.pop("n.x9.n1") == (7, 9, 0)
    (cell,) = found.values()
    assert cell == (7, 3 if "cell=3" in line or "k=3" in line else 0, 0)


def test_other_elements_may_be_in_conditions_and_nested_definitions(device, tmp_path):
    circuit = """N1 a 0 memory cell=4
.if (1==1)
X1 a 0 o
.endif
.subckt o p q
X1 p q i
.subckt i p q
R1 p q 1k
.ends i
.ends o
.model memory synfab_published seed=7
"""
    assert saved(circuit, device, tmp_path / "x.csv") == {"n1": (7, 4, 0)}


@pytest.mark.parametrize(
    ("circuit", "said"),
    [
        ("N1/2 a 0 memory", "expected cells with names of letters.*n1/2"),
        ("N1`touch x` a 0 memory", "expected cells with names of letters"),
        (".if (1==1)\nN1 a 0 memory\n.else\nN2 a 0 memory\n.endif", "of n1 cannot be .*[.]if"),
        (
            ".subckt o p q\nX1 p q i\n.subckt i p q\nN1 p q memory\n.ends i\n.ends o\nX1 a 0 o",
            "of n.x1.x1.n1 cannot be saved, .* defined in o",
        ),
    ],
)
def test_cells_that_cannot_be_found_are_an_error(circuit, said, device, tmp_path):
    model = "\n.model memory synfab_published seed=7\n"
    with pytest.raises(InvalidValueError, match=said):
        saved(circuit + model, device, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()
