"""Parameters of an instance: m, dtemp, cpar, and changes after the cell was made."""

import numpy as np
import pytest
from osdi_program import SANITIZERS, STRICT, build, run, shown
from trap_models import model_with_traps

import synfab as sf
from synfab.circuit import build_osdi, run_ngspice, to_osdi_source
from synfab.circuit.waveforms import read_raw
from synfab.common.errors import InvalidValueError, ToolError
from synfab.physics.noise import BOLTZMANN

IDENTITY = ["set seed 7", "set cell 3"]
LIFE = ["try 1 -3", "try 2 0.9", "try 3 0"]


@pytest.fixture(scope="module", params=["published", "with traps"])
def harness(request, tmp_path_factory):
    model = "published" if request.param == "published" else model_with_traps()
    folder = tmp_path_factory.mktemp("parameters")
    return build(folder, to_osdi_source(model), *STRICT, *SANITIZERS)


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


# ---- m, dtemp, cpar -----------------------------------------------------------------------------


def test_m_cells_in_parallel_have_m_times_the_current_and_the_noise(harness):
    one, many = (
        run(harness, [*IDENTITY, "set phase0 1", f"set $mfactor {m}", "start", "op 0.2", "show"])
        for m in (1, 2.5)
    )
    current, _, *noise = (float(x) for x in one[0].split())
    scaled, _, *scaled_noise = (float(x) for x in many[0].split())
    assert scaled == pytest.approx(2.5 * current, rel=1e-12)
    np.testing.assert_allclose(scaled_noise, 2.5 * np.array(noise), rtol=1e-12)
    assert shown(many[1])["resistance"] == shown(one[1])["resistance"]


def test_johnson_noise_is_at_the_temperature_of_the_simulator_and_the_instance(harness):
    def johnson(*lines):
        out = run(harness, [*IDENTITY, "set phase0 1", *lines, "start", "op 0"])
        return float(out[0].split()[2])

    cold = johnson("temperature 250")
    assert johnson("temperature 400") == pytest.approx(1.6 * cold, rel=1e-12)
    assert johnson("temperature 390", "set dtemp 10") == pytest.approx(1.6 * cold, rel=1e-12)


def test_a_capacitance_carries_the_displacement_current_of_m_cells(harness):
    lines = [*IDENTITY, "set phase0 1", "set $mfactor 2", "set cpar 3e-12"]
    lines = ["charged", *lines]
    # matrix * voltage - right-hand side leaves out what a simulator integrates from the charges.
    out = run(harness, [*lines, "start", "alpha 1e9", "try 1e-9 0.2"])
    without = run(harness, [*lines[:-1], "start", "try 1e-9 0.2"])
    assert float(out[0].split()[0]) == pytest.approx(float(without[0].split()[0]), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [("$mfactor", 0), ("$mfactor", -1), ("$mfactor", np.inf), ("dtemp", -301), ("cpar", -1e-15)],
)
def test_a_wrong_parameter_is_refused_by_name(harness, name, value):
    assert run(harness, ["charged", f"set {name} {value}", "start"]) == [f"refused {name}"]
    if name != "cpar":
        assert run(harness, [f"set {name} {value}", "start"]) == [f"refused {name}"]


# ---- changes after the cell was made ------------------------------------------------------------

NAMES = ("seed", "cell", "cycle0", "r0", "threshold0", "steepness0", "phase0", "$mfactor", "dtemp")


def test_parameters_that_were_not_given_are_those_of_the_cell(harness):
    out = run(harness, [*IDENTITY, "start", *LIFE, "start", "show", *(f"ask {n}" for n in NAMES)])
    state, *found = out[len(LIFE) :]
    state = shown(state)
    programmed = state.get("r_programmed", state["r"])
    expected = [7, 3, state["cycle"], programmed, state["threshold"], state["steepness"]]
    assert [float(x) for x in found] == [*expected, state["phase"], 1.0, 0.0]
    assert state["cycle"] == 1.0


@pytest.mark.parametrize("seed", [7, 2**40 + 12345])
def test_every_parameter_a_millionth_away_and_back_leaves_the_cell_as_it_was(harness, seed):
    """What a sensitivity analysis does."""
    names = [*NAMES, "seed_high", "cell_high"]
    start = [f"set seed {seed}", "set cell 3000000", "start", *LIFE, "start", "show"]
    before = run(harness, start)[-1]
    asked = run(harness, [*start, *(f"ask {name}" for name in names)])[-len(names) :]
    lines = []
    for name, value in zip(names, map(float, asked), strict=True):
        away = value * (1.0 + 1e-6) if value else 1e-6
        lines += [f"set {name} {away!r}", "start", "op 0.2"]
        lines += [f"set {name} {value!r}", "start", "op 0.2", "show"]
    out = run(harness, [*start, *lines])[len(run(harness, start)) :]
    assert not [line for line in out if "refused" in line]
    shows = [line for line in out if "=" in line]
    plain = run(harness, [*start, "op 0.2", "show"])[-1]
    assert shows == [plain] * len(names)
    assert shown(plain)["r"] == shown(before)["r"]
    # And time goes on as if nothing had been written.
    rest = ["start", "try 1 0", "try 5 -3", "try 6 0", "try 9 0", "show"]
    assert run(harness, [*start, *lines, *rest])[-1] == run(harness, [*start, *rest])[-1]


def test_a_changed_state_replaces_that_part_of_the_present_one(harness):
    start = [*IDENTITY, "start", *LIFE, "start", "show"]
    before = shown(run(harness, start)[-1])
    after = shown(run(harness, [*start, "set r0 0.25", "start", "show"])[-1])
    assert after["r"] == 0.25
    assert {name for name in before if before[name] != after[name]} <= {
        "r", "r_programmed", "resistance", "fresh"
    }  # fmt: skip


