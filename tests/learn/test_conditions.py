"""Compliance and stop voltage that vary in a record explain features and are not noise."""

import json
import logging
import os
import subprocess
import sys

import loop_generator
import numpy as np
import pandas as pd
import polars as pl
import pytest

import synfab as sf
from synfab import learn
from synfab.explore.stages import Program, sweep
from synfab.learn.comparison.compare import loop_features
from synfab.learn.comparison.loops import generated_loops, measured_loops
from synfab.learn.conditions import at_reference, fit_conditions
from synfab.learn.detection import find_levels
from synfab.learn.features import from_y, to_y

DEVICES, CYCLES = 16, 120
DEVICE = np.repeat(np.arange(DEVICES), CYCLES)
CYCLE = np.tile(np.arange(CYCLES), DEVICES)
LEVELS = np.array([2e-5, 5e-5, 1e-4, 2e-4, 5e-4])  # A
STOPS = np.array([1.2, 1.4, 1.6])  # V
MU = np.array([5.0, -1.0, 2e4, 1.0])
BETWEEN, WITHIN = np.array([0.1, 0.05, 500.0, 0.03]), np.array([0.2, 0.08, 300.0, 0.04])


def made(seed=1, *, slopes=(0.0, 0.0), scale="log", memory=0.0, outliers=0.0, levels=LEVELS):
    """Features on the scale of the model, compliances and stop voltages of every cycle.

    ``slopes``: of r_lrs per unit of the compliance on ``scale``, of log10 r_hrs per volt.
    """
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((DEVICES, CYCLES, 4))
    for n in range(1, CYCLES):
        noise[:, n] += memory * noise[:, n - 1]
    y = MU + (BETWEEN * generator.standard_normal((DEVICES, 4)))[DEVICE]
    y += WITHIN * noise.reshape(-1, 4)
    compliance = generator.choice(levels, len(y))
    stop = generator.choice(STOPS, len(y))
    ratio = compliance / 1e-4
    t = {"log": np.log(ratio), "reciprocal": 1 / ratio - 1, "linear": compliance - 1e-4}[scale]
    y[:, 2] += slopes[0] * t
    y[:, 0] += slopes[1] * (stop - 1.4)
    wild = generator.random(len(y)) < outliers
    y[wild, 2] *= 4.0
    return y, {"compliance": compliance, "stop_voltage": stop}


def table(y, conditions):
    return learn.FeatureTable.build(DEVICE, CYCLE, from_y(y), conditions=conditions)


@pytest.mark.parametrize(("scale", "slope"), [("log", -2000.0), ("reciprocal", 1500.0),
                                              ("linear", -2e7)])  # fmt: skip
@pytest.mark.parametrize("outliers", [0.0, 0.03])
def test_known_coefficients_come_back(scale, slope, outliers):
    """Within 4 standard errors; 3 % of cycles with four times the resistance change nothing."""
    y, conditions = made(slopes=(slope, 1.5), scale=scale, outliers=outliers)
    found = fit_conditions(table(y, conditions)).conditions
    assert found.names == ("compliance", "stop_voltage")
    assert (found.scales[0], list(found.reference)) == (scale, [1e-4, 1.4])
    np.testing.assert_allclose(found.ranges, [[2e-5, 5e-4], [1.2, 1.6]])
    widths = [np.std(found.transformed(name, conditions[name])) for name in found.names]
    errors = 1.1 * WITHIN[[2, 0]] / np.sqrt(len(y)) / widths
    assert abs(found.coefficients[0, 2] - slope) < 4 * errors[0]
    shift = found.shift({"stop_voltage": 1.6}) - found.shift({"stop_voltage": 1.2})
    assert abs(shift[0] - 1.5 * 0.4) < 4 * errors[1] * 0.4
    others = found.coefficients.copy()
    others[0, 2] = others[1, 0] = 0.0
    assert not others.any()


