"""Traps are recovered from reads over time, and a result says what the data did not determine."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from relaxation_tables import TIMES, known_traps, programmed, reads, traces
from typer.testing import CliRunner

import synfab as sf
from synfab import learn
from synfab.cli.app import app
from synfab.learn.traps.moments import change_moments, expected, remaining_at
from synfab.learn.traps.statistics import bootstrapped

DATA = Path(os.environ.get("SYNFAB_DATA", Path(__file__).parents[3] / "shared" / "data"))
MEASURED = DATA / "RRAM-Relaxation-Master-Model" / "techC_relaxation.tsv.gz"
real = pytest.mark.skipif(
    not MEASURED.is_file(),
    reason="the real measurements are not on this machine (set SYNFAB_DATA)",
)
NOISE = 0.3e-6


@pytest.fixture(scope="module")
def table():
    return reads(known_traps(), noise=NOISE)


@pytest.fixture(scope="module")
def fit(table):
    return learn.fit_traps(table)


# ---- closed forms -------------------------------------------------------------------------------


def test_moments_are_those_of_cells_of_the_reference():
    """Raw moments and products of the changes within 5 standard errors of 40,000 cells."""
    traps, count, times = known_traps(occupancy=0.3), 40_000, np.array([0.02, 3.0, 5e3])
    cells, _ = programmed(traps, count)
    cells.set_conductance(120e-6)
    found, elapsed = [], 0.0
    for t in times:
        cells.wait(t - elapsed)
        elapsed = t
        found.append(cells.model.conduction.conductance(np.asarray(cells.r, np.float64)) - 120e-6)
    x = np.stack(found, axis=1)
    left = remaining_at(traps, times, 0.0, 300.0)
    raw, joint = change_moments(traps, np.array([120e-6]), left)
    for n in range(4):
        power = x ** (n + 1)
        error = power.std(axis=0) / np.sqrt(count)
        np.testing.assert_array_less(np.abs(power.mean(axis=0) - raw[n, 0]), 5.0 * error)
    products = x[:, :, None] * x[:, None, :]
    error = products.std(axis=0) / np.sqrt(count)
    np.testing.assert_array_less(np.abs(products.mean(axis=0) - joint[0]), 5.0 * error)


def test_moments_from_a_later_reference_are_those_of_the_difference():
    """The second moment of x(t) - x(t_0) follows from those of x(t) and x(t_0)."""
    traps, g = known_traps(initial_occupancy=0.7, raising=0.2), np.array([100e-6])
    _, both = change_moments(traps, g, remaining_at(traps, np.array([0.1, 10.0]), 0.0, 300.0))
    raw, _ = change_moments(traps, g, remaining_at(traps, np.array([10.0]), 0.1, 300.0))
    direct = both[0, 0, 0] + both[0, 1, 1] - 2.0 * both[0, 0, 1]
    np.testing.assert_allclose(raw[1, 0, 0], direct, rtol=1e-9)


# ---- known traps --------------------------------------------------------------------------------


def test_known_traps_are_recovered_within_their_errors(fit):
    """Amplitudes, spreads, orientation and equilibrium within 4 standard errors."""
    known = known_traps()
    inside = (fit.traps.conductance > 30e-6) & (fit.traps.conductance < 190e-6)
    found, error = fit.traps.amplitude[inside], fit.errors["amplitude"][inside]
    wanted = known.amplitude_at(fit.traps.conductance[inside])
    np.testing.assert_array_less(np.abs(found - wanted), 4.0 * error)
    np.testing.assert_array_less(error, 0.3 * wanted)
    assert abs(fit.traps.trap_spread - 0.5) < max(4.0 * fit.errors["trap_spread"], 0.1)
    raising = known.raising_at(fit.traps.conductance)
    error = np.hypot(fit.errors["raising"], 0.02)
    np.testing.assert_array_less(np.abs(fit.traps.raising - raising), 4.0 * error)
    q, error = fit.traps.occupancy[1:7], np.hypot(fit.errors["occupancy"][1:7], 0.02)
    np.testing.assert_array_less(np.abs(q - 0.1), 4.0 * error)


def test_read_noise_is_not_attributed_to_traps(fit):
    assert fit.read_noise == pytest.approx(NOISE, rel=0.2)


def test_a_fit_describes_cells_that_it_has_not_seen(fit):
    other = learn.read_relaxation(reads(known_traps(), noise=NOISE, seed=2)).changes[0]
    measured, _, error = bootstrapped(other.change, 100, 1)
    found = expected(fit.traps, other, fit.read_noise)
    deviations = np.concatenate(
        [(a - b) / e for a, b, e in zip(found, measured, error, strict=True)]
    )
    assert np.mean(np.abs(deviations) < 3.0) > 0.9


def test_a_result_is_reproducible_and_says_what_determined_it(fit, table):
    again = learn.fit_traps(table)
    np.testing.assert_array_equal(again.traps.amplitude, fit.traps.amplitude)
    assert fit.sources["attempt_time"] == "default 1e-13 s: one temperature"
    assert fit.sources["initial_occupancy"] == "default"
    assert fit.sources["raising"].startswith("3000 cells at 300 K")
    assert "beyond the data" in " ".join(fit.notes)
    assert "misfit" in repr(fit)
    json.dumps(fit.summary())
    model = sf.load_model("published").replace(traps=fit.traps)
    assert model.traps is fit.traps


# ---- each kind of data alone --------------------------------------------------------------------


def test_traces_alone_determine_level_and_slope_of_the_spectrum():
    """24 cells differ by their few traps: the mean level is known to about 1 / sqrt(24)."""
    known = known_traps(time_constants=np.logspace(-4.0, 6.0, 21), occupancy=0.5, raising=0.0,
                        spectrum=0.5)  # fmt: skip
    found = learn.fit_traps(learn.read_relaxation(_frame(traces(known)), rate=200.0))
    f = np.array([0.5, 2.0, 10.0])
    ratio = np.log(found.traps.spectral_density(f, 100e-6) / known.spectral_density(f, 100e-6))
    assert np.abs(ratio).max() < 1.2
    assert "default" in found.sources["raising"]
    assert "default" in found.sources["trap_spread"]
    assert np.isnan(found.read_noise)


def _frame(rows):
    import pandas as pd

    frame = pd.DataFrame(rows)
    frame.insert(0, "device", np.arange(len(rows)))
    return frame


@pytest.mark.slow
def test_bakes_determine_the_attempt_time():
    """The mean occupancy drifts by a known spectrum, which bakes shift by one attempt time."""
    import pandas as pd

    known = known_traps(attempt_time=1e-11, time_constants=np.logspace(-3.0, 13.0, 17))
    parts = [reads(known, 2000)]
    parts += [reads(known, 2000, (10.0, 3600.0), kelvin, seed=k)
              for k, kelvin in enumerate((360.0, 420.0), 2)]  # fmt: skip
    found = learn.fit_traps(pd.concat(parts, ignore_index=True))
    error = max(float(found.errors["attempt_time"]), 0.1)
    assert abs(np.log10(found.traps.attempt_time) + 11.0) < 4.0 * error
    assert error < 1.0


def test_changes_without_a_programmed_value_are_counted_from_the_first_read(table):
    found = learn.read_relaxation(table.drop(columns="programmed"))
    assert found.changes[0].start == pytest.approx(0.01)
    assert "first read" in found.notes[0]
    fitted = learn.fit_traps(found)
    assert fitted.misfit < 3.0


# ---- forms of tables ----------------------------------------------------------------------------


def test_tables_of_all_libraries_and_units_are_the_same(table, tmp_path):
    """Hours, uS and degrees Celsius in a file, current and voltage, and resistance."""
    wanted = learn.read_relaxation(table).changes[0]
    other = table.assign(**{"time [h]": table.time / 3600.0, "G (uS)": 1e6 * table.conductance,
                            "T [degC]": 26.85, "target [uS]": 1e6 * table.programmed})  # fmt: skip
    other = other[["device", "time [h]", "G (uS)", "T [degC]", "target [uS]"]]
    other.to_csv(tmp_path / "reads.csv", index=False)
    ohms = table.assign(resistance=1.0 / table.conductance).drop(columns="conductance")
    volts = table.assign(current=0.2 * table.conductance, voltage=0.2)
    volts = volts.drop(columns="conductance")
    shuffled = table.sample(frac=1.0, random_state=1)
    for source in (tmp_path / "reads.csv", pl.DataFrame(table), pa.table(table), ohms, volts,
                   shuffled):  # fmt: skip
        found = learn.read_relaxation(source).changes[0]
        np.testing.assert_allclose(found.change, wanted.change, atol=1e-14)
        np.testing.assert_allclose(found.times, TIMES, rtol=1e-6)
        assert found.temperature == pytest.approx(300.0)


def test_a_long_record_at_one_rate_is_a_trace():
    import pandas as pd

    time = np.arange(1000) / 50.0
    frame = pd.DataFrame({"time": time, "conductance": 1e-4 + 1e-6 * np.sin(time)})
    found = learn.read_relaxation(frame)
    assert len(found.traces) == 1
    assert found.traces[0].rate == pytest.approx(50.0)
    assert found.changes == ()


def test_the_command_adds_traps_to_a_model(table, tmp_path):
    table.to_csv(tmp_path / "reads.csv", index=False)
    output = tmp_path / "aged.json"
    done = CliRunner().invoke(
        app, ["fit", "--relaxation", str(tmp_path / "reads.csv"), "-o", str(output), "--json"]
    )
    assert done.exit_code == 0, done.output
    model = sf.load_model(output)
    assert model.traps is not None
    assert json.loads(done.stdout)["traps"]["trap_spread"] == [model.traps.trap_spread] or (
        json.loads(done.stdout)["traps"]["trap_spread"] == model.traps.trap_spread
    )
    assert model.conduction.u_0 == sf.load_model("published").conduction.u_0


def test_the_command_prints_one_line_for_each_number(table, tmp_path):
    table.iloc[::10].to_csv(tmp_path / "reads.csv", index=False)
    done = CliRunner().invoke(
        app, ["fit", "--relaxation", str(tmp_path / "reads.csv"), "-o", str(tmp_path / "aged.json")]
    )
    assert done.exit_code == 0, done.output
    assert any(line.startswith("  attempt time: ") for line in done.output.splitlines())
    assert "\\n" not in done.output


# ---- real measurements --------------------------------------------------------------------------


@real
@pytest.mark.slow
def test_half_of_a_technology_describes_the_other_half():
    """Of 76 moments of the held half, 80 % are within three bootstrap errors."""
    columns = ["device", "time", "_", "conductance", "programmed", "_", "_"]
    whole = learn.read_relaxation(MEASURED, columns=columns).changes[0]
    order = np.argsort(whole.g, kind="stable")
    fitted, held = whole.part(order[::2]), whole.part(order[1::2])
    found = learn.fit_traps(learn.Relaxation((fitted,)))
    inside = []
    for rows in np.array_split(np.argsort(held.g, kind="stable"), 4):
        part = held.part(rows)
        measured, _, error = bootstrapped(part.change, 100, 1)
        modelled = expected(found.traps, part, found.read_noise)
        inside += [np.abs(a - b) < 3.0 * e
                   for a, b, e in zip(measured, modelled, error, strict=True)]  # fmt: skip
    assert np.mean(np.concatenate(inside)) > 0.8
