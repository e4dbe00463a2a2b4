"""Files of Keysight EasyEXPERT are read, whatever settings they list above the points."""

import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab.learn.readers.easyexpert import read_easyexpert
from synfab.learn.readers.registry import find_format

SETTINGS = [
    "SetupTitle, IV Sweep",
    "PrimitiveTest, I/V Sweep",
    "TestParameter, Channel.IName, I1, I2",
    "TestParameter, Measurement.Monitor.RangeRating, BY FULL RANGE, BY FULL RANGE",
]


def write(path, blocks, settings=SETTINGS, names="V1, I1"):
    lines = list(settings)
    for v, i in blocks:
        lines.append(f"DataName, {names}")
        lines += [f"DataValue, {a:.6g}, {b:.6E}" for a, b in zip(v, i, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def sweep(scale=1.0):
    v = np.concatenate([np.linspace(0.0, -1.0, 21), np.linspace(-0.95, 1.0, 40)])
    return v, scale * v / 1e4


@pytest.mark.parametrize("more", [0, 1, 210, 3000])
def test_any_number_of_settings_above_the_points(tmp_path, more):
    settings = SETTINGS + [f"AnalysisSetup, Analysis.Setup.Item{k}, true" for k in range(more)]
    v, i = sweep()
    file = write(tmp_path / "a.csv", [(v, i)], settings)
    assert find_format(file).name == "EasyEXPERT"
    frame = read_easyexpert(file)
    assert list(frame.columns) == ["V1", "I1"]
    np.testing.assert_allclose(frame["V1"], v, rtol=1e-5)
    np.testing.assert_allclose(frame["I1"], i, rtol=1e-5)


def test_blocks_are_cycles(tmp_path):
    blocks = [sweep(1.0), sweep(2.0), sweep(3.0)]
    frame = read_easyexpert(write(tmp_path / "a.csv", blocks))
    np.testing.assert_allclose(frame["I1"], np.concatenate([i for _, i in blocks]), rtol=1e-5)
    assert list(frame["cycle"]) == [k for k in (1, 2, 3) for _ in range(len(blocks[0][0]))]


def test_a_count_of_cycles_in_the_file_is_kept(tmp_path):
    v, i = sweep()
    lines = ["SetupTitle, x"]
    for k in (7, 8):
        lines += ["DataName, V1, I1, Cycle"]
        lines += [f"DataValue, {a}, {b}, {k}" for a, b in zip(v, i, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    frame = read_easyexpert(tmp_path / "a.csv")
    assert list(frame.columns) == ["V1", "I1", "Cycle"]
    assert set(frame["Cycle"]) == {7.0, 8.0}


def test_loops_give_the_features_of_the_same_loops_in_a_table(tmp_path):
    cells = sf.CellArray("published", 1, seed=3)
    rows = [np.linspace(0.0, a, 61) for a in (-1.5, 1.5)]
    wave = np.concatenate([np.concatenate([half, half[-2::-1]]) for half in rows])
    blocks = [
        (wave, cells.apply_program(wave[:, None], read=wave[:, None])[:, 0]) for _ in range(12)
    ]
    table = pd.DataFrame(
        {
            "cycle": np.repeat(np.arange(12), len(wave)),
            "voltage": np.tile(wave, 12),
            "current": np.concatenate([i for _, i in blocks]),
        }
    )
    files = write(tmp_path / "a.csv", blocks), tmp_path / "b.csv"
    table.to_csv(files[1], index=False)
    one, other = (sf.learn.extract_features(sf.learn.read_sweeps(file)) for file in files)
    assert len(one.cycle) >= 11
    np.testing.assert_allclose(one.values, other.values, rtol=1e-3)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (SETTINGS, "a.csv: expected lines that begin with DataName and DataValue, found none"),
        ([*SETTINGS, "DataValue, 0, 0"], "a.csv: line 5: expected a line of DataName before it"),
        (
            [*SETTINGS, "DataName, V1, I1", "DataValue, 0, 0, 0"],
            "a.csv: line 6: expected 2 values, found 3",
        ),
        (
            [*SETTINGS, "DataName, V1, V1", "DataValue, 0, 0"],
            ("a.csv: columns: none for current; found 'V1', 'V1 2'. Rename one, or name it "
            "with columns={'voltage': 'my column [mV]', …} (--columns \"voltage=my column "
            '[mV],…")'),
        ),
        (
            ["SetupTitle, x", "DataName, V1, I1", "DataValue, 0, 0", "DataName, V2, I2",
             "DataValue, 0, 0"],
            "a.csv: expected the same DataName in every block, found V1, I1 and V2, I2",
        ),
        (
            ["SetupTitle, x", "DataName, V1, I1", "DataValue, 0, LOW"],
            "a.csv: I1: expected numbers, found 'LOW' in data row 1",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path, lines, message):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(sf.SynfabError) as caught:
        sf.learn.read_sweeps(path)
    assert str(caught.value).endswith(message)
