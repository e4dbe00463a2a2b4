"""Cell ``number`` of a seed is the same virtual device in the Verilog-A module as in Python."""

import numpy as np
import pytest
from known_answers import KNOWN_ANSWERS, TABLE, exact_normals
from optional_models import models
from verilog_a import EVAS, evaluate, finish, identity, instrumented, pulse_train, simulate, start

import synfab as sf
from synfab.cells.state import get_state
from synfab.circuit import crossbar_netlist, to_veriloga
from synfab.circuit.literals import environment
from synfab.circuit.veriloga import core_outputs, to_veriloga_core
from synfab.circuit.veriloga_text import DEVICE
from synfab.physics import drawing
from synfab.random import streams

needs_evas = pytest.mark.skipif(not EVAS.is_file(), reason="evas-sim is not installed")
# Small and neighbouring seeds, seeds and numbers of more than 32 bits.
IDENTITIES = [
    (0, 0),
    (1, 0),
    (2, 0),
    (1, 1),
    (7, 2**32 - 1),
    (7, 2**32),
    (2**32, 1),
    (12345678901234567890, 2**63 + 7),
    (2**64 - 1, 2**40),
]
# Largest relative difference of the features, from the float32 numbers of Python.
CLOSE = {"r_hrs": 1e-5, "u_set": 2e-6, "r_lrs": 2e-6, "u_reset": 2e-6}


# ---- random numbers -----------------------------------------------------------------------------

DRAW = """{% import "random.va.j2" as random with context %}
`include "disciplines.vams"
module draw(a, b{% for k in range(9) %}, o{{ k }}{% endfor %});
    inout a, b{% for k in range(9) %}, o{{ k }}{% endfor %};
    electrical a, b{% for k in range(9) %}, o{{ k }}{% endfor %};
    parameter real seed = 0.0;
    parameter real seed_high = 0.0;
    parameter real number = 0.0;
    parameter real number_high = 0.0;
    parameter real index = 0.0;
    parameter real stream = 0.0;
    parameter real word = 0.0;
    real z0, z1, z2, z3;
{{ random.variables() }}
{{ random.functions() }}
    analog begin
        seed_0 = seed; seed_1 = seed_high; number_0 = number; number_1 = number_high;
        {{ random.words("index", "stream") }}
        {{ random.normals() }}
{% for k in range(4) %}
        {{ nature }}(o{{ k }}) <+ w{{ k }};
        {{ nature }}(o{{ 4 + k }}) <+ z{{ k }};
{% endfor %}
        {{ nature }}(o8) <+ uniform(word);
    end
endmodule
"""


def generator(nature):
    """Module that draws from the parameters given; results are currents (I) or voltages (V)."""
    return (
        environment()
        .from_string(DRAW)
        .render(
            rounds=streams.ROUNDS,
            multipliers=streams.MULTIPLIERS,
            key_steps=streams.KEY_STEPS,
            nature=nature,
        )
    )


def compiled(text, folder):
    """Return a function from parameters to the currents of the ports after ``a`` and ``b``."""
    compiler = pytest.importorskip("openvaf_py")
    file = folder / "compiled.va"
    file.write_text(text)
    core = compiler.compile_va(str(file))[0]

    def values(parameters):
        found = core.run_init_eval({**parameters, "mfactor": 1.0})[0]
        return np.array([pair[0] for pair in found[2:]])

    return values


def parameters_of(counter, key):
    names = ("number", "number_high", "index", "stream", "seed", "seed_high")
    return {name: float(x) for name, x in zip(names, (*counter, *key), strict=True)}


@pytest.fixture(params=["openvaf", "evas"])
def drawn(request, tmp_path):
    """Return a function: words, normals and a uniform number for each set of parameters."""
    if request.param == "openvaf":
        core = compiled(generator("I"), tmp_path)
        return lambda draws: np.array([core(draw) for draw in draws])
    if not EVAS.is_file():
        pytest.skip("evas-sim is not installed")
    return lambda draws: evaluate(tmp_path / "run", generator("V"), "draw", draws, 9)


def test_the_generator_gives_the_known_answers(drawn):
    found = drawn([parameters_of(counter, key) for counter, key, _ in KNOWN_ANSWERS])
    np.testing.assert_array_equal(found[:, :4], [words for *_, words in KNOWN_ANSWERS])


def test_normal_numbers_are_those_of_the_contract(drawn):
    draws = [{**identity(*who), "index": i, "stream": s} for *who, i, s, _ in TABLE]
    found = drawn(draws)[:, 4:8]
    np.testing.assert_allclose(found, [z for *_, z in TABLE], atol=2e-6)
    np.testing.assert_allclose(found, [exact_normals(*row[:4]) for row in TABLE], atol=1e-9)


# Words whose uniform number needs every rule of rounding: exact, up, down, halfway to even.
ROUNDED = [0, 1, 2**24 - 1, 2**24 + 2, 2**25 - 1, 2**26 + 4, 2**26 + 12, 2**30 + 129, 2**32 - 1]