def typical_spread(model):
    """Standard deviation (ohm) of r_lrs over the cycles of the typical device."""
    devices = sf.CellArray(model, 2000, seed=1).device_parameters
    ends = [model.to_features(devices[:, :4] + s * devices[:, 4:])[:, 2] for s in (-1.0, 1.0)]
    return np.median(np.abs(ends[1] - ends[0])) / 2.0


def test_98_percent_of_the_variance_of_r_lrs_are_no_noise():
    """Both the spread of the cycles and their memory are those without the condition."""
    y, conditions = made(slopes=(4000.0, 0.0), scale="reciprocal", memory=0.5)
    plain, _ = made(memory=0.5)
    result = learn.fit(table(y, conditions), order=1)
    share = result.diagnostics["variance_explained_by_conditions"]
    assert share["r_lrs"] > 0.98
    assert share["u_set"] == 0.0
    expected = learn.fit(table(plain, {}), order=1)
    ignored = learn.fit(table(y, {}), order=1)
    spread = [typical_spread(r.model) for r in (result, expected, ignored)]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)
    assert spread[2] > 5 * spread[1]
    lag = [r.model.history(1).autocovariance(1)[1][2, 2] for r in (result, expected, ignored)]
    assert lag[0] == pytest.approx(lag[1], abs=0.05)
    assert lag[2] < 0.1 < lag[1]


def test_cells_at_a_condition_are_those_measured_at_it():
    y, conditions = made(slopes=(-2000.0, 0.0))
    model = learn.fit(table(y, conditions), order=1).model
    for level in LEVELS:
        cells = sf.CellArray(model, 4000, seed=1, condition={"compliance": level})
        measured = y[conditions["compliance"] == level, 2].mean()
        assert cells.features["r_lrs"].mean() == pytest.approx(measured, rel=0.02)


