"""Decks with every analysis of ngspice: each result is that of its analysis, or an error."""

import numpy as np
import pytest

from synfab.circuit import build_osdi, run_ngspice
from synfab.circuit.deck import read_deck
from synfab.common.errors import InvalidValueError, SolverError, SynfabError, ToolError

CIRCUIT = """divider
.param ohm=1k stop=1u
V1 a 0 dc 1 ac 1
R1 a b {ohm}
C1 b 0 1n
R2 b 0 1k
"""
SILENT = CIRCUIT.replace(" ac 1", "")
# Analyses, the names of their plots, and an analysis of the same kind that fails, with ngspice's
# words for it.
KINDS = {
    ".op": ["Operating Point"],
    ".dc v1 0 1 .5": ["DC transfer characteristic"],
    ".ac dec 1 1 10": ["AC Analysis"],
    ".tran 10n 1u": ["Transient Analysis"],
    ".noise v(b) v1 dec 1 1 10": ["Integrated Noise", "Noise Spectral Density Curves"],
    ".sens v(b)": ["Sensitivity Analysis"],
    ".tf v(b) v1": ["Transfer Function"],
    ".pz a 0 b 0 vol pz": ["Pole-Zero Analysis"],
    ".disto dec 1 1 10": ["DISTORTION - 3rd harmonic", "DISTORTION - 2nd harmonic"],
}
FAILING = [
    (CIRCUIT, ".dc vx 0 1 .1", "named \"vx\" is not in the circuit"),
    (CIRCUIT, ".dc v1 0 1", ""),
    (CIRCUIT, ".ac dec", "startfreq"),
    (CIRCUIT, ".ac xx 1 1 10", "Missing DEC, OCT, or LIN"),
    (CIRCUIT, ".tran 0 0", "TSTEP is invalid"),
    (CIRCUIT, ".tran 1n xx", "parameter on .tran"),
    (SILENT, ".noise v(b) v1 dec 1 1 10", "v1 has no AC value"),
    (CIRCUIT, ".noise v(b) vz dec 1 1 10", "vz not in circuit"),
    (CIRCUIT, ".tf v(b) vz", "vz not in circuit"),
    (CIRCUIT, ".pz zz 0 b 0 vol pz", ""),
    (CIRCUIT, ".sp dec 1 1 10", "No RF Port"),
    (CIRCUIT, ".sens q", ""),
    (CIRCUIT, ".disto xx", ""),
    (CIRCUIT + "V2 b 0 1\nV3 b 0 2\n", ".op", ""),
]  # fmt: skip


@pytest.mark.parametrize(("circuit", "analysis", "message"), FAILING, ids=lambda x: x[:12])
def test_a_failed_analysis_is_one_line_and_gives_no_result(ngspice, circuit, analysis, message):
    with pytest.raises(SynfabError) as caught:
        run_ngspice(f"{circuit}.op\n{analysis}\n", time_limit=20.0)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_plot_is_that_of_its_analysis_in_the_order_written(ngspice):
    kinds = dict(reversed(KINDS.items()))
    waves = run_ngspice(CIRCUIT + "\n".join(kinds) + "\n.end\n")
    assert [w.analysis for w in waves] == [name for names in kinds.values() for name in names]


def test_an_unstable_circuit_has_no_half_of_a_transient(ngspice):
    """ngspice writes the points before it gave up."""
    text = "t\nV1 a 0 pulse(0 1 1n 1n)\nR1 a b 1\nB1 b 0 i=v(b)>0.5?0.9:0\n.tran 1n 9n\n"
    with pytest.raises(SolverError, match=r"did not converge: .*Timestep too small"):
        run_ngspice(text, time_limit=30.0)


# ---- what decks may contain ---------------------------------------------------------------------


def test_continuation_lines_comments_and_case(ngspice):
    text = CIRCUIT + ".TRAN 10n\n* a comment\n+ 1u 0\n+ 10n\n.OP\n.END\nthis is not read\n"
    first, second = run_ngspice(text)
    assert first["time"][-1] == pytest.approx(1e-6)
    assert second["v(b)"][0] == pytest.approx(0.5)