def assert_uniform(words, found):
    expected = streams.uniform(np.asarray(words).astype(np.uint32))
    assert expected.dtype == np.float32
    np.testing.assert_allclose(found, expected.astype(np.float64), rtol=1e-9)


def test_uniform_numbers_are_rounded_to_float32_as_in_python(drawn):
    assert_uniform(ROUNDED, drawn([{"word": float(word)} for word in ROUNDED])[:, 8])


def test_uniform_numbers_around_every_power_of_two_are_those_of_python(tmp_path):
    bits = 2 ** np.arange(22, 33, dtype=np.int64)
    words = np.unique(np.concatenate([bits + k for k in range(-600, 600)]))
    words, core = words[words < 2**32], compiled(generator("I"), tmp_path)
    assert_uniform(words, [core({"word": float(word)})[8] for word in words])


def test_a_thousand_words_are_those_of_python(tmp_path):
    core, rng = compiled(generator("I"), tmp_path), np.random.default_rng(5)
    inputs = rng.integers(0, 2**32, (300, 6))
    found = [core(parameters_of(row[:4], row[4:])) for row in inputs]
    for row, values in zip(inputs, found, strict=True):
        counter = tuple(np.array([c], np.uint32) for c in row[:4])
        words = streams.philox(tuple(int(k) for k in row[4:]), counter)
        np.testing.assert_array_equal(values[:4], [int(w[0]) for w in words])
        z = streams.normals(words)[:, 0].astype(np.float64)
        np.testing.assert_allclose(values[4:8], z, atol=2e-6)


def test_a_changed_generator_is_caught(tmp_path):
    text = generator("I")
    draws = [parameters_of(counter, key) for counter, key, _ in KNOWN_ANSWERS]
    draws += [{"word": float(word)} for word in ROUNDED]

    def values(text):
        core = compiled(text, tmp_path)
        return np.array([core(draw) for draw in draws])

    right = values(text)
    for old, new in [
        ("52638.0", "52639.0"),
        ("3144134277.0", "3144134276.0"),
        ("philox_round < 10", "philox_round < 9"),
        ("n + 0.5 : n", "n : n"),
        ("|| (part == 0.5", "|| (part > 1.5"),
        ("&& whole > 2.0 * floor(whole / 2.0)", ""),
    ]:
        assert old in text
        assert (values(text.replace(old, new)) != right).any(), old


# ---- the start of a cell ------------------------------------------------------------------------


def life_of(model, seed, number, cycles=0, order=None):
    cells = sf.CellArray(model, 1, seed=seed, first_cell=number, order=order)
    for _ in range(cycles):
        cells.apply_voltage(-3.1).apply_voltage(1.7)
    return cells


def assert_same_start(names, values, cells, cycle):
    found = dict(zip(names, values, strict=True))
    device = [found[name] for name in DEVICE]
    np.testing.assert_allclose(device, cells.device_parameters[0], rtol=2e-6)
    assert found["cycle"] == cycle
    for name, tolerance in CLOSE.items():
        expected = float(cells.features[name][0])
        if np.isinf(expected):
            expected = np.copysign(drawing.NEVER, expected)
        assert found[name] == pytest.approx(expected, rel=tolerance)


def test_a_new_cell_is_that_of_python(published, tmp_path):
    core = compiled(to_veriloga_core(published, "start"), tmp_path)
    names = core_outputs(published, 10, "start")
    for who in IDENTITIES:
        values = core(identity(*who))
        assert_same_start(names, values, life_of(published, *who), 0)
        # All vectors of the initial history: the newest is x*_0, the next ones are older.
        number = tuple(np.array([w], np.uint32) for w in (who[1] % 2**32, who[1] >> 32))
        index = np.arange(10, dtype=np.uint32)[:, None]
        z = drawing.draw_normals(who[0], number, index, streams.Stream.INITIAL_HISTORY)
        history = published.history().stationary_factor @ z[:, :, 0].T.reshape(-1)
        np.testing.assert_allclose(values[8:48], history, atol=5e-6)


@pytest.mark.parametrize("cycle", [1, 9, 10, 37])
def test_a_later_first_cycle_has_the_history_of_python(published, tmp_path, cycle):
    core = compiled(to_veriloga_core(published, "start"), tmp_path)
    names = core_outputs(published, 10, "start")
    for who in IDENTITIES[-3:]:
        values = core({**identity(*who), "cycle0": float(cycle)})
        assert_same_start(names, values, life_of(published, *who, cycle), cycle)


@pytest.mark.parametrize("part", models())
def test_a_cell_with_optional_parts_is_that_of_python(tmp_path, part):
    model = models()[part]
    core = compiled(to_veriloga_core(model, "start", order=3), tmp_path)
    names = core_outputs(model, 3, "start")
    for seed in (3, 4, 2**40 + 1):
        for number in range(10):
            cells = life_of(model, seed, number, 25, order=3)
            cycle = int(cells.cycle[0])
            values = core({**identity(seed, number), "cycle0": float(cycle)})
            assert_same_start(names, values, cells, cycle)
            if model.failure is not None:
                words = (np.array([number], np.uint32), np.zeros(1, np.uint32))
                life, in_hrs = drawing.lives(model.failure, seed, words)
                expected = np.where(in_hrs, [life, [drawing.NEVER]], [[drawing.NEVER], life])
                np.testing.assert_allclose(values[-2:], expected[:, 0], rtol=2e-6)