def test_compare_judges_at_the_reference():
    """Cells of the fitted model differ from the measurement as little as its halves."""
    y, conditions = made(slopes=(-2000.0, 1.5))
    measured = table(y, conditions)
    model = learn.fit(measured, order=1).model
    found = learn.compare(model, measured)
    assert found.result("distribution", "r_lrs").ratio < 1.5
    assert found.data_sha256 == measured.digest()
    cycles, seen = loop_features(found, 3)
    np.testing.assert_array_equal(cycles, np.arange(CYCLES))
    mine = next(k for k, name in enumerate(measured.names) if name == found.names[3])
    np.testing.assert_allclose(seen, to_y(measured.values[measured.device == mine]), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_conditions_without_effect_are_left_out(seed, memory):
    y, conditions = made(seed, memory=memory)
    found = fit_conditions(table(y, conditions))
    assert found.conditions is None
    assert found.notes == (
        "compliance: has no effect on the features", "stop_voltage: has no effect on the features"
    )  # fmt: skip


def test_blocks_of_cycles_with_memory_are_no_effect():
    """Slow wander of a device looks like an effect of a condition that changes once."""
    found = []
    for seed in range(5):
        y, _ = made(seed, memory=0.95)
        blocks = np.where(CYCLE < CYCLES // 2, 5e-5, 1e-4)
        found.append(fit_conditions(table(y, {"compliance": blocks})).conditions)
    assert found.count(None) >= 4


def test_a_condition_of_whole_devices_is_reported(caplog):
    """Its effect cannot be separated from the variability between devices."""
    y, _ = made()
    of_device = np.where(DEVICE < 8, 5e-5, 1e-4)
    with caplog.at_level(logging.WARNING):
        result = learn.fit(table(y, {"compliance": of_device}), order=1)
    assert result.model.conditions is None
    assert "compliance: differs between devices but not within any" in caplog.text
    assert "differs between" in result.diagnostics["conditions_not_used"][0]


def test_a_constant_condition_is_none():
    y, _ = made()
    result = learn.fit(table(y, {"compliance": np.full(len(y), 1e-4)}), order=1)
    assert result.model.conditions is None
    assert "conditions_not_used" not in result.diagnostics


def test_cycles_without_a_condition_are_left_out():
    y, conditions = made(slopes=(-2000.0, 0.0))
    conditions["compliance"][:7] = np.nan
    del conditions["stop_voltage"]
    assert learn.fit(table(y, conditions), order=1).diagnostics["cycles"] == len(y) - 7
    conditions["compliance"][: len(y) * 2 // 3] = np.nan
    found = fit_conditions(table(y, conditions))
    assert found.notes == ("compliance: unknown in most cycles",)


def test_cycles_outside_the_range_of_a_model_are_not_compared(caplog):
    y, conditions = made(slopes=(-2000.0, 0.0))
    model = learn.fit(table(y, conditions), order=1).model
    conditions["compliance"][:10] = 1e-3
    with caplog.at_level(logging.WARNING):
        found = at_reference(table(y, conditions), model.conditions)
    assert (~found.complete()).sum() == 10
    assert "10 of 1920 cycles are left out: compliance unknown, or outside the range" in caplog.text
    conditions["compliance"][:] = 1e-3
    with pytest.raises(sf.InvalidValueError, match="compliance of all cycles are outside the ran"):
        learn.compare(model, table(y, conditions))


def test_a_changing_spread_is_reported():
    """The model has one spread; the ratio says how wrong that is."""
    y, conditions = made(slopes=(-2000.0, 0.0))
    wide = conditions["compliance"] < 1e-4
    y[wide, 2] += np.random.default_rng(2).standard_normal(wide.sum()) * 4 * WITHIN[2]
    found = fit_conditions(table(y, conditions))
    assert 0.2 < found.spread_ratio["r_lrs"] < 0.45
    assert 0.8 < found.spread_ratio["u_set"] < 1.25


# ---- tables and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet", "polars", "folder", "npz"])
def test_conditions_survive_files(kind, tmp_path):
    y, conditions = made()
    features = table(y, conditions)
    frame = features.to_pandas()
    if kind == "csv":
        source = tmp_path / "features.csv"
        frame.assign(compliance=1e6 * frame.compliance).rename(
            columns={"compliance": "Icc [uA]", "stop_voltage": "V_stop (V)"}
        ).to_csv(source, index=False)
    elif kind == "parquet":
        source = tmp_path / "features.parquet"
        frame.to_parquet(source)
    elif kind == "folder":
        source = tmp_path / "features"
        source.mkdir()
        for name, part in frame.groupby("device"):
            part.drop(columns="device").to_csv(source / f"{name}.csv", index=False)
    elif kind == "npz":
        source = tmp_path / "features.npz"
        np.savez(source, **{name: frame[name].to_numpy() for name in frame if name != "device"},
                 device=frame["device"].to_numpy().astype(int))  # fmt: skip
    else:
        source = pl.DataFrame(features)
    found = learn.read_features(source)
    assert len(found) == len(features)
    order = [found.names.index(name) for name in features.names]
    index = np.concatenate([np.flatnonzero(found.device == k) for k in order])
    for name, values in features.conditions.items():
        np.testing.assert_allclose(found.conditions[name][index], values, rtol=1e-12)
    assert found.skip(10).conditions["compliance"].shape == (DEVICES * (CYCLES - 10),)
    assert learn.detrended(found).conditions.keys() == conditions.keys()
    assert found.digest() != learn.FeatureTable.build(
        np.asarray(found.names)[found.device], found.cycle, found.values
    ).digest()  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"humidity": np.ones(len(DEVICE))}, "conditions: expected one of compliance, stop_volt"),
        ({"compliance": np.ones(3)}, r"compliance: expected shape \(1920,\), found \(3,\)"),
        ({"compliance": ["a"] * len(DEVICE)}, "compliance: expected"),
    ],
)
def test_wrong_conditions_are_refused(conditions, message):
    with pytest.raises(sf.SynfabError, match=message):
        table(made()[0], conditions)


# ---- loops --------------------------------------------------------------------------------------


