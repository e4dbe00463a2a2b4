"""The compiled device without a simulator: the same cells, the commit rule, clean C."""

import numpy as np
import pytest
from optional_models import models, within_reach
from osdi_program import SANITIZERS, STRICT, build, run, shown

import synfab as sf
from synfab.circuit.osdi import build_osdi, to_osdi_source
from synfab.circuit.veriloga import to_veriloga
from synfab.common.errors import InvalidTypeError, InvalidValueError, ToolError
from synfab.physics import rules

SEED = 2**40 + 17


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """Compiled without a warning, with the sanitizers on."""
    return build(tmp_path_factory.mktemp("osdi"), to_osdi_source("published"), *STRICT, *SANITIZERS)


def pulses(voltages):
    """Each pulse as three accepted points: flat, still flat, back at rest."""
    lines, time = [], 0.0
    for u in voltages:
        for level in (u, u, 0.0):
            time += 1.0
            lines.append(f"try {time} {level:.9g}")
    return [*lines, f"try {time + 1} 0"]


def identity(cell, seed=SEED):
    return [f"set seed {seed % 2**32}", f"set seed_high {seed >> 32}", f"set cell {cell}"]


def voltages_of_a_life(count, seed):
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=count)
    low, high = np.array([-1.5, 0.4, 1.3])[kind], np.array([-0.3, 1.4, 1.6])[kind]
    return np.float32(rng.uniform(low, high))


def test_a_device_stops_the_simulation_before_a_cycle_beyond_the_last(tmp_path):
    source = to_osdi_source("published")
    assert f"#define MAX_CYCLE {rules.MAX_CYCLE}u" in source
    program = build(tmp_path, source, *STRICT, *SANITIZERS, "-DMAX_CYCLE=2u")
    start = [*identity(5), "start"]
    said = run(program, [*start, *pulses([-3.0, 1.6, -3.0, 1.6, -3.0]), "show"])
    assert "fatal" not in said
    assert shown(said[-1])["cycle"] == 2.0
    said = run(program, [*start, *pulses([-3.0, 1.6, -3.0, 1.6, -3.0, 1.6]), "show"])
    assert "fatal" in said
    assert shown(said[-1])["cycle"] == 2.0
    assert shown(said[-1])["phase"] == 1.0


def test_a_life_of_pulses_is_that_of_the_array(harness):
    cells = sf.CellArray("published", 40, seed=SEED, first_cell=2**33 + 5)
    life = voltages_of_a_life(400, seed=1)
    for u in life:
        cells.apply_voltage(u)
    features, met = cells.features, 0
    for k in range(40):
        number = 2**33 + 5 + k
        where = [*identity(number % 2**32), f"set cell_high {number >> 32}", "start"]
        end = shown(run(harness, [*where, *pulses(life), "show"])[-1])
        # A cell that meets a threshold within the rounding of float32 may go another way.
        if end["cycle"] != cells.cycle[k]:
            met += 1
            continue
        assert end["r_hrs"] == pytest.approx(features["r_hrs"][k], rel=3e-5)
        for name in ("u_set", "r_lrs", "u_reset"):
            assert end[name] == pytest.approx(features[name][k], rel=1e-5)
        assert end["r"] == pytest.approx(cells.r[k], abs=2e-6)
        assert end["phase"] == (0 if cells.in_hrs[k] else 1 if cells.in_lrs[k] else 2)
    assert met <= 1


def test_current_and_slope_are_those_of_the_conduction(harness, published):
    at = np.array([-2.0, -1.5, -0.7, 0.0, 1e-9, 0.2, 1.46, 1.9])
    out = run(
        harness, [*identity(3), "set phase0 1", "set r0 0.25", "start", *(f"op {u}" for u in at)]
    )
    currents = [float(line.split()[0]) for line in out]
    np.testing.assert_allclose(
        currents, published.conduction.current(0.25, at), atol=1e-18, rtol=1e-12
    )


def test_noise_density_is_johnson_and_shot(harness, published):
    out = run(harness, [*identity(3), "set phase0 1", "set r0 0.25", "start", "op 0.2", "op 0"])
    i = published.conduction.current(0.25, 0.2)
    four_kt, two_e = 4 * 1.380649e-23 * 300.15, 2 * 1.602176634e-19
    assert float(out[0].split()[2]) == pytest.approx(four_kt * i / 0.2 + two_e * i, rel=1e-9)
    assert float(out[1].split()[2]) == pytest.approx(
        four_kt * published.conduction.slope(0.25, 0.0), rel=1e-9
    )