def test_small_and_neighbouring_seeds_draw_the_whole_population(published, tmp_path):
    """The standard generator of Verilog-A drew component 0 for every seed below about 30,000."""
    core = compiled(to_veriloga_core(published, "start", order=1), tmp_path)
    count = 3000
    devices = np.array([core({"seed": float(seed)})[:8] for seed in range(count)])
    python = np.array([
        drawing.fabricate(published, seed, (np.zeros(1, np.uint32),) * 2).parameters[:, 0]
        for seed in range(count)
    ])  # fmt: skip
    np.testing.assert_allclose(devices, python, rtol=1e-5, atol=1e-6)
    ranks = np.argsort(np.argsort(devices, axis=0), axis=0)
    for k in range(8):  # the standard error of a correlation is 0.018
        assert abs(np.corrcoef(ranks[:-1, k], ranks[1:, k])[0, 1]) < 4.5 / np.sqrt(count)
    # Devices of the outlier component, most of which have a sigma of u_set above 0.1 V.
    outliers = np.abs(devices[:, 5]) > 0.1
    many = np.abs(sf.CellArray(published, 100_000, seed=1).device_parameters[:, 5]) > 0.1
    share = many.mean()
    assert outliers.mean() == pytest.approx(share, abs=4.0 * np.sqrt(share / count))
    assert share > 0.01


# ---- the module, simulated ----------------------------------------------------------------------

OUTPUTS = ("cycle", "r_hrs", "u_set", "r_lrs", "u_reset", "r")


@needs_evas
def test_cells_live_through_pulses_as_in_python(published, tmp_path):
    levels, repeats = (-3.0, 1.6, -2.0, 0.9, 1.1, -0.3), 12
    wave, tops = pulse_train(levels, repeats)
    text = instrumented(to_veriloga(published), OUTPUTS)
    folder, stop = tmp_path / "run", f"{100 * len(tops)}n"
    who = [identity(*w) for w in (IDENTITIES[1], IDENTITIES[2], IDENTITIES[7], IDENTITIES[8])]
    process = start(folder, text, "synfab_published", who, OUTPUTS, wave, stop, "5n")
    table = finish(process, folder)
    rows = np.searchsorted(table["time"], np.array(tops) + 15e-9)  # between two pulses
    chosen = [life_of(published, *w) for w in (IDENTITIES[i] for i in (1, 2, 7, 8))]
    for n, u in enumerate(levels * repeats):
        for i, cells in enumerate(chosen):
            cells.apply_voltage(u)
            found = {k: table[f"o{i}_{j}"][rows[n]] for j, k in enumerate(OUTPUTS)}
            assert found["cycle"] == cells.cycle[0]
            assert found["r"] == pytest.approx(float(cells.r[0]), abs=2e-6)
            for name, tolerance in CLOSE.items():
                assert found[name] == pytest.approx(float(cells.features[name][0]), rel=tolerance)
    assert min(cells.cycle[0] for cells in chosen) >= 2 * repeats - 1


@needs_evas
def test_a_spectre_netlist_continues_the_cells_of_an_array(published, tmp_path):
    cells = sf.CellArray(published, (2, 2), seed=2**33 + 3, first_cell=2**32 - 2)
    for u in (-3.0, 1.6) * 14 + (-2.0, 1.0):
        cells.apply_voltage(u)
    cells.apply_voltage([[-3.0, 0.0], [0.0, 0.0]])
    assert set(get_state(cells)["phase"].flat) == {1, 2}
    program = "0.9, 1.2, -3, 1.6, -2, 1, -3"
    text = crossbar_netlist(sf.Crossbar(cells, 0.0), program, dialect="spectre").text
    names = [f"N{i}_{j} (c{j} r{i}" for i, j in np.ndindex(2, 2)]
    for cell, name in enumerate(names):
        ports = " ".join(f"o{cell}_{k}" for k in range(len(OUTPUTS)))
        assert name in text
        text = text.replace(name, f"{name} {ports}")
    ports = " ".join(f"o{i}_{k}:10e" for i in range(4) for k in range(len(OUTPUTS)))
    (tmp_path / "bench.scs").write_text(f"{text}save {ports}\n")
    (tmp_path / "cell.va").write_text(instrumented(to_veriloga(published), OUTPUTS))
    last = finish(simulate(tmp_path), tmp_path).iloc[-1]
    for u in program.split(","):
        cells.apply_voltage(float(u))
    for i, where in enumerate(np.ndindex(2, 2)):
        found = {name: last[f"o{i}_{k}"] for k, name in enumerate(OUTPUTS)}
        assert found["cycle"] == cells.cycle[where]
        assert found["r"] == pytest.approx(float(cells.r[where]), abs=2e-6)
        for name, tolerance in CLOSE.items():
            assert found[name] == pytest.approx(float(cells.features[name][where]), rel=tolerance)