def recorded(limits, stops=(1.5,), devices=2, cycles=40):
    """Loops with SET at -1 V, RESET at 1 V, LRS .35 V / limit, which a column holds."""
    parts = []
    for device in range(devices):
        for cycle in range(cycles):
            limit = limits[(7 * cycle + device) % len(limits)]
            one = loop_generator.made_loops(
                cycles=1, limit=limit, r_lrs=0.35 / limit, u_set=-1.0, u_reset=1.0, low=-1.5,
                high=stops[5 * cycle % len(stops)], seed=1000 * device + cycle,
            )  # fmt: skip
            part = {"device": f"D{device}", "cycle": cycle, "voltage": one.voltage[0],
                    "current": one.current[0], "compliance": limit}  # fmt: skip
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


LIMITS = [5e-5, 7e-5, 1e-4, 1.5e-4, 2e-4]


@pytest.fixture(scope="module")
def limited_loops():
    return recorded(LIMITS)


@pytest.mark.parametrize("kind", ["frame", "parquet", "record", "folder"])
def test_the_compliance_is_read_from_its_column(limited_loops, kind, tmp_path, caplog):
    source = limited_loops
    if kind == "parquet":
        source = tmp_path / "loops.parquet"
        limited_loops.to_parquet(source)
    elif kind == "record":
        source = limited_loops.drop(columns="cycle")
    elif kind == "folder":
        source = tmp_path / "loops"
        source.mkdir()
        for (device, cycle), part in limited_loops.groupby(["device", "cycle"]):
            part.drop(columns=["device", "cycle"]).to_csv(
                source / f"{device}_{cycle:03d}.csv", index=False
            )
    with caplog.at_level(logging.WARNING):
        found = learn.extract_features(learn.read_sweeps(source))
    assert not caplog.text
    assert len(found) > 0.9 * 80
    np.testing.assert_allclose(np.unique(found.conditions["compliance"]), LIMITS)
    slope = fit_conditions(found).conditions
    assert slope.scales == ("reciprocal",)
    assert slope.coefficients[0, 2] == pytest.approx(3500.0, rel=0.02)


def test_varying_limits_are_detected_without_a_column(limited_loops, caplog):
    with caplog.at_level(logging.WARNING):
        found = learn.extract_features(limited_loops.drop(columns="compliance"))
    assert "compliance: not recorded, but the loops have 5 levels from 5e-05 to 0.0002" in (
        caplog.text
    )
    np.testing.assert_allclose(np.unique(found.conditions["compliance"]), LIMITS, rtol=2e-3)
    result = learn.fit(found, order=1)
    assert result.diagnostics["conditions"]["compliance"].endswith("detected")
    assert result.diagnostics["variance_explained_by_conditions"]["r_lrs"] > 0.98
    assert result.model.provenance["notes"]["detected_conditions"] == ["compliance"]
    coefficient = result.model.conditions.coefficients[0, 2]
    assert coefficient == pytest.approx(3500.0, rel=0.02)


def test_stop_voltages_are_detected(caplog):
    with caplog.at_level(logging.WARNING):
        found = learn.extract_features(recorded([1e-4], stops=(1.3, 1.5, 1.7)).iloc[:, :-1])
    assert list(np.unique(found.conditions["stop_voltage"])) == pytest.approx([1.3, 1.5, 1.7])
    assert "stop_voltage: not recorded, but the loops have 3 levels" in caplog.text


def test_one_compliance_is_no_condition(caplog):
    with caplog.at_level(logging.WARNING):
        found = learn.extract_features(recorded([1e-4], cycles=20).iloc[:, :-1])
    assert dict(found.conditions) == {}
    assert not caplog.text
    model = learn.fit(found, order=1).model
    assert model.compliance == pytest.approx(1e-4, rel=0.01)


def test_a_continuous_spread_of_limits_is_no_setting():
    """It can be an effect of the cells; levels are few values with gaps between them."""
    generator = np.random.default_rng(1)
    assert find_levels(np.exp(0.3 * generator.standard_normal(300)), 1.03) is None
    noisy = generator.choice([1.0, 1.5, 2.0], 300) * (1 + 0.005 * generator.standard_normal(300))
    noisy[:4] = np.inf
    found = find_levels(noisy, 1.03)
    assert np.isnan(found[:4]).all()
    np.testing.assert_allclose(np.unique(found[4:]), [1.0, 1.5, 2.0], rtol=0.005)


