"""Tables of measurements that claim to be larger than they are: refused before they are."""

import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
from fuzz import seeds
from fuzz.archives import members
from hostile import consumed, npy

from synfab.learn.readers import excel
from synfab.learn.reading import read_any

LARGE = 10**15


def test_arrays_are_not_believed_to_be_larger_than_their_members(tmp_path, refused):
    path = tmp_path / "loops.npz"
    for member, words in (
        (npy((LARGE,)), "voltage: states"),
        (npy((0, LARGE)), "expected one number or more"),
        (npy((LARGE,), "<U0"), "expected numbers"),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("voltage.npy", member)
            archive.writestr("current.npy", npy((2,), data=bytes(16)))
        refused(consumed, path, words)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("voltage", "current"):
            with archive.open(f"{name}.npy", "w") as file:
                file.write(npy((2**26,)))
                for _ in range(8):
                    file.write(bytes(2**26))
    assert path.stat().st_size < 2**21
    refused(consumed, path, "voltage: needs")


def sheet(address):
    """The XML of a sheet with one cell, far out."""
    row = "".join(c for c in address if c.isdigit())
    return (
        '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/'
        f'2006/main"><sheetData><row r="{row}"><c r="{address}"><v>1</v></c></row></sheetData>'
        "</worksheet>"
    )


def test_an_excel_file_is_counted_before_it_is_a_table(tmp_path, refused, monkeypatch):
    pytest.importorskip("openpyxl")
    monkeypatch.setattr(excel, "UNPACKED_BYTES", 2**24)
    content = members(seeds.excels(tmp_path)[0])
    path, name = tmp_path / "far.xlsx", "xl/worksheets/sheet1.xml"
    for data, words in (
        (sheet("XFD1048576"), "up to 10000 empty rows"),
        (sheet("A99999999999"), "fields; save it as"),
        (sheet("AMJ9999"), "fields; save it as"),
        (sheet("XFD1"), "fields; save it as"),
        (sheet("ZZZ1"), "columns"),
        (
            sheet("A1").replace(
                "</row>", '</row><row r="2"/><row r="10003"><c r="A10003"><v>1</v></c></row>'
            ),
            "up to 10000 empty rows",
        ),
        (
            sheet("A1").replace(
                "</row>",
                "</row>" + "".join(f'<row r="{k}"><c r="XFD{k}"/></row>' for k in range(2, 2**11)),
            ),
            "fields; save it as",
        ),
        (b" " * (2**24 + 1), "unpacked: has"),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, old in content.items():
                archive.writestr(member, data if member == name else old)
        refused(consumed, path, words)


@pytest.mark.parametrize(
    "ghost", ['<row r="20000" ht="30"/>', '<row r="1000000"><c r="A1000000" s="0"/></row>',
              '<row r="9000"><c r="BXX9000" s="0"/></row>',
              '<row r="9000"><c r="XFD9000" t="inlineStr"><is><t></t></is></c></row>']
)  # fmt: skip
def test_rows_of_which_only_the_looks_are_there_do_not_count(tmp_path, scarce, ghost):
    """Sheets that were worked on have such rows: a height, a colour, a border."""
    pytest.importorskip("openpyxl")
    content = members(seeds.excels(tmp_path)[0])
    path, name = tmp_path / "plain.xlsx", "xl/worksheets/sheet1.xml"

    def write(data):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, old in content.items():
                archive.writestr(member, data if member == name else old)

    write(content[name])
    plain = excel.read_excel(path)
    cell = b'<c r="BXX2" s="0"/></row>'  # column 2000 of a row of numbers
    head, second, rest = content[name].split(b"</row>", 2)
    data = head + b"</row>" + second + cell + rest
    write(data.replace(b"</sheetData>", ghost.encode() + b"</sheetData>"))
    tracemalloc.start()
    try:
        pd.testing.assert_frame_equal(excel.read_excel(path), plain)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_rows_of_one_device_must_fit_into_memory(tmp_path, refused):
    import pyarrow as pa
    from pyarrow import parquet as pq

    count = 4_000_000
    columns = {name: np.zeros(count, np.float32) for name in ("voltage", "current")}
    columns["voltage"][0] = 1.0
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"device": np.zeros(count, np.int8), **columns}), path)
    assert path.stat().st_size < 100_000
    refused(consumed, path, "device 0 has over", most=2**28)
    table = pa.table({"r_hrs": np.ones(2 * count * 8), "r_lrs": np.ones(2 * count * 8)})
    pq.write_table(table, path)
    refused(consumed, path, "table: needs")


def test_many_devices_are_streamed_whatever_the_file_s_size(tmp_path, scarce):
    import pyarrow as pa
    from pyarrow import parquet as pq

    device = np.repeat(np.arange(40, dtype=np.int8), 200_000)
    wave = np.tile(np.concatenate([np.linspace(0, -1, 50), np.linspace(-1, 1, 50)]), 80_000)
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"device": device, "voltage": wave, "current": wave * 1e-4}), path)
    assert sum(1 for _ in read_any(path).devices()) == 40


def test_a_long_name_in_every_row_is_held_once(tmp_path, scarce):
    import pyarrow as pa
    from pyarrow import parquet as pq

    count, name = 20_000, "x" * 10**6
    wave = np.tile(np.concatenate([np.linspace(0, -1, 50), np.linspace(-1, 1, 50)]), count // 100)
    names = pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [name])
    path = tmp_path / "names.parquet"
    pq.write_table(pa.table({"device": names, "voltage": wave, "current": wave * 1e-4}), path)
    (device,) = read_any(path).devices()
    assert device.name == name
    frame = pd.DataFrame({"device": ["short"] * (count - 1) + [name], "voltage": wave,
                          "current": wave * 1e-4})  # fmt: skip
    tracemalloc.start()
    try:
        assert [d.name for d in read_any(frame).open_devices()] == ["short", name]
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
