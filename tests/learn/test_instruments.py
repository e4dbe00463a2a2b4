"""Measurements as instruments and people leave them: lines above the table, columns a sweep, …"""

import json

import h5py
import numpy as np
import pandas as pd
import published_measurements
import pytest
from typer.testing import CliRunner

from synfab import learn
from synfab.cli.app import app
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.learn.readers.columns import find_columns

DEVICES, CYCLES = 3, 12


@pytest.fixture(scope="module")
def loops():
    voltage, current, _ = published_measurements.measured_sweeps(DEVICES, CYCLES, seed=1)
    return voltage, current


@pytest.fixture(scope="module")
def record(loops):
    """Voltages and currents of the first device, one loop after the other."""
    voltage, current = loops
    return np.tile(voltage, CYCLES), current[0].ravel()


def shapes(source):
    """Name, number of loops and of points of each device."""
    found = learn.read_sweeps(source).devices()
    return [(d.name, len(d.cycles), len(d.voltage)) for d in found]


def lines(record, pattern="{:.4f},{:.6e}", comma=False):
    text = "\n".join(pattern.format(v, i) for v, i in zip(*record, strict=True)) + "\n"
    return text.replace(".", ",") if comma else text


def check(path, record, factor=1.0):
    (device,) = learn.read_sweeps(path).devices()
    assert len(device.cycles) == CYCLES
    np.testing.assert_allclose(np.sort(device.voltage), np.sort(record[0]), atol=1e-3)
    np.testing.assert_allclose(np.sort(device.current), np.sort(record[1]) * factor, atol=1e-9)


@pytest.mark.parametrize(
    ("above", "pattern"),
    [
        ("Keithley 4200A-SCS\nOperator: M. Schmidt\nDate: 3.11.2025\n\nV,I\n", "{:.4f},{:.6e}"),
        ("Operator,Schmidt\nArea,2.5\nV (V),I (A)\n", "{:.4f},{:.6e}"),
        ("SetupTitle, I/V\nDataName, V1, I1\n", "DataValue, {:.4f}, {:.6e}"),
        ("# by hand\n# Voltage (V), Current (A)\n", "{:.4f},{:.6e}"),
        ("# V I\n", "{:.4f} {:.6e}"),
        ("Voltage,Current\nV,A\n", "{:.4f},{:.6e}"),
        ("U/V\tI/A\n", "{:.4f}\t{:.6e}"),
        ("Voltage_V,Current_A\n", "{:.4f},{:.6e}"),
        ("Vx [V],Iy [A]\n", "{:.4f},{:.6e}"),
        ("Repeat,Point,AV,AI\n", "1,0,{:.4f},{:.6e}"),
    ],
)
def test_lines_above_the_table_and_names_of_instruments(tmp_path, record, above, pattern):
    path = tmp_path / "loops.txt"
    path.write_text(above + lines(record, pattern))
    check(path, record)


def test_a_letter_behind_a_name_is_a_unit_only_where_it_is_one_of_the_quantity():
    found = find_columns(["V_A", "I_s", "U_mV", "I/uA", "t/s"])
    assert found == {"voltage": ("U_mV", 1e-3), "current": ("I/uA", 1e-6), "time": ("t/s", 1.0)}


def test_a_german_windows_file(tmp_path, record):
    path = tmp_path / "loops.csv"
    text = "Datum: 03.11.2025 14:22\n\nSpannung [V];Strom [µA]\n"
    text += lines((record[0], 1e6 * record[1]), "{:.4f};{:.6f}", comma=True)
    path.write_bytes(text.encode("cp1252"))
    check(path, record)


def test_numbers_below_comments_ask_for_names(tmp_path, record):
    path = tmp_path / "loops.txt"
    path.write_text("# my device\n" + lines(record))
    with pytest.raises(InvalidValueError, match=r"found 2 columns.*--columns"):
        learn.read_sweeps(path)
    names = {"voltage": "0", "current": "1"}
    assert len(next(learn.read_sweeps(path, columns=names).devices()).cycles) == CYCLES


def test_a_column_a_sweep_is_a_cycle(loops):
    voltage, current = loops
    shared = pd.DataFrame({"V": voltage} | {f"I{k + 1}": i for k, i in enumerate(current[0])})
    assert shapes(shared) == [("0", CYCLES, current[0].size)]
    pairs = {}
    for k, i in enumerate(current[0]):
        pairs |= {f"V{k + 1} (mV)": 1e3 * voltage, f"I{k + 1} (uA)": 1e6 * i}
    assert shapes(pd.DataFrame(pairs)) == [("0", CYCLES, current[0].size)]


def test_columns_of_long_records_are_devices(loops):
    voltage, current = loops
    table = {"V": np.tile(voltage, CYCLES)} | {f"I_{k}": i.ravel() for k, i in enumerate(current)}
    assert [row[:2] for row in shapes(pd.DataFrame(table))] == [(str(k), CYCLES) for k in range(3)]


def test_channels_of_an_instrument_are_no_sweeps(record):
    v, i = record
    table = {"V1": v, "I1": i, "V2": 0 * v, "I2": -i, "V3": 0 * v + 1, "I3": 0 * i}
    assert [row[:2] for row in shapes(pd.DataFrame(table))] == [("0", CYCLES)]