REJECTED = [
    *identity(1),
    "start",
    "try 1 -0.1",
    "try 2 -2.0",  # would SET, but the step is rejected:
    "try 1.5 -0.15",
    "try 2 -0.2",
    "try 3 0",
    "try 4 0",
    "show",
]


def test_a_rejected_step_leaves_no_trace_and_without_the_rule_it_does(harness, tmp_path):
    assert shown(run(harness, REJECTED)[-1])["phase"] == 0
    rule = "if (device->pending && time > device->time)"
    source = to_osdi_source("published")
    assert rule in source
    naive = build(tmp_path, source.replace(rule, "if (device->pending)"))
    assert shown(run(naive, REJECTED)[-1])["phase"] == 1


def test_an_overshoot_asks_for_half_the_step_until_halving_does_not_help(harness):
    u_set = shown(run(harness, [*identity(1), "start", "op 0", "show"])[-1])["u_set"]
    start = [*identity(1), "start", "try 1 0", "try 2 0"]
    # Two iterations at each point, as a simulator makes them.
    ramp = run(harness, [*start, *[f"try 4 {u_set - 0.5}"] * 2, *[f"try 3 {u_set - 0.25}"] * 2])
    assert [float(line.split()[1]) for line in ramp[-4:]] == [1.0, 1.0, 0.5, 0.5]
    jump = run(harness, [*start, *[f"try 4 {u_set - 0.5}"] * 2, *[f"try 3 {u_set - 0.49}"] * 2])
    assert float(jump[-1].split()[1]) == np.inf


def test_the_state_lives_on_through_analyses_and_an_operating_point_freezes_it(harness):
    first = [*identity(1), "start", "try 1 -2.0", "try 2 0"]
    end = run(harness, [*first, "start", "op -2", "op 2", "start", "try 1 0", "show"])
    assert shown(end[-1])["phase"] == 1
    # The last point of an analysis counts when the next begins.
    assert shown(run(harness, [*first[:-1], "start", "op 0", "show"])[-1])["phase"] == 1


def test_a_given_state_is_the_start(harness):
    cells = sf.CellArray("published", 30, seed=SEED)
    for u in voltages_of_a_life(60, seed=4):
        cells.apply_voltage(u)
    from synfab.cells.state import get_state

    state = get_state(cells)
    more = voltages_of_a_life(40, seed=5)
    after = cells.copy()
    for u in more:
        after.apply_voltage(u)
    different = 0
    for k in range(30):
        given = {"cycle0": "cycle", "r0": "r", "phase0": "phase"}
        given |= {"threshold0": "threshold", "steepness0": "steepness"}
        lines = [f"set {name} {state[key][k]!s}" for name, key in given.items()]
        if state["phase"][k] == 0:
            lines = [line for line in lines if "threshold" not in line]
        end = shown(run(harness, [*identity(k), *lines, "start", *pulses(more), "show"])[-1])
        different += abs(end["r"] - after.r[k]) > 2e-6 or end["cycle"] != after.cycle[k]
    assert different <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("cell", 0.5), ("cycle0", 1e9), ("phase0", 3), ("r0", 0.95), ("seed", np.nan)],
)
def test_a_wrong_parameter_is_refused_by_name(harness, name, value):
    assert run(harness, [f"set {name} {value}", "start"]) == [f"refused {name}"]


def test_models_with_pieces_and_other_orders_are_the_same_cells(tmp_path, pieces):
    for order in (1, 3):
        folder = tmp_path / str(order)
        folder.mkdir()
        program = build(folder, to_osdi_source(pieces, order=order), *STRICT, *SANITIZERS)
        cells = sf.CellArray(pieces, 20, seed=5, order=order)
        for _ in range(12):
            cells.apply_voltage(-3.0).apply_voltage(3.0)
        life = pulses([-3.0, 3.0] * 12)
        for k in range(20):
            end = shown(run(program, [*identity(k, 5), "start", *life, "show"])[-1])
            assert end["cycle"] == 12
            for name in sf.FEATURES:
                assert end[name] == pytest.approx(cells.features[name][k], rel=1e-4)


