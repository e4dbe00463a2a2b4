"""Learning from I-V sweeps: extraction and curves, real loops, readers, bad input."""

import contextlib
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import published_measurements
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

import synfab as sf
from synfab import learn
from synfab.cli.app import app
from synfab.learn.loops import Loops
from synfab.learn.readers.parquet import read_parquet
from synfab.pulses.program import read_program

DATA = Path(os.environ.get("SYNFAB_DATA", Path(__file__).parents[3] / "shared" / "data"))
real = pytest.mark.skipif(
    not (DATA / "py-ivtools" / "ivloops.npz").is_file(),
    reason="the real measurements are not on this machine (set SYNFAB_DATA)",
)

DEVICES, CYCLES = 48, 100


@pytest.fixture(scope="module")
def measured():
    return published_measurements.measured_sweeps(DEVICES, CYCLES, seed=1)


@pytest.fixture(scope="module")
def small(measured):
    voltage, current, _ = measured
    return voltage, current[:2, :20]


def tidy(small, **names):
    voltage, current = small
    devices, cycles, points = current.shape
    columns = {
        names.get("device", "device"): np.repeat(np.arange(devices), cycles * points),
        names.get("cycle", "cycle"): np.tile(np.repeat(np.arange(cycles), points), devices),
        names.get("voltage", "voltage"): np.tile(voltage, devices * cycles),
        names.get("current", "current"): current.ravel(),
    }
    return pd.DataFrame(columns)


def same(found, small):
    """The features of these sweeps equal those of the plain arrays."""
    expected = learn.extract_features(learn.sweeps_from_arrays(*small), conduction=None)
    got = learn.extract_features(found, conduction=None)
    np.testing.assert_allclose(got.values, expected.values, rtol=1e-6)
    np.testing.assert_array_equal(got.cycle, expected.cycle)


# ---- extraction ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_extracted_features_are_the_true_ones(measured):
    """0.5 uA noise, 1 uA offset, 0.1 uA steps: medians within 1 % and 10 mV, no cycle misjudged."""
    voltage, current, true = measured
    features = learn.extract_features(learn.sweeps_from_arrays(voltage, current))
    assert len(features) >= 0.999 * DEVICES * CYCLES
    device = np.array([int(name) for name in features.names])[features.device]
    error = features.values - true[device, features.cycle]
    relative = np.abs(error / true[device, features.cycle])
    assert np.median(relative[:, 0]) <= 0.01
    assert np.median(relative[:, 2]) <= 0.01
    assert np.median(np.abs(error[:, 1])) <= 0.010
    assert np.median(np.abs(error[:, 3])) <= 0.010
    misjudged = (np.abs(error[:, [1, 3]]) > 0.1).any(axis=1) | (relative[:, [0, 2]] > 0.3).any(
        axis=1
    )
    assert misjudged.mean() <= 0.001


@pytest.mark.slow
def test_the_curves_come_back(measured, published):
    """Within 2 % of full scale for every state between typical LRS and HRS; eta and U_max."""
    voltage, current, _ = measured
    fit = learn.fit_conduction(learn.sweeps_from_arrays(voltage, current))
    ours, exact = fit.conduction, published.conduction
    u = np.linspace(-1.4, 1.4, 200)
    full_scale = np.abs(exact.current(0.0, u)).max()
    for resistance in (4.2e3, 5e3, 1e4, 3e4, 1e5):
        g = 1.0 / resistance
        curves = [c.current((c.g_llrs - g) / (c.g_llrs - c.g_hhrs), u) for c in (ours, exact)]
        assert np.abs(curves[0] - curves[1]).max() <= 0.02 * full_scale
    assert abs(ours.u_max - exact.u_max) < 0.02
    assert abs(ours.eta - exact.eta) < 0.3
    assert fit.residual < 6e-7


def test_loops_without_switching_are_counted_not_invented(measured):
    voltage, current, _ = measured
    part = current[:1, :30].copy()
    part[0, 5] = 1e-4 * voltage + 1e-6  # a resistor
    part[0, 9, :] = np.nan  # nothing was recorded
    part[0, 12] = np.where(voltage > 0, np.minimum(part[0, 12], 4e-5), part[0, 12])  # clipped
    features = learn.extract_features(learn.sweeps_from_arrays(voltage, part))
    assert len(features) == 27
    assert features.rejected["no SET"] == 1
    assert features.rejected["too few points"] == 1
    assert features.rejected["current clipped"] == 1
    assert not set(features.cycle) & {5, 9, 12}