def test_another_number_is_another_cell_and_the_first_starts_from_the_beginning(harness):
    def life(*lines):
        return shown(run(harness, [*IDENTITY, "start", *lines, "show"])[-1])

    other = life(*LIFE, "set cell 4", "start")
    assert other["cycle"] == 0.0
    assert other["u_set"] != life()["u_set"]
    again = life(*LIFE, "set cell 4", "start", *LIFE, "set cell 3", "start")
    assert again["r_hrs"] == life()["r_hrs"]
    assert again["cycle"] == 0.0


# ---- in ngspice ---------------------------------------------------------------------------------


def test_ngspice_scales_by_m_and_refuses_unknown_parameters_in_one_line(device):
    deck = "m\nV1 a 0 0.2\nN1 a 0 mem cell=3 {}\n.model mem synfab_published seed=7\n.op\n"
    single, double, hot = (
        run_ngspice(deck.format(given), osdi=device)[0]["i(v1)"][0]
        for given in ("", "m=2", "dtemp=10")
    )
    assert double == pytest.approx(2.0 * single, rel=1e-12)
    assert hot == single
    with pytest.raises(ToolError, match=r"unknown parameter \(cels\)"):
        run_ngspice(deck.format("cels=3"), osdi=device)
    with pytest.raises(InvalidValueError, match="m: above 0"):
        run_ngspice(deck.format("m=-1"), osdi=device)
    with pytest.raises(ToolError, match=r"unknown parameter \(cpar\)"):
        run_ngspice(deck.format("cpar=1f"), osdi=device)


def test_a_sensitivity_analysis_leaves_the_cells_and_finds_that_of_r(device, tmp_path):
    deck = """a cell behind a resistor, SET by a transient
V1 a 0 dc 0.2 PWL(0 0.2 1u -3 2u 0 3u 0.2)
R1 a b 1k
N1 b 0 mem cell=3
.model mem synfab_published seed=7
.tran 0.1u 4u
.op
"""
    state = " ".join(f"@n1[{name}]" for name in ("r", "cycle", "phase", "threshold"))
    commands = [f"write before.raw {state}", "sens v(b)", "write sens.raw n1_r0 n1_m", "op"]
    commands += [f"write after.raw v(b) {state}"]
    run_ngspice(deck, osdi=device, commands=commands, keep=tmp_path)
    before, sensitivity, after = (
        read_raw(tmp_path / f"{name}.raw")[0] for name in ("before", "sens", "after")
    )
    assert before["@n1[phase]"][0] == 1.0
    for name in before:
        assert after[name][0] == before[name][0]
    conduction = sf.load_model("published").conduction
    r, u = after["@n1[r]"][0], after["v(b)"][0]
    by_r = conduction.current(1.0, u) - conduction.current(0.0, u)
    resistance = 1e3 / (1.0 + 1e3 * conduction.slope(r, u))
    assert sensitivity["v(n1_r0)"][0] == pytest.approx(-resistance * by_r, rel=1e-4)
    expected = -resistance * conduction.current(r, u)
    assert sensitivity["v(n1_m)"][0] == pytest.approx(expected, rel=1e-4)


def test_a_cell_with_a_capacitance_charges_through_a_resistor(device):
    """1 pF of two cells behind 1 kohm, next to the same capacitance as an element."""
    deck = """charging
V1 a 0 PWL(0 0 1p 0.2)
R1 a b 1k
N1 b 0 mem cell=3 m=2 cpar=0.5p
R2 a c 1k
N2 c 0 without cell=3 m=2
C2 c 0 1p
.model mem synfab_published_c seed=7
.model without synfab_published seed=7
.tran 10p 5n
"""
    (wave,) = run_ngspice(deck, osdi=device)
    np.testing.assert_allclose(wave["v(b)"], wave["v(c)"], rtol=0.0, atol=1e-9)
    assert wave.at("v(b)", [1e-9])[0] == pytest.approx(0.2 * (1.0 - np.exp(-1.0)), rel=0.03)


def test_small_signals_pass_the_capacitance(device):
    deck = """pole
V1 a 0 0 ac 1
R1 a b 1k
N1 b 0 mem cell=3 cpar=1p
.model mem synfab_published_c seed=7
.ac dec 5 1e7 1e10
"""
    (wave,) = run_ngspice(deck, osdi=device)
    conductance = sf.load_model("published").conduction.slope(
        float(sf.CellArray("published", 4, seed=7).r[3]), 0.0
    )
    omega = 2j * np.pi * wave["frequency"].real
    expected = 1.0 / (1.0 + 1e3 * (conductance + omega * 1e-12))
    np.testing.assert_allclose(wave["v(b)"], expected, rtol=1e-5)


def test_noise_analysis_is_at_the_temperature_of_the_circuit(device):
    deck = """Johnson noise of a cell at 0 V
V1 a 0 0 ac 1
R1 a b 1m
N1 b 0 mem cell=3
.model mem synfab_published seed=7
.temp {}
.noise v(b) V1 dec 1 1e3 1e4 1
"""
    conductance = sf.load_model("published").conduction.slope(
        float(sf.CellArray("published", 4, seed=7).r[3]), 0.0
    )
    for celsius in (27, 127):
        _, density = run_ngspice(deck.format(celsius), osdi=device)
        found = (density["onoise_n1_read"][0] / 1e-3) ** 2
        expected = 4.0 * BOLTZMANN * (celsius + 273.15) * conductance
        assert found == pytest.approx(expected, rel=1e-4)
