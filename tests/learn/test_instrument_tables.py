"""The same loops, written as instruments and people write them, give the same features."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import h5py
import loop_generator
import numpy as np
import pandas as pd
import pytest
import scipy.io
from typer.testing import CliRunner

import synfab as sf
from synfab import learn
from synfab.cli.app import app

CYCLES = 12


@pytest.fixture(scope="module")
def made():
    return loop_generator.made_loops(cycles=CYCLES, low=-1.2, high=1.2, u_set=-0.8, u_reset=0.8,
                                     residue=0.4, offset=1e-7)  # fmt: skip


def features(source, **options):
    return learn.extract_features(learn.read_sweeps(source, **options), conduction=None)


@pytest.fixture(scope="module")
def reference(made):
    return features_of(made.voltage, made.current)


def features_of(voltage, current):
    return learn.extract_features(learn.sweeps_from_arrays(voltage, current), conduction=None)


def rows(v, i, pattern="{v:.4f},{i:.7e}"):
    points = enumerate(zip(v, i, strict=True))
    return "".join(pattern.format(v=a, i=b, k=k) + "\n" for k, (a, b) in points)


# What stands above the points, the pattern of a row, and factors from V and A to the file's units.
TEXTS = {
    "keithley 4200": ("Time,AV,AI\n", "0.1,{v:.4f},{i:.7e}", 1, 1),
    "keithley 4200, terminals": ("AnodeI,AnodeV,CathodeI\n", "{i:.7e},{v:.4f},0", 1, 1),
    "keithley 2450": (
        "\nIndex,Reading,Unit,Range Digits,Value,Unit,Output\n",
        "{k},{i:.7e},Amp DC,6,{v:.4f},Volt DC,T", 1, 1,
    ),
    "keithley acs": ("Smu1.Time[1][1],Smu1.V[1][1],Smu1.I[1][1]\n", "0,{v:.4f},{i:.7e}", 1, 1),
    "keithley 2636, two channels": (
        "Smu1.V[1][1],Smu1.I[1][1],Smu2.V[1][1],Smu2.I[1][1]\n", "{v:.4f},{i:.7e},0,1e-9", 1, 1,
    ),
    "keysight b2900": (
        "CH1 Source,CH1 Voltage,CH1 Current,CH1 Time\n", "{v:.3f},{v:.4f},{i:.7e},0.5", 1, 1,
    ),
    "keysight b2900, source only": ("CH1 Source,CH1 Current\n", "{v:.4f},{i:.7e}", 1, 1),
    "hp 4155": ("NO.\tVF\tIF\n", "{k}\t{v:.4f}\t{i:.7e}", 1, 1),
    "vf/if with units": ("VF (V),IF (mA)\n", "{v:.4f},{i:.7e}", 1, 1e3),
    "labview": (
        ("LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\n***End_of_Header***\t\n\t\n"
        "Channels\t2\t\t\nSamples\t9\t9\t\nY_Unit_Label\tV\tmA\t\n***End_of_Header***\t\t\t\n"
        "X_Value\tUntitled\tUntitled 1\tComment\n"), "{k}\t{v:.4f}\t{i:.7e}", 1, 1e3,
    ),
    "rigol": (
        "X,CH1,CH2,Start,Increment,\nSequence,Volt,Ampere,-6.0e-02,2.0e-05\n",
        "{k},{v:.4f},{i:.7e},", 1, 1,
    ),
    "infiniivision": ("x-axis,1,2\nsecond,Volt,Ampere\n", "{k},{v:.4f},{i:.7e}", 1, 1),
    "tektronix": (
        ("Model,MSO46\nFirmware Version,1.0\nHorizontal Units,s\nVertical Units,V,A\n,,\n"
        "TIME,CH1,CH2\n"), "{k},{v:.4f},{i:.7e}", 1, 1,
    ),
    "picoscope": ("Time,Channel A,Channel B\n(ms),(V),(mA)\n\n", "{k},{v:.4f},{i:.7e}", 1, 1e3),
    "leading blanks": ("   V,   I\n", "  {v:8.4f},  {i:.7e}", 1, 1),
    "columns of blanks": ("    V [V]       I [A]\n", " {v:9.4f}   {i:14.7e}", 1, 1),
    "units below": ("Voltage;Current\n[V];[uA]\n", "{v:.4f};{i:.7e}", 1, 1e6),
    "conductance": ("V,G (uS)\n", "{v:.4f},{g:.9e}", 1, 1),
    "resistance": ("Voltage (V),Resistance (ohm)\n", "{v:.4f},{r:.9e}", 1, 1),
    "arc one": (
        ("Local session\nMon Nov 24 10:00:00 2025\nWordline,Bitline,Resistance,Amplitude (V),"
        "Pulse width (s),Tag,ReadTag,ReadVoltage\n"),
        "1,3,{r:.9e},{v:.4f},0.0002,CT_i,V=0.50,0.5", 1, 1,
    ),
    "names in line 900": (
        "".join(f"Setting {k},on\n" for k in range(900)) + "V,I\n", "{v:.4f},{i:.7e}", 1, 1,
    ),
    "a time of day": ("Time,V,I\n", "14:22:01.3,{v:.4f},{i:.7e}", 1, 1),
    "chinese": ("\u7535\u538b(V),\u7535\u6d41(A)\n", "{v:.4f},{i:.7e}", 1, 1),
    "separators at the ends": ("V,I,\n", "{v:.4f},{i:.7e},", 1, 1),
}  # fmt: skip


def text(v, i, name):
    above, pattern, by_v, by_i = TEXTS[name]
    points = zip(v.ravel(), i.ravel(), strict=True)
    lines = (
        pattern.format(
            v=by_v * a, i=by_i * b, k=k, r=a / b if a else 1e12, g=1e6 * b / a if a else 0.0
        )
        for k, (a, b) in enumerate(points)
    )
    return above + "\n".join(lines) + "\n"


def same(found, reference, lost=1):
    """The same features, but for loops that are lost at the ends of a record."""
    assert len(reference) - lost <= len(found) <= len(reference)
    np.testing.assert_allclose(found.values, reference.values[: len(found)], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_instruments(tmp_path, made, reference, name):
    path = tmp_path / "loops.csv"
    path.write_text(text(made.voltage, made.current, name), encoding="utf-8")
    same(features(path), reference)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_compressed_text(tmp_path, made, reference, suffix, compress):
    path = tmp_path / f"loops.csv{suffix}"
    path.write_bytes(compress(text(made.voltage, made.current, "labview").encode()))
    same(features(path), reference)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(sf.FileFormatError, match=r"loops\.csv\.\w+: damaged"):
        learn.read_sweeps(path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "loops.csv.gz"
    path.write_bytes(gzip.compress(b"V,I\n" + b"0,0\n" * 2**25))
    assert path.stat().st_size < 2**20
    with pytest.raises(sf.FileFormatError, match=r"unpacks to over 64\.0 MiB"):
        learn.read_sweeps(path)


def test_numbers_without_names(tmp_path, made, reference):
    path = tmp_path / "loops.txt"
    lines = rows(made.voltage.ravel(), 1e6 * made.current.ravel(), "{k} {v:.4f} {i:.7e}")
    for above in ("", "measured by hand\n\n"):
        path.write_text(above + lines)
        same(features(path, columns=["_", "voltage", "current [uA]"]), reference)
        same(features(path, columns={"voltage": "1", "current": "2 [uA]"}), reference)
    with pytest.raises(sf.InvalidValueError, match=r"each of the 3 columns.*found 2"):
        features(path, columns=["voltage", "current"])
    with pytest.raises(sf.InvalidValueError, match=r"expected names of quantities.*'volatge'"):
        features(path, columns=["_", "volatge", "current"])


def pairs(made, count=4):
    """V, I, V, I, … of some loops, as (points, 2 count)."""
    return np.stack([made.voltage[:count], made.current[:count]], 1).reshape(2 * count, -1).T


SEVERAL = {
    "names that occur again": "V,I,V,I,V,I,V,I",
    "numbered": "V1,I1,V2,I2,V3,I3,V4,I4",
    "in brackets": ",".join(f"AnodeV({k}),AnodeI({k})" for k in (1, 2, 3, 4)),
    "keithley acs": ",".join(f"Smu1.V[1][{k}],Smu1.I[1][{k}]" for k in (1, 2, 3, 4)),
    "units": "V (V),I (A),V (V),I (A),V (V),I (A),V (V),I (A)",
}


@pytest.mark.parametrize("names", SEVERAL.values(), ids=list(SEVERAL))
def test_sweeps_side_by_side_are_cycles(tmp_path, made, reference, names):
    path = tmp_path / "loops.csv"
    lines = (",".join(f"{x:.7e}" for x in row) for row in pairs(made))
    path.write_text("\n".join([names, *lines]))
    found = features(path)
    np.testing.assert_allclose(found.values, reference.values[:4], rtol=2e-3)
    assert "4 blocks" in found.notes["blocks"]
    assert ("renamed_columns" in found.notes) == (len(set(names.split(","))) < 8)


def test_blocks_with_titles_are_devices(tmp_path, made):
    """Two records of different length, an empty column between them, the devices above."""
    v, i = made.voltage[:6].ravel(), made.current[:6].ravel()
    half = len(v) // 2
    lines = [f"{a:.4f},{b:.6e},," + (f"{a:.4f},{b:.6e}" if k < half else ",")
             for k, (a, b) in enumerate(zip(v, i, strict=True))]  # fmt: skip
    path = tmp_path / "loops.csv"
    path.write_text("\n".join(["D7,,,E2,", "V,I,,V,I", *lines]))
    devices = [(d.name, len(d.cycles)) for d in learn.read_sweeps(path).devices()]
    assert devices == [("D7", 6), ("E2", 3)]


def test_a_table_below_the_other_is_the_next_cycle(tmp_path, made, reference):
    path = tmp_path / "loops.csv"
    one = ["V,I\nV,A\n" + rows(v, i) for v, i in zip(made.voltage, made.current, strict=True)]
    path.write_text("".join(one))
    device = next(learn.read_sweeps(path).devices())
    assert len(device.cycles) == CYCLES
    same(features(path), reference)


def test_wide_endurance_tables(tmp_path):
    r = np.array([[9e4, 5e3, 8e4, 6e3], [9.1e4, 5.1e3, 8.1e4, 6.1e3], [9.2e4, 5.2e3, 8.2e4, 6.2e3]])
    path = tmp_path / "endurance.csv"
    for head in ("HRS,LRS,HRS,LRS\n", "HRS1,LRS1,HRS2,LRS2\n"):
        path.write_text(head + "\n".join(",".join(map(str, row)) for row in r))
        found = learn.read_features(path, u_set=-1.0, u_reset=1.0)
        assert found.names == ("1", "2")
        np.testing.assert_allclose(found.values[:, 0], [9e4, 9.1e4, 9.2e4, 8e4, 8.1e4, 8.2e4])
    path.write_text("DUT,HRS,LRS,HRS,LRS\n" + "".join(
        f"d{k}," + ",".join(map(str, row)) + "\n" for k, row in enumerate(r)))  # fmt: skip
    found = learn.read_features(path, u_set=-1.0, u_reset=1.0)
    assert found.names == ("d0", "d1", "d2")
    assert list(found.cycle) == [1, 2] * 3


# A sheet as a list of rows: names or none, above them other lines or none.
def sheet(made, names=("V", "I [uA]")):
    points = np.column_stack([made.voltage.ravel(), 1e6 * made.current.ravel()]).tolist()
    return [["Operator", "M. Schmidt"], [], list(names), *points] if names else points


def write_xlsx(path, sheets):
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, table in sheets.items():
        page = book.create_sheet(title)
        for row in table:
            page.append(row)
    book.save(path)


def write_xls(path, sheets):
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook()
    for title, table in sheets.items():
        page = book.add_sheet(title)
        for k, row in enumerate(table):
            for n, value in enumerate(row):
                page.write(k, n, value)
    book.save(str(path))


def write_ods(path, sheets):
    def cell(value):
        if isinstance(value, str):
            return f'<t:table-cell o:value-type="string"><x:p>{value}</x:p></t:table-cell>'
        return f'<t:table-cell o:value-type="float" o:value="{value!r}"/>'

    empty = (
        '<t:table-row t:number-rows-repeated="9000"><t:table-cell '
        't:number-columns-repeated="16384"/></t:table-row>'
    )
    tables = "".join(
        f'<t:table t:name="{title}">'
        + "".join(f"<t:table-row>{''.join(map(cell, row))}</t:table-row>" for row in table)
        + f"{empty}</t:table>"
        for title, table in sheets.items()
    )
    space = "urn:oasis:names:tc:opendocument:xmlns"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml",
            f'<o:document-content xmlns:o="{space}:office:1.0" xmlns:t="{space}:table:1.0" '
            f'xmlns:x="{space}:text:1.0"><o:body><o:spreadsheet>{tables}</o:spreadsheet></o:body>'
            "</o:document-content>")  # fmt: skip


WRITERS = {".xlsx": write_xlsx, ".xls": write_xls, ".ods": write_ods}


@pytest.mark.parametrize("suffix", WRITERS)
def test_spreadsheets(tmp_path, made, reference, suffix):
    path = tmp_path / f"loops{suffix}"
    WRITERS[suffix](path, {"Notes": [["author", "me"]], "Data": sheet(made)})
    same(features(path), reference)
    WRITERS[suffix](path, {"Data": sheet(made, None)})
    same(features(path, columns=["voltage", "current [uA]"]), reference)
    with pytest.raises(sf.InvalidValueError, match="no header line, found 2 columns"):
        features(path)
    WRITERS[suffix](path, {"dev A": sheet(made), "dev B": sheet(made)})
    assert features(path).names == ("dev A", "dev B")


@pytest.mark.parametrize("suffix", WRITERS)
def test_sheets_of_sweeps_are_cycles(tmp_path, made, reference, suffix):
    path = tmp_path / f"loops{suffix}"
    sheets = {f"Append{k}" if k else "Data": [["AV", "AI"], *np.column_stack([v, i]).tolist()]
              for k, (v, i) in enumerate(zip(made.voltage, made.current, strict=True))}  # fmt: skip
    WRITERS[suffix](path, {**sheets, "Settings": [["Test", "x"]]})
    found = features(path)
    same(found, reference)
    assert "cycles" in found.notes["sheets"]


def mats(made, folder):
    v, i = made.voltage[0], made.current
    yield "a record", {"V": made.voltage.ravel(), "I": i.ravel()}
    yield "columns", {"Voltage": v[:, None], "Current": i.T}
    yield "both in columns", {"V": made.voltage.T, "I": i.T}
    yield "rows", {"V": made.voltage, "I": i}
    yield "a structure", {"data": {"V": made.voltage.ravel(), "I": i.ravel()}}
    yield "points", {"voltage": made.voltage.ravel(), "current": i.ravel(),
                     "cycle": np.repeat(np.arange(CYCLES), i.shape[1])}  # fmt: skip


@pytest.mark.parametrize("form", ["4", "5", "compressed"])
def test_matlab_files(tmp_path, made, reference, form):
    path = tmp_path / "loops.mat"
    for name, content in mats(made, tmp_path):
        if form == "4" and "data" in content:
            continue
        scipy.io.savemat(path, content, format=form[:1] if form == "4" else "5",
                         do_compression=form == "compressed")  # fmt: skip
        found = features(path)
        same(found, reference)
        assert len(found.names) == 1, name


def test_matlab_7_3_is_hdf5(tmp_path, made, reference):
    path = tmp_path / "loops.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["V"], file["I"] = made.voltage, made.current
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    same(features(path), reference)


def test_folders_in_folders(tmp_path, made, reference):
    for chip in ("chip1", "chip2"):
        for dut in ("A", "B"):
            folder = tmp_path / chip / dut
            folder.mkdir(parents=True)
            for k, (v, i) in enumerate(zip(made.voltage, made.current, strict=True)):
                (folder / f"{k}.csv").write_text("V,I\n" + rows(v, i))
    found = features(tmp_path)
    assert found.names == ("chip1/A", "chip1/B", "chip2/A", "chip2/B")
    same(features(tmp_path / "chip1" / "A"), reference)
    assert len(learn.reading.source_files(tmp_path)) == 4 * CYCLES


def test_what_of_a_file_name_is_a_device_is_noted(tmp_path, made):
    for folder in ("sample", "named"):
        (tmp_path / folder).mkdir()
    for k in range(3):
        for level in ("-1.1V", "-1.2V"):
            file = f"{level}_{k}.csv"
            (tmp_path / "sample" / file).write_text(
                "V,I\n" + rows(made.voltage[k], made.current[k])
            )
        file = f"D2_{k}.csv.gz"
        (tmp_path / "named" / file).write_bytes(
            gzip.compress(("V,I\n" + rows(made.voltage[k], made.current[k])).encode())
        )
    found = learn.read_sweeps(tmp_path / "sample")
    assert [(d.name, len(d.cycles)) for d in found.devices()] == [("sample", 6)]
    assert found.notes["files"].startswith(
        "one loop per file: -1.1V_0.csv is loop 1 of 6 of device"
    )
    found = learn.read_sweeps(tmp_path / "named")
    assert [(d.name, len(d.cycles)) for d in found.devices()] == [("D2", 3)]
    assert "device D2" in found.notes["files"]


def test_shared_examples_of_instruments(measured_examples):
    for name, devices in measured_examples.items():
        found = [(d.name, len(d.voltage)) for d in learn.read_sweeps(name).devices()]
        assert found == devices


@pytest.fixture
def measured_examples(tmp_path):
    """A line of settings that looks like names, names that occur twice, names in line 213."""
    settings = "TestParameter, Measurement.Monitor.RangeRating, BY FULL RANGE, BY FULL RANGE\n"
    names = "TestParameter, Channel.IName, I1, I2\n"
    points = "DataName, V1, I1\nDataValue, 0, 0\nDataValue, -0.1, -1E-06\nDataValue, -0.2, -2E-06\n"
    many = "".join(f"AnalysisSetup, Analysis.Setup.Item{k}, true\n" for k in range(211))
    made = {}
    for title in ("SetupTitle, IV Sweep\n", ""):  # without the first line too
        for k, above in enumerate((names + settings, settings, many)):
            path = Path(tmp_path, f"{k}{len(title)}.csv")
            path.write_text(title + above + points)
            made[path] = [("0", 3)]
    return made


@pytest.mark.parametrize("head", ["V I", "V [V] I [A]", "# V I", "Voltage (V)    Current (A)",
                                  "Applied Voltage    Measured Current"])  # fmt: skip
def test_columns_of_blanks(tmp_path, made, reference, head):
    path = tmp_path / "loops.dat"
    path.write_text(
        head + "\n" + rows(made.voltage.ravel(), made.current.ravel(), "{v:.4f} {i:.7e}")
    )
    same(features(path), reference)


def train(cycles=9, samples=1, sign=1.0, ramp=0):
    """Pulses of -1.5 V and 1.2 V with rest at 0 V, and a read-out at 0.2 V after each."""
    generator = np.random.default_rng(1)
    r_lrs, r_hrs = (
        5e3 * generator.lognormal(0, 0.1, cycles),
        1e5 * generator.lognormal(0, 0.3, cycles),
    )
    levels, g = [], []
    for low, high in zip(r_lrs, r_hrs, strict=True):
        for pulse, r in ((-1.5, low), (1.2, high)):
            levels += [sign * pulse, 0.0, 0.2, 0.0]
            g += [1 / r] * 4
    v, g = (np.repeat(x, samples) for x in (np.array(levels), np.array(g)))
    if ramp:  # a finite rise, sampled
        v = np.convolve(v, np.ones(ramp) / ramp, "same")
    return v, v * g + 2e-9, r_hrs, r_lrs


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("samples", "ramp"), [(1, 0), (12, 0), (12, 3)])
def test_pulse_trains_give_the_resistances_between_the_pulses(tmp_path, sign, samples, ramp):
    v, i, r_hrs, r_lrs = train(samples=samples, sign=sign, ramp=ramp)
    path = tmp_path / "pulses.csv"
    path.write_text("V,I\n" + rows(v, i, "{v:.6f},{i:.9e}"))
    found = learn.read_features(path, u_set=-0.9, u_reset=(0.8, 0.05))
    np.testing.assert_allclose(found.values[:, 0], r_hrs, rtol=1e-2)
    np.testing.assert_allclose(found.values[:, 2], r_lrs, rtol=1e-2)
    set_, reset = ("-1.5", "1.2") if sign > 0 else ("1.5", "-1.2")
    assert found.notes["pulses"].startswith(f"pulses of about {set_} V (SET) and {reset} V (RESET)")
    with pytest.raises(sf.InvalidValueError, match=r"read out at 0.2 V, which do not tell"):
        learn.read_sweeps(path)


@pytest.mark.parametrize("head", ["Wordline,Bitline,Resistance,Amplitude (V),Tag,ReadVoltage",
                                  "row,col,R (ohm),Pulse amplitude,mode,read"])  # fmt: skip
def test_a_pulse_and_the_resistance_after_it_in_each_row(tmp_path, head):
    _, _, r_hrs, r_lrs = train()
    path = tmp_path / "pulses.csv"
    lines = [f"{k},7,{r:.6g},{v},EN,0.2" for k in (1, 2) for pair in zip(r_lrs, r_hrs, strict=True)
             for r, v in zip(pair, (-1.5, 1.2), strict=True) for _ in range(3)]  # fmt: skip
    path.write_text("\n".join([head, *lines]))
    found = learn.read_features(path, u_set=-0.9, u_reset=0.8)
    assert found.names == ("1,7", "2,7")
    np.testing.assert_allclose(found.values[:9][:, [0, 2]], np.stack([r_hrs, r_lrs], 1), rtol=1e-5)


def test_sweeps_are_no_pulse_trains():
    """Whatever the number of points of a loop, also behind a current limit."""
    for step in (0.3, 0.2, 0.1, 0.025):
        v = loop_generator.sweep(step, -1.2, 1.2)
        frame = pd.DataFrame({"V": np.tile(v, 5), "I": np.tile(v * 1e-4, 5)})
        assert isinstance(learn.reading.read_any(frame), learn.Sweeps)


@pytest.mark.parametrize(
    ("above", "pattern"),
    [
        ("Voltage\tCurrent\nV\tmA\nsample 1\tsample 1\n", "{v:.4f}\t{i:.7e}"),
        ("Long Name\tVoltage\tCurrent\nUnits\tV\tmA\nComments\t\tdev 1\n", "{k}\t{v:.4f}\t{i:.7e}"),
        ("Voltage,Current,Voltage (set)\nV,mA,V\n", "{v:.4f},{i:.7e},{v:.2f}"),
        ("Potential (V),Current (mA)\n", "{v:.4f},{i:.7e}\n# remark"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_origin_sweepme_and_remarks(tmp_path, made, reference, above, pattern, encoding):
    path = tmp_path / "loops.txt"
    lines = rows(made.voltage.ravel(), 1e3 * made.current.ravel(), pattern)
    path.write_text(above + lines + "End of data\n", encoding=encoding)
    found = features(path)
    same(found, reference)
    assert found.notes["lines_of_text"] in (1, made.voltage.size + 1)


def test_a_channel_of_a_scope_is_named_without_its_unit(tmp_path, made, reference):
    """The current as the voltage at 1 kohm: its unit is given with the name."""
    path = tmp_path / "loops.csv"
    path.write_text("CH1,CH2\nVolt,Volt\n" + rows(made.voltage.ravel(), 1e3 * made.current.ravel()))
    same(features(path, columns={"voltage": "CH1", "current": "CH2 [mA]"}), reference)
    with pytest.raises(sf.InvalidValueError, match=r"'CH2 \[Volt\]': expected a unit of current"):
        features(path, columns={"voltage": "CH1", "current": "CH2"})


def test_the_commands_print_what_was_decided(tmp_path, made):
    path, model = tmp_path / "loops.csv.gz", tmp_path / "m.json"
    path.write_bytes(gzip.compress(text(made.voltage, made.current, "arc one").encode()))
    for command in (["fit", str(path), "-o", str(model)], ["compare", str(model), str(path)]):
        ended = CliRunner().invoke(app, command, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        assert "devices: named by Wordline and Bitline" in ended.stdout + ended.stderr


def test_the_command_takes_names_in_order(tmp_path, made):
    path, model = tmp_path / "loops.txt", tmp_path / "m.json"
    path.write_text(rows(made.voltage.ravel(), 1e6 * made.current.ravel(), "{k}\t{v:.4f}\t{i:.7e}"))
    order = ["--columns", "_, voltage, current [uA]"]
    ended = CliRunner().invoke(app, ["fit", str(path), "-o", str(model), *order])
    assert ended.exit_code == 0, ended.output
    assert model.is_file()