def test_too_few_loops_for_curves_give_slopes_and_say_so(small):
    voltage, current = small
    found = learn.extract_features(learn.sweeps_from_arrays(voltage, current[:1, :2]))
    assert len(found) == 2
    assert "evaluated; need 3" in found.notes["slopes_only"]


def test_offset_and_steps_do_not_matter(measured, published):
    voltage, current, _ = measured
    clean = learn.extract_features(
        learn.sweeps_from_arrays(voltage, current[:4, :20]), conduction=published.conduction
    )
    shifted = learn.extract_features(
        learn.sweeps_from_arrays(voltage, np.rint(current[:4, :20] / 2e-7) * 2e-7 + 5e-6),
        conduction=published.conduction,
    )
    np.testing.assert_allclose(np.median(shifted.values / clean.values, axis=0), 1.0, atol=0.01)


def test_mirrored_and_unipolar_data_mean_the_same(small):
    voltage, current = small
    same(learn.sweeps_from_arrays(-voltage, -current), small)
    assert learn.sweeps_from_arrays(-voltage, -current).mirrored()
    plain = learn.extract_features(learn.sweeps_from_arrays(voltage, current), conduction=None)
    magnitude = learn.extract_features(
        learn.sweeps_from_arrays(voltage, np.abs(current)), conduction=None
    )
    np.testing.assert_allclose(np.median(magnitude.values / plain.values, axis=0), 1.0, atol=0.25)


def test_loops_that_begin_with_reset_are_the_same_loops(small):
    """Half a loop later: SET n then comes with the RESET of the next row, the last has none."""
    voltage, current = small
    half = len(voltage) // 2
    record = np.roll(current.reshape(2, -1), -half, axis=1)[:, : -2 * half]
    shifted = learn.sweeps_from_arrays(np.roll(voltage, -half), record.reshape(2, 19, -1))
    found = learn.extract_features(shifted, conduction=None)
    plain = learn.extract_features(learn.sweeps_from_arrays(voltage, current), conduction=None)
    assert found.rejected == {"no positive half": 2}
    np.testing.assert_allclose(found.values[:18, 1], plain.values[1:19, 1], atol=1e-9)
    np.testing.assert_allclose(found.values[:18, 3], plain.values[1:19, 3], atol=1e-9)


def test_current_counted_the_other_way_round(small):
    voltage, current = small
    same(learn.sweeps_from_arrays(voltage, -current), small)


def test_mixed_polarity_is_named(small):
    voltage, current = small
    volts = np.stack([np.tile(voltage, (20, 1)), np.tile(-voltage, (20, 1))])
    both = learn.sweeps_from_arrays(volts, np.stack([current[0], -current[1]]))
    with pytest.raises(sf.InvalidValueError, match="polarity: device 0 and device 1"):
        list(both.devices())


# ---- files --------------------------------------------------------------------------------------


def test_the_same_loops_from_every_kind_of_file(small, tmp_path):
    h5py = pytest.importorskip("h5py")
    frame = tidy(small)
    voltage, current = small
    full = np.broadcast_to(voltage, current.shape)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_pickle(tmp_path / "a.pkl")
    np.savez(tmp_path / "a.npz", V=full, I=current)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["voltage [mV]"], file["current [uA]"] = full * 1e3, current * 1e6
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for k in range(2):
            file[f"cell{k}/V"], file[f"cell{k}/I"] = full[k], current[k]
    rows = pd.DataFrame(
        {
            "dev": np.repeat([0, 1], 20),
            "V": [voltage] * 40,
            "I": list(current.reshape(40, -1)),
        }
    )
    rows.to_parquet(tmp_path / "rows.parquet")
    for name in (
        *("a.csv", "a.tsv", "comma.csv", "a.parquet", "a.npz", "a.h5", "b.h5", "rows.parquet"),
    ):
        same(learn.read_sweeps(tmp_path / name), small)
    same(learn.read_sweeps(tmp_path / "a.pkl", allow_pickle=True), small)
    with pytest.raises(sf.FileFormatError, match="opening a pickle file can execute any code"):
        learn.read_sweeps(tmp_path / "a.pkl")
    tidy((voltage, current[:1, :6])).to_excel(tmp_path / "a.xlsx", index=False)
    assert len(next(learn.read_sweeps(tmp_path / "a.xlsx").devices()).cycles) == 6


@pytest.mark.parametrize("kind", ["string_view", "binary_view", "bool"])
def test_devices_of_any_kind_of_name(small, tmp_path, kind):
    import pyarrow as pa
    from pyarrow import parquet as pq

    frame = tidy(small)
    names = {"string_view": ["a", "b"], "binary_view": [b"a", b"b"], "bool": [False, True]}[kind]
    column = pa.array(
        [names[k] for k in frame["device"]], getattr(pa, kind.replace("bool", "bool_"))()
    )
    table = pa.Table.from_pandas(frame).set_column(0, "device", column)
    pq.write_table(table, tmp_path / "names.parquet")
    found = learn.read_sweeps(tmp_path / "names.parquet")
    assert [device.name for device in found.devices()] == [str(name) for name in names]
    same(found, small)