def test_the_title_is_no_analysis(ngspice):
    (wave,) = run_ngspice(".op\nV1 a 0 1\nR1 a 0 1\n.dc v1 0 1 1\n")
    assert wave.analysis == "DC transfer characteristic"


@pytest.mark.parametrize("marks", ["{}", "''"])
def test_expressions_in_analyses_are_those_of_the_parameters(ngspice, marks):
    left, right = marks
    line = f".tran {left}stop/100{right} {left}stop/3*1.2345678912345{right}"
    (wave,) = run_ngspice(CIRCUIT + line + "\n", progress=True)
    assert wave["time"][-1] == pytest.approx(1e-6 / 3 * 1.2345678912345, rel=1e-13)


def test_a_control_section_runs_its_commands_in_order(ngspice):
    text = (
        CIRCUIT
        + """.tran 10n 1u
.control
op
foreach x 1k 3k
  alter r1 = $x
  op
end
plot v(b)
run
.endc
.end
"""
    )
    waves = run_ngspice(text)
    points = [w["v(b)"][0] for w in waves if w.analysis == "Operating Point"]
    np.testing.assert_allclose(points, [0.5, 0.5, 0.25])
    assert waves[-1].analysis == "Transient Analysis"
    assert len(waves) == 4


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (".control\nop\nshell ls\n.endc", "shell cannot be run unattended"),
        (".control\nop\n!ls\n.endc", "!ls cannot be run unattended"),
        (".control\nop\n", "expected .endc"),
        (".control\nprint 1\n.endc", "expected an analysis"),
        (".control\nrun\n.endc", "needs an analysis"),
        (".pss 1 1", "pss cannot be run unattended"),
        (".control\npre_osdi nowhere.osdi\nop\n.endc", "no compiled device"),
    ],
)
def test_what_cannot_be_run_is_refused_before_it_runs(section, words):
    with pytest.raises(InvalidValueError, match=words):
        run_ngspice(f"{CIRCUIT}{section}\n", ngspice="true")


def test_a_section_may_fail_too(ngspice):
    with pytest.raises(ToolError, match="vx"):
        run_ngspice(CIRCUIT + ".control\nop\ndc vx 0 1 1\n.endc\n")


# ---- devices ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


@pytest.mark.parametrize("analysis", [".op", ".dc v1 0.1 0.2 0.1", ".tran 1n 10n"])
def test_current_and_state_of_an_instance_need_no_save_line(device, analysis):
    text = (
        f"cell\nV1 a 0 0.2\nNbit a 0 mem cell=3\n.model mem synfab_published seed=7\n{analysis}\n"
    )
    (wave,) = run_ngspice(text, osdi=device)
    np.testing.assert_allclose(wave["@nbit[i]"], -wave["i(v1)"], rtol=1e-9)
    assert 0.0 < wave["@Nbit[r]"][-1] < 1.0
    (wave,) = run_ngspice(text.replace("V1 a", ".save @nbit[u_set]\nV1 a"), osdi=device)
    assert "@nbit[u_set]" in wave
    assert "@nbit[i]" not in wave


def test_a_deck_loads_its_own_device(device, tmp_path):
    (tmp_path / "Cell.osdi").write_bytes(device.read_bytes())
    deck = tmp_path / "deck.cir"
    deck.write_text(
        "cell\nV1 a 0 0.2\nN1 a 0 mem\n.model mem synfab_published seed=7\n.tran 1n 10n\n"
        ".control\npre_set num_threads=1\npre_osdi Cell.osdi\nrun\nwrite deck.raw\n.endc\n.end\n"
    )
    (wave,) = run_ngspice(deck)
    assert wave["@n1[i]"][-1] > 0.0
    assert not (tmp_path / "deck.raw").exists()
    assert read_deck(deck.read_text()).devices == ["Cell.osdi"]


CELLS = """cells with all sorts of names
V1 a 0 0.2
{}
.model memory {} dc_switching=0
.op
"""


@pytest.mark.parametrize("name", ["N$1", "N1<0>", "N1[3]", "N1.a"])
def test_a_circuit_runs_whatever_its_cells_are_called(device, name):
    """Their state is not saved without asking where ngspice cannot ask for it."""
    (waves,) = run_ngspice(
        CELLS.format(f"{name} a 0 memory", "synfab_published seed=7"), osdi=device
    )
    assert waves["i(v1)"][0] < -1e-6
    assert ("@n1.a[i]" in waves) == (name == "N1.a")


