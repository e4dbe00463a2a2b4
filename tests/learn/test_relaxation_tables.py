"""Tables of reads over time that cannot be right: one line names the column and what is allowed."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import synfab as sf
from synfab import learn
from synfab.cli.app import app


def good(cells=30):
    """Reads of some cells at two times after programming."""
    g = np.linspace(1e-5, 1e-4, cells)
    moved = 1e-7 * np.cos(np.arange(cells))
    return pd.DataFrame({
        "device": np.tile(np.arange(cells), 2), "time": np.repeat([1.0, 100.0], cells),
        "conductance": np.concatenate([g + moved, g - moved]), "programmed": np.tile(g, 2),
    })  # fmt: skip


def with_value(column, value):
    frame = good()
    frame.loc[3, column] = value
    return frame


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (with_value("time", -1.0), "time: expected 0 … 1e+18 s, found -1 in data row 4"),
        (with_value("time", np.inf), "time: expected 0 … 1e+18 s, found none in data row 4"),
        (with_value("time", np.nan), "time: expected 0 … 1e+18 s, found none in data row 4"),
        (with_value("time", 1e30), "time: expected 0 … 1e+18 s, found 1e+30 in data row 4"),
        (good().assign(conductance=lambda t: 1e6 * t.conductance), "conductance: expected up to 1"),
        (good().assign(programmed=lambda t: 1e6 * t.programmed), "programmed: expected up to 1 S"),
        (good().assign(conductance=lambda t: -t.conductance), "conductance: expected positive"),
        (good().assign(programmed=lambda t: -t.programmed), "programmed: expected positive"),
        (good().assign(temperature=0.0), "temperature: expected K above 0"),
        (good().assign(temperature=25.0), "temperature: found 25 without a unit"),
        (good().assign(**{"temperature [degC]": -300.0}), "temperature: expected K above 0"),
        (good().assign(**{"temperature [F]": 80.0}), "expected K or degC, found 'F'"),
        (good().rename(columns={"time": "time [V]"}), "expected a unit of time"),
        (good().drop(columns="time"), "time: no such column"),
        (good().drop(columns="conductance"), "conductance: no such column, and neither resistance"),
        (good().rename(columns={"conductance": "current"}), "conductance: no such column"),
        (good().iloc[:0], "found a header and no rows"),
        (good().assign(conductance=np.nan), "conductance: found no number in any row"),
        (good().assign(conductance=lambda t: t.programmed), "conductance: expected changes"),
        (good().iloc[:30].drop(columns="programmed"), "every cell was read once"),
        (good().assign(resistance=0.0).drop(columns="conductance"), "resistance: expected ohm"),
        (good().assign(g0=1.0), "programmed: both 'programmed' and 'g0' fit"),
        (good().assign(conductance="much"), "expected numbers, found 'much' in data row 1"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(table, message):
    with pytest.raises(sf.SynfabError) as caught:
        learn.read_relaxation(table)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature: expected above 0"),
        ({"temperature": np.inf}, "temperature: expected finite"),
        ({"rate": 0.0}, "rate: expected above 0"),
        ({"rate": 10.0}, "conductance: expected rows of 256 or more samples"),
        ({"rate": 10.0, "columns": {"device": "device"}}, "columns: expected the names"),
        ({"columns": ["device"]}, "columns: expected a name for each of the 4 columns"),
        ({"columns": {"age": "time"}}, "columns: expected names among"),
        ({"columns": {"time": "when"}}, "columns: no column 'when'"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(sf.SynfabError, match=message):
        learn.read_relaxation(good(), **options)


def test_too_few_cells_and_wrong_options_of_the_fit_are_refused():
    with pytest.raises(sf.InvalidValueError, match="expected 20 or more cells"):
        learn.fit_traps(good(10))
    with pytest.raises(sf.InvalidValueError, match="data: expected one or more tables"):
        learn.fit_traps([])
    with pytest.raises(sf.SynfabError, match="empty Relaxation"):
        learn.fit_traps(learn.Relaxation())
    for name, value in (("nodes", 0), ("per_decade", 0), ("replicates", 2), ("seed", -1)):
        with pytest.raises(sf.SynfabError, match=f"{name}: expected"):
            learn.fit_traps(good(), **{name: value})


def test_missing_reads_and_cells_read_once_are_left_out_and_counted():
    frame = good()
    frame.loc[3, "conductance"] = np.nan
    frame.loc[[4, 34], "conductance"] = np.nan
    found = learn.read_relaxation(frame)
    assert len(found.changes[0].g) == 29
    missing = np.isnan(found.changes[0].change)
    np.testing.assert_allclose(found.changes[0].g[missing[:, 0]], good().programmed[3])
    assert missing.sum() == 1
    assert "3 reads without a conductance" in found.notes[0]
    assert learn.read_relaxation(good().drop(columns="programmed")).changes[0].start == 1.0


def test_the_command_line_refuses_in_one_line(tmp_path):
    file = tmp_path / "reads.csv"
    good().assign(time=-1.0).to_csv(file, index=False)
    for arguments, message in (
        (["--relaxation", str(file)], "time: expected 0 … 1e+18 s"),
        ([], "SOURCE: expected a measurement"),
        (["--relaxation", str(file), "--rate", "1", "--rate", "2"], "--rate: expected one"),
        (["--relaxation", str(tmp_path / "none.csv")], "no such file"),
        (["--relaxation", str(file), "--columns", "a,b"], "--columns: has no effect without"),
        (["--relaxation", str(file), "--order", "3"], "--order: has no effect without SOURCE"),
        ([str(file), "--rate", "3"], "--rate: has no effect without --relaxation"),
        (["--relaxation", str(file), "--report", "a.html"], "--report: compares"),
    ):
        done = CliRunner().invoke(app, ["fit", "-o", str(tmp_path / "m.json"), *arguments])
        assert done.exit_code != 0
        assert message in " ".join((done.output + str(done.exception or "")).split())
        assert not (tmp_path / "m.json").exists()


def test_columns_that_have_no_effect_are_named():
    found = learn.read_relaxation(good().assign(wafer=3, operator="x"))
    assert any("'wafer', 'operator'" in note for note in found.notes)
    assert not learn.read_relaxation(good()).notes


def test_usual_names_of_columns_are_known():
    names = {
        "device": "Device ID", "time": "Elapsed time (s)", "conductance": "G_meas (S)",
        "programmed": "G_target (S)",
    }  # fmt: skip
    found, expected = learn.read_relaxation(good().rename(columns=names)), good()
    assert found.changes[0].start == 0.0
    np.testing.assert_allclose(np.sort(found.changes[0].g), expected.programmed[:30])


def test_a_message_about_columns_names_the_option_for_them():
    with pytest.raises(sf.InvalidValueError, match="--relaxation-columns"):
        learn.read_relaxation(good().rename(columns={"conductance": "value"}))


@pytest.mark.parametrize("times", [(1e-20, 1e-18), (1e-300, 1.0), (1.0, 1e18)])
@pytest.mark.parametrize("temperature", [1.0, 2000.0])
def test_extreme_times_and_temperatures_can_be_fitted(times, temperature):
    table = good().assign(temperature=temperature).rename(columns={"temperature": "temp [K]"})
    table["time"] = np.repeat(times, 30)
    traps = learn.fit_traps(table, replicates=20).traps
    assert traps.attempt_time < traps.time_constants[0]


def test_a_single_cell_that_changed_can_be_fitted():
    """In some bootstrap samples no cell changes, so their standard deviation is 0."""
    table = good().assign(conductance=lambda t: t.programmed)
    table.loc[5, "conductance"] = 1.1e-4
    assert np.isfinite(learn.fit_traps(table, replicates=20).misfit)


def test_the_scatter_of_a_chuck_is_one_temperature():
    frame = good(60)
    kelvin = 300.0 + np.random.default_rng(1).normal(0.0, 0.5, len(frame))
    found = learn.read_relaxation(frame.assign(temperature=kelvin))
    assert len(found.changes) == 1
    assert found.changes[0].temperature == pytest.approx(kelvin.mean())
    two = learn.read_relaxation(
        pd.concat([frame.assign(temperature=kelvin),
                   frame.assign(temperature=kelvin + 80.0, device=frame["device"] + 1000)])
    )  # fmt: skip
    assert [round(one.temperature) for one in two.changes] == [300, 380]