# ---- generated loops ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(limited_loops):
    features = learn.extract_features(limited_loops)
    return learn.fit(features, limited_loops, order=1).model


@pytest.mark.parametrize("compliance", [None, 7e-5])
def test_generated_loops_respect_the_compliance(model, limited_loops, compliance, tmp_path):
    from synfab.cli.demo import measure

    limit = compliance or 1e-4
    cells = model.at(compliance=compliance) if compliance else model
    measured = list(measured_loops(learn.read_sweeps(limited_loops), ["D0", "D1"], 10).values())
    loops = generated_loops(cells, measured, seed=1)
    shown = sweep(sf.CellArray(cells, 8, order=1, seed=1), Program(-1.5, 1.5, 5))
    measure(cells, tmp_path / "loops.csv")
    written = pd.read_csv(tmp_path / "loops.csv")
    for voltage, current in (
        *((one.voltage, one.current) for one in loops),
        (np.broadcast_to(shown.voltage[:, None], shown.current.shape), shown.current),
        (written["Voltage [V]"], 1e-6 * written["Current [uA]"]),
    ):
        lowest = np.nanmin(np.where(voltage < 0, current, np.inf))
        assert lowest == pytest.approx(-limit, rel=1e-3)
        assert np.nanmax(current) > 1.5 * limit


def test_a_report_is_written_for_a_model_with_conditions(model, limited_loops, tmp_path):
    features = learn.extract_features(limited_loops)
    found = learn.compare(model, features)
    result = learn.fit(features, limited_loops, order=1)
    sf.report.save_report(
        found, tmp_path / "a.html", sweeps=limited_loops, diagnostics=result.diagnostics
    )
    text = (tmp_path / "a.html").read_text()
    assert "The means depend on compliance" in text
    assert "That explains of the variance" in text


# ---- command line -------------------------------------------------------------------------------


def synfab(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from synfab.cli.app import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_line_reads_conditions_and_makes_cells_at_them(limited_loops, tmp_path):
    loops, model = tmp_path / "loops.csv", tmp_path / "model.json"
    limited_loops.rename(columns={"compliance": "Compliance [A]"}).to_csv(loops, index=False)
    done = synfab("fit", loops, "-o", model)
    assert done.returncode == 0, done.stderr
    plain = " ".join(done.stdout.split())
    assert "depend on compliance (5e-05 … 0.0002 A, reciprocal, median 0.0001)." in plain
    assert "That explains of the variance" in plain
    facts = json.loads(synfab("info", model, "--json").stdout)
    assert facts["conditions"][0]["name"] == "compliance"
    options = ("simulate", "--cells", 50, "--program", "-3", "--no-noise", "--model", model)
    currents = {}
    for value in ("5e-5", "2e-4"):
        output = tmp_path / f"{value}.csv"
        done = synfab(*options, "-o", output, "--condition", f"compliance={value}")
        assert done.returncode == 0, done.stderr
        currents[value] = pd.read_csv(output).iloc[:, -1].median()
    assert currents["2e-4"] / currents["5e-5"] == pytest.approx(4.0, rel=0.1)
    for wrong, message in (
        ("compliance=1", "compliance: expected 5e-05 … 0.0002 A, the range measured, found 1"),
        ("compliance", "--condition: expected name=number, such as compliance=50e-6"),
        ("power=1", "condition: expected compliance, found 'power'"),
        ("compliance=1e-4,compliance=1e-4", "--condition: compliance occurs twice"),
    ):
        done = synfab(*options, "-o", tmp_path / "no.csv", "--condition", wrong)
        assert done.returncode == 2
        assert done.stderr.startswith(f"synfab: {message}")
        assert not (tmp_path / "no.csv").exists()