def test_a_condition_gives_no_vectors_of_cells_that_are_not_there(device):
    lines = ".if (1==1)\nN1 a 0 memory\n.else\nN2 a 0 memory\n.endif\nN3 a 0 memory cell=3"
    (waves,) = run_ngspice(CELLS.format(lines, "synfab_published seed=7"), osdi=device)
    assert [name for name in waves if name.startswith("@")] == ["@n3[i]", "@n3[r]"]


@pytest.mark.parametrize(
    "model", ["synfab_published(seed=7", "synfab_published (seed=7", "synfab_published(\n+ seed=7"]
)
def test_a_model_in_brackets_keeps_its_first_parameter(device, model):
    """Without spaces ngspice loses it, so that the cells are those of seed 0."""
    text = CELLS.format("N1 a 0 memory cell=42", model).replace("dc_switching=0", "dc_switching=0)")
    (waves,) = run_ngspice(text, osdi=device)
    plain = CELLS.format("N1 a 0 memory cell=42", "synfab_published seed=7")
    (expected,) = run_ngspice(plain, osdi=device)
    assert waves["@n1[r]"] == expected["@n1[r]"]


@pytest.mark.parametrize("parameter", ["growth_voltag=0.4", "cpar=1p", "foo=1"])
@pytest.mark.parametrize("place", ["", ".subckt one p q"])
def test_a_misspelt_parameter_of_a_model_of_cells_is_an_error(device, parameter, place):
    """ngspice ignores it with a warning; those of other models are left to it."""
    model = f".model memory synfab_published seed=7 {parameter}\nN1 a 0 memory"
    if place:
        model = f"{place}\n{model}\n.ends\nX1 a 0 one"
    deck = f"t\nV1 a 0 0.2\n{model}\nR1 a 0 r1\n.model r1 r r=1k bar=3\n.op\n"
    name = parameter.split("=")[0]
    with pytest.raises(InvalidValueError, match=rf"netlist: .model .*memory has no .* {name}"):
        run_ngspice(deck, osdi=device)
    assert run_ngspice(deck.replace(parameter, ""), osdi=device)


SCRIPT = """three analyses in a script
V1 a 0 1
R1 a b 1k
C1 b 0 1n
.control
{}
.endc
"""
OP, DC = "Operating Point", "DC transfer characteristic"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ("op\nsetplot const\ndc v1 0 1 .5", [OP, DC]),
        ("op\ndc v1 0 1 .5\nsetplot op1\nop", [OP, DC, OP]),
        ("op\nset filetype=ascii\ndc v1 0 1 .5\nwrite x.raw\nop", [OP, DC, OP]),
        ("op\nunset appendwrite\ndc v1 0 1 .5", [OP, DC]),
        ("dc v1 0 1 .5\nsetplot new\nlet k = 2\nop", [DC, OP]),
        ("let k = 3\nrepeat 2\nop\nsetplot const\nend\ndc v1 0 1 .5", [OP, OP, DC]),
        ("op\nlet u = 0.5\ndc v1 0 1 $&u", [OP, DC]),
        ("op\ndestroy all\ndc v1 0 1 .5", [OP, DC]),
    ],
)
def test_results_are_those_of_the_analyses_whatever_the_script_sets(ngspice, commands, expected):
    """With another plot current, or other settings of files, results were doubled or lost."""
    assert [w.analysis for w in run_ngspice(SCRIPT.format(commands))] == expected


def test_a_script_writes_its_files_as_it_says(ngspice, tmp_path):
    """In text, and not behind what an earlier run has written."""
    deck = SCRIPT.format("set filetype=ascii\nop\nwrite own.raw\nunset filetype\nwrite two.raw")
    for _ in range(2):
        run_ngspice(deck, keep=tmp_path)
    assert (tmp_path / "own.raw").read_text().count("Values:") == 1
    assert (tmp_path / "two.raw").read_bytes().count(b"Binary:") == 1