@pytest.mark.parametrize("digits", [("decimal128", 20, 9), ("decimal256", 60, 12)])
def test_decimals_are_numbers(small, tmp_path, digits):
    """DuckDB and Spark write literals such as 1.5 as decimals."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    kind = getattr(pa, digits[0])(*digits[1:])
    voltage, current = (np.round(x, 9) for x in small)
    table = pa.Table.from_pandas(tidy((voltage, current)))
    for name in ("cycle", "voltage", "current"):
        column = pa.array([Decimal(f"{x:.9f}") for x in table[name].to_pylist()], kind)
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, tmp_path / "points.parquet")
    same(learn.read_sweeps(tmp_path / "points.parquet"), (voltage, current))
    pq.write_table(table.select(["voltage"]), tmp_path / "program.parquet")
    assert read_program(str(tmp_path / "program.parquet"))[:9] == voltage[:9].tolist()
    rows = {name: pa.array([Decimal(f"{k}.1") for k in range(800, 810)], kind)
            for name in ("r_hrs", "u_set", "r_lrs", "u_reset")}  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "features.parquet")
    frame = read_parquet(tmp_path / "features.parquet")
    assert (frame.dtypes == np.float64).all()
    assert frame["u_set"].tolist() == [k + 0.1 for k in range(800, 810)]


@pytest.mark.parametrize(
    ("names", "scale"),
    [
        ({"voltage": "Voltage [V]", "current": "Current Probe (A)"}, (1, 1)),
        ({"voltage": "V (mV)", "current": "I1 [\u00b5A]"}, (1e3, 1e6)),
        ({"voltage": "U", "current": "measured_current [nA]", "device": "DUT"}, (1, 1e9)),
    ],
)
def test_names_and_units_people_use(small, names, scale):
    frame = tidy(small, **names)
    frame[names["voltage"]] *= scale[0]
    frame[names["current"]] *= scale[1]
    same(learn.read_sweeps(frame), small)


def test_a_continuous_record_is_split_into_loops(small):
    frame = tidy(small).drop(columns="cycle")
    same(learn.read_sweeps(frame), small)


def test_keithley_overflow_is_missing(small):
    frame = tidy(small)
    frame.loc[3, "current"] = 9.91e37
    found = learn.extract_features(learn.read_sweeps(frame), conduction=None)
    assert len(found) == 40


def test_shuffled_cycles_are_sorted_and_scattered_devices_named(small, tmp_path):
    frame = tidy(small)
    order = np.argsort(frame["cycle"].to_numpy() * 7919 % 20, kind="stable")
    same(learn.read_sweeps(frame.iloc[order]), small)
    frame.iloc[order].to_parquet(tmp_path / "scattered.parquet")
    with pytest.raises(sf.InvalidValueError, match="are not contiguous"):
        list(learn.read_sweeps(tmp_path / "scattered.parquet").devices())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("voltage,current\n", "a header and no rows"),
        ("foo,bar\n1,2\n", "none for voltage, current; found 'foo', 'bar'"),
        ("voltage,current\n1,abc\n", "current: expected numbers, found 'abc' in data row 1"),
        ("voltage [kg],current\n1,1\n", "expected a unit of voltage"),
        ("V,U,current\n1,1,1\n", "both 'V' and 'U' fit"),
        ("1,2,3\n4,5,6\n", "no header line, found 3 columns"),
        ("voltage,current\n1500,1e-3\n-1500,1e-3\n", "voltage \\[mV\\]"),
        ("voltage,current\n0.1,1e-6\n", "no loop"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(sf.SynfabError, match=message) as caught:
        learn.extract_features(learn.read_sweeps(path), conduction=None)
    assert "\n" not in str(caught.value)


def test_swapped_columns_are_noticed(small):
    frame = tidy(small).rename(columns={"voltage": "current", "current": "voltage"})
    seen = r"has -0\.0\S+ … 0\.0\S+ V and currents of -\d\S+ … \d\S+ A; expected"
    with pytest.raises(sf.InvalidValueError, match=seen):
        list(learn.read_sweeps(frame).devices())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".parquet", ".npz", ".h5"]))
def test_any_bytes_give_one_line(tmp_path, data, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(data)
    with pytest.raises(sf.SynfabError) as caught:
        learn.extract_features(learn.read_sweeps(path), conduction=None)
    assert "\n" not in str(caught.value)


@settings(max_examples=40)
@given(
    arrays(np.float64, (2, 3, 24), elements=st.floats(-1e3, 1e3) | st.just(np.nan)),
    arrays(np.float64, (2, 3, 24), elements=st.floats(-1.0, 1.0) | st.just(np.inf)),
)
def test_any_numbers_give_features_or_one_line(voltage, current):
    sweeps = learn.sweeps_from_arrays(voltage, current)
    with contextlib.suppress(sf.SynfabError):
        found = learn.extract_features(sweeps, conduction=None)
        assert len(found) + sum(found.rejected.values()) <= 6
        assert np.isfinite(found.values).all()


# ---- real measurements and the command line -----------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@real
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("py-ivtools/ivloops.npz", ()),
        (
            "NI-RRAM-Python/1us_endurance.tsv",
            ("--columns", "device,r_lrs,r_hrs,cycle", "--u-set", "-1", "--u-reset", "1,0.05"),
        ),
        ("Anjiang-RRAM-Python/endurance_log.csv", ("--u-set", "-1.3", "--u-reset", "2.5")),
        ("Anjiang-RRAM-Python/endurance_log_many.csv", ("--u-set", "-1.0", "--u-reset", "2.5")),
    ],
)
def test_real_data_fits_with_one_command(tmp_path, name, options):
    """Distances within twice what one half of the measurement is from the other."""
    model, page = tmp_path / "model.json", tmp_path / "page.html"
    fitted = run("fit", DATA / name, "-o", model, *options, "--json")
    assert fitted.exit_code == 0
    features = learn.read_any(
        DATA / name,
        columns={"device": "0", "r_lrs": "1", "r_hrs": "2", "cycle": "3"} if "NI" in name else None,
        u_set=-1.0,
        u_reset=(1.0, 0.05) if "NI" in name else 2.5,
    )
    if isinstance(features, learn.Sweeps):
        features = learn.extract_features(features)
    found = learn.compare(sf.load_model(model), features)
    for feature in ("r_hrs", "r_lrs"):
        assert found.result("distribution", feature).ratio <= 2.0
    compared = run("compare", model, DATA / name, "--report", page, *options)
    assert compared.exit_code == 0
    assert page.stat().st_size > 100_000


@real
def test_real_loops_are_judged_where_a_person_would(tmp_path):
    sweeps = learn.read_sweeps(DATA / "py-ivtools" / "ivloops.npz")
    features = learn.extract_features(sweeps)
    assert len(features) == 100
    assert not features.rejected
    assert features.notes["compliance_A"] == pytest.approx(3e-4, rel=0.03)
    middle = np.median(features.values, axis=0)
    assert 15e3 < middle[0] < 60e3
    assert -1.05 < middle[1] < -0.75
    assert 2.5e3 < middle[2] < 3.2e3
    assert 0.7 < middle[3] < 1.0
    from synfab.figures.learn import extracted_loops

    loops = Loops(next(sweeps.devices()), 0.2, learn.fit_conduction(sweeps).conduction)
    extracted_loops(loops).savefig(tmp_path / "loops.png")
    assert (tmp_path / "loops.png").stat().st_size > 10_000


def test_the_command_line_from_loops_to_page(measured, tmp_path):
    voltage, current, _ = measured
    frame = tidy((voltage, current[:6, :60]))
    frame.to_parquet(tmp_path / "cycling.parquet")
    model, page = tmp_path / "m.json", tmp_path / "p.html"
    done = run("fit", tmp_path / "cycling.parquet", "-o", model, "--order", "2")
    assert done.exit_code == 0
    assert "polynomials of degree 6" in " ".join(done.output.split())
    assert sf.load_model(model).name == "cycling"
    assert run("compare", model, tmp_path / "cycling.parquet", "--report", page).exit_code == 0
    assert page.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "nowhere.csv", "-o", "m.json"), "no such file"),
        (("fit", "x.doc", "-o", "m.json"), "expected a file that ends in"),
        (("fit", "a.csv", "-o", "m.json", "--order", "many"), "--order: expected"),
        (("fit", "a.csv", "-o", "m.json", "--u-set", "low"), "--u-set: expected V"),
        (("fit", "a.csv", "-o", "m.json", "--columns", "voltage=a,b"), "--columns: expected"),
        (("compare", "nowhere.json", "a.csv"), "cannot read the model file"),
    ],
)
def test_bad_commands_are_one_line(small, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    tidy(small).to_csv("a.csv", index=False)
    with pytest.raises(sf.SynfabError, match=message):
        run(*arguments)