@pytest.mark.parametrize("export", [to_osdi_source, to_veriloga])
def test_a_model_without_optional_parts_has_no_text_of_them(export, published):
    plain, whole = export(published), export(models()["every part"])
    words = {
        to_osdi_source: ("SLOTS", "RATES", "worn_in", "NEVER", "fails", "exp(value)", "fmax(y"),
        to_veriloga: ("a0_0", "worn_0", "fails", "life", "= exp(", "(1.0 / max("),
    }[export]
    for word in words:
        assert word in whole
        assert word not in plain


@pytest.mark.parametrize("part", models())
def test_cells_with_optional_parts_are_those_of_the_array(tmp_path, part):
    model, count = models()[part], 16
    source = to_osdi_source(model, order=3)
    program = build(tmp_path, source, *STRICT, *SANITIZERS)
    cells = sf.CellArray(model, count, seed=SEED, order=3, first_cell=2**33 + 5, engine="array")
    life = np.float32([-3.1, 1.2, -0.5, 1.7, -3.1, 1.7] * 15)
    for u in life:
        cells.apply_voltage(u)
    features = {name: within_reach(values) for name, values in cells.features.items()}
    for k in range(count):
        number = 2**33 + 5 + k
        where = [*identity(number % 2**32), f"set cell_high {number >> 32}", "start"]
        end = shown(run(program, [*where, *pulses(life), "show"])[-1])
        assert end["cycle"] == cells.cycle[k]
        assert end["r_hrs"] == pytest.approx(features["r_hrs"][k], rel=3e-5)
        for name in ("u_set", "r_lrs", "u_reset"):
            assert end[name] == pytest.approx(features[name][k], rel=1e-5)
        assert end["r"] == pytest.approx(cells.r[k], abs=5e-6)
        assert end["phase"] == (0 if cells.in_hrs[k] else 1 if cells.in_lrs[k] else 2)
    failed = np.isinf(cells.features["u_set"]) | np.isinf(cells.features["u_reset"])
    assert failed.any() == (model.failure is not None)
    assert cells.cycle.max() > 20


def test_a_failed_cell_starts_in_the_state_that_is_given(tmp_path):
    model = models()["failure"]
    program = build(tmp_path, to_osdi_source(model), *STRICT, *SANITIZERS)
    cells = sf.CellArray(model, 40, seed=SEED)
    for u in [-3.1, 1.7] * 80:
        cells.apply_voltage(u)
    stuck = np.flatnonzero(cells.features["u_reset"] == np.inf)
    assert stuck.size
    for k in stuck:
        given = [f"set cycle0 {cells.cycle[k]}", "set phase0 1", f"set r0 {cells.r[k]}"]
        end = shown(run(program, [*identity(k), *given, "start", *pulses([1.7]), "show"])[-1])
        assert end["phase"] == 1
        assert end["cycle"] == cells.cycle[k]


def test_the_source_is_ascii_with_provenance_and_no_comment_can_be_closed(published):
    source = to_osdi_source(published)
    assert published.fingerprint in source
    assert source.isascii()
    evil = sf.CellModel(
        "evil */ name",
        published.marginals,
        dict(published.histories),
        published.population,
        published.conduction,
        {"note": "*/ int x; /* \n µ"},
    )
    assert "*/ int x" not in to_osdi_source(evil)
    assert '.name = "synfab_evil_name"' in to_osdi_source(evil)


def test_bad_input_gets_one_clear_line(tmp_path, monkeypatch):
    for name in ("1abc", "a b", "x" * 64, 'a"'):
        with pytest.raises(InvalidValueError, match="name: expected letters"):
            to_osdi_source("published", name=name)
    with pytest.raises(InvalidTypeError, match="name"):
        to_osdi_source("published", name=3)
    with pytest.raises(InvalidValueError, match="path: cannot write"):
        build_osdi("published", tmp_path / "nowhere" / "x.osdi")
    with pytest.raises(InvalidValueError, match="compiler: there is no program 'nocc'"):
        build_osdi("published", tmp_path / "x.osdi", compiler="nocc")
    with pytest.raises(ToolError, match="the C compiler failed"):
        build_osdi("published", tmp_path / "x.osdi", compiler="cc -DORDER(")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolError, match="no C compiler found"):
        build_osdi("published", tmp_path / "x.osdi")
    assert not list(tmp_path.iterdir())