def test_a_file_a_device_and_a_file_a_loop(tmp_path, loops):
    voltage, current = loops
    devices, single = tmp_path / "devices", tmp_path / "single"
    for folder in (devices, single):
        folder.mkdir()
    for k, i in enumerate(current):
        frame = pd.DataFrame({"V": np.tile(voltage, CYCLES), "I": i.ravel()})
        frame.to_csv(devices / f"dev{k}.csv", index=False)
    for k, n in np.ndindex(2, CYCLES):
        frame = pd.DataFrame({"V": voltage, "I": current[k, n]})
        frame.to_csv(single / f"D{k + 1}_{n}.csv", index=False)
    assert [row[:2] for row in shapes(devices)] == [(f"dev{k}", CYCLES) for k in range(3)]
    assert [row[:2] for row in shapes(single)] == [("D1", CYCLES), ("D2", CYCLES)]
    device = next(learn.read_sweeps(single).devices())
    # D1_2 comes before D1_10.
    np.testing.assert_allclose(device.current, current[0].ravel(), rtol=1e-6)
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with pytest.raises(FileFormatError, match=r"holds no file that ends in \.csv"):
        learn.read_sweeps(tmp_path / "empty")


def test_a_folder_of_features(tmp_path):
    for k in range(2):
        table = pd.DataFrame({"r_hrs": np.full(12, 1e5), "r_lrs": np.full(12, 5e3 + k)})
        table.to_csv(tmp_path / f"d{k}.csv", index=False)
    found = learn.read_features(tmp_path, u_set=-0.8, u_reset=0.7)
    assert found.names == ("d0", "d1")
    assert len(found) == 24


def test_sheets_with_the_same_columns_are_devices(tmp_path, loops):
    voltage, current = loops
    path = tmp_path / "loops.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"author": ["me"]}).to_excel(book, sheet_name="notes", index=False)
        for k, i in enumerate(current[:2]):
            frame = pd.DataFrame({"V (V)": np.tile(voltage, CYCLES), "I (mA)": 1e3 * i.ravel()})
            frame.to_excel(book, sheet_name=f"dev{k}", index=False, startrow=3)
            book.sheets[f"dev{k}"]["A1"] = "measured in March"
    assert [row[:2] for row in shapes(path)] == [("dev0", CYCLES), ("dev1", CYCLES)]


def test_points_in_hdf5_know_their_device(tmp_path, loops):
    voltage, current = loops
    path = tmp_path / "loops.h5"
    device, cycle, _ = np.indices(current.shape)
    with h5py.File(path, "w") as file:
        file["device"], file["cycle"] = device.ravel() + 5, cycle.ravel()
        file["voltage"] = np.broadcast_to(voltage, current.shape).ravel()
        file["current"] = current.ravel()
    assert [row[:2] for row in shapes(path)] == [(str(k), CYCLES) for k in (5, 6, 7)]
    with h5py.File(path, "a") as file:
        del file["cycle"]
        file["cycle"] = np.arange(3)
    with pytest.raises(FileFormatError, match="as many values"):
        list(learn.read_sweeps(path).devices())


def test_groups_in_groups_are_named(tmp_path):
    with h5py.File(tmp_path / "loops.h5", "w") as file:
        file["dev0/cycle0/V"] = np.zeros(3)
    with pytest.raises(FileFormatError, match="group dev0 holds groups"):
        learn.read_sweeps(tmp_path / "loops.h5")


def test_arrays_in_microamperes_are_noticed(tmp_path, loops):
    np.savez(tmp_path / "loops.npz", V=loops[0], I=1e6 * loops[1])
    with pytest.raises(InvalidValueError, match=r"current \[uA\]"):
        learn.read_sweeps(tmp_path / "loops.npz")


def test_loops_that_drown_in_noise_say_why_no_cycle_is_left(loops):
    noise = 3e-5 * np.random.default_rng(1).normal(size=loops[1].shape)
    found = learn.extract_features(learn.sweeps_from_arrays(loops[0], loops[1] + noise))
    with pytest.raises(InvalidValueError, match=r"could not be evaluated: .*no SET [0-9]"):
        learn.fit(found)


def test_a_report_of_a_folder_and_json_without_nan(tmp_path, loops):
    voltage, current = loops
    folder = tmp_path / "wafer"
    folder.mkdir()
    frame = pd.DataFrame({"V": np.tile(voltage, CYCLES), "I": current[0].ravel()})
    frame.to_csv(folder / "dev.csv", index=False)
    model, report = tmp_path / "m.json", tmp_path / "r.html"
    told = CliRunner().invoke(
        app, ["fit", str(folder), "-o", str(model), "--report", str(report)], catch_exceptions=False
    )
    assert told.exit_code == 0, told.output
    assert f"files in {folder}" in report.read_text()
    told = CliRunner().invoke(
        app, ["compare", str(model), str(folder), "--json"], catch_exceptions=False
    )
    found = json.loads(told.stdout, parse_constant=pytest.fail)
    between = [p for p in found["properties"] if p["property"] == "device_correlations"]
    assert [p["yardstick"] for p in between] == [None]
