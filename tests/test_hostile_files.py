"""Small files that claim to be large, or that reach out of themselves: refused before they are."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzz import seeds
from fuzz.archives import members, seal

import synfab as sf
from synfab import capacity, limits
from synfab.circuit.waveforms import read_raw
from synfab.errors import ToolError
from synfab.learn import excel, hdf5, parquet
from synfab.learn.readers import read_any
from synfab.program import parse_program, read_program
from synfab.simulate.pulses import read_pulses

LARGE = 10**15


def consumed(path):
    found = read_any(path)
    return list(found.devices()) if hasattr(found, "open_devices") else found


def npy(shape, kind="<f8", data=b""):
    """An array of NumPy whose header may claim anything."""
    file = io.BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + data


@pytest.fixture
def scarce(monkeypatch):
    """Let 512 MiB be all that can be had, so that the bombs need not be larger."""
    for module in (capacity, hdf5, parquet):
        monkeypatch.setattr(module, "available_memory", lambda: 2**29)


@pytest.fixture
def refused(tmp_path, scarce):
    """Return a function: a reader refuses, in one line that names the file, and asks for little."""

    def check(read, path, words, most=2**26):
        tracemalloc.start()
        try:
            with pytest.raises(sf.SynfabError, match=words) as caught:
                read(path)
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()
        assert len(str(caught.value).splitlines()) == 1
        assert path.name in str(caught.value)

    return check


# ---- our own files ------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [LARGE]}, "cells: would take"),
        ({"shape": [10**9, 10**9, 10**9]}, "cells: would take"),
        ({"shape": [1] * 100}, "up to 32 axes"),
        ({"read_number": -1}, "read_number: expected"),
        ({"seed": 2**70}, "seed: expected"),
        ({"history": "int8"}, "history: expected"),
    ],
)
def test_an_array_file_is_of_no_more_cells_than_it_holds(tmp_path, refused, change, words):
    content = members(seeds.arrays(tmp_path)[0])
    begin = content["manifest.npy"].index(b"\n") + 1
    manifest = json.dumps(json.loads(content["manifest.npy"][begin:]) | change).encode()
    content["manifest.npy"] = npy((len(manifest),), "|u1", manifest)
    path = tmp_path / "bomb.npz"
    path.write_bytes(seal(content))
    refused(sf.CellArray.load, path, words)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (npy((LARGE,), "<f4"), "r: claims float32"),
        (npy((64,), "|O"), "r: expected numbers"),
        (npy((LARGE,), "|S0"), "r: expected numbers"),
        (b"not an array", "r: "),
    ],
)
def test_a_header_behind_the_checksum_is_not_believed(tmp_path, refused, member, words):
    content = members(seeds.arrays(tmp_path)[0]) | {"r.npy": member}
    path = tmp_path / "bomb.npz"
    path.write_bytes(seal(content))
    refused(sf.CellArray.load, path, words)


def test_the_history_of_a_model_file_is_of_bounded_order(tmp_path, refused):
    document = json.loads(seeds.models(tmp_path)[0])
    document["histories"][0]["lags"] = [[[0.0] * 4] * 4] * 2000
    path = tmp_path / "long.json"
    path.write_text(json.dumps(document))
    refused(sf.load_model, path, "expected up to 100 lags, found 2000")
    path.write_bytes(b" " * (limits.DOCUMENT_BYTES + 1))
    refused(sf.load_model, path, "larger than 16.0 MiB")


def test_a_manifest_of_shards_is_of_what_lies_beside_it(tmp_path, refused):
    from fuzz.archives import unbundle

    from synfab.cluster.manifest import read_manifest

    folder = tmp_path / "cells"
    unbundle(seeds.shards(tmp_path)[0], folder)
    whole = json.loads((folder / "manifest.json").read_text())
    for change, words in (
        ({"shape": [LARGE], "shards": []}, "shards: expected"),
        ({"shape": [LARGE, 3]}, "whole lines"),
        ({"shards": [[2, 3], [2, 3], [2, 3]], "shape": [6, 3]}, "shard-000002.npz: missing"),
        ({"options": {"engine": "jax"}}, "options: expected"),
        ({"pulses": "7"}, "pulses: expected"),
        ({"version": 2}, "this synfab reads 1"),
    ):
        (folder / "manifest.json").write_text(json.dumps(whole | change))
        refused(read_manifest, folder, words)


# ---- programs ------------------------------------------------------------


def test_a_program_has_a_bounded_number_of_pulses(tmp_path, refused):
    for text in (", ".join(["1 x 9999999"] * 30), "(" * 9 + "1 x 9999999" + ", 1) x 9" * 9):
        with pytest.raises(sf.InvalidValueError, match="pulses"):
            parse_program(text)
    import pyarrow as pa
    from pyarrow import parquet as pq

    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"voltage": np.zeros(10_000_001, np.float32)}), path)
    assert path.stat().st_size < 100_000
    refused(lambda p: read_program(str(p)), path, "up to 10000000 pulses")


def test_a_long_expression_is_read_in_one_pass():
    assert len(parse_program("-2, 0.9, " * 100_000 + "1")) == 200_001


@pytest.mark.parametrize("read", [consumed, lambda path: read_program(str(path))])
def test_short_lines_of_a_wide_table_are_not_filled_up(tmp_path, refused, read):
    names = ",".join(["voltage", "current", *(f"c{k}" for k in range(10_000))])
    path = tmp_path / "wide.csv"
    path.write_text(names + "\n" + "1\n" * 50_000)
    refused(read, path, "table: needs 11")
    path.write_text(",".join(f"c{k}" for k in range(20_000)) + "\n1\n")
    refused(read, path, "up to 16384 columns")


@pytest.mark.parametrize("read", [consumed, lambda path: read_program(str(path))])
def test_the_first_lines_are_looked_at_before_they_are_columns(tmp_path, refused, read):
    """Of 600,000 names, pandas' frame took 685 MiB."""
    path = tmp_path / "wide.csv"
    for text, words in (
        ("voltage,current," + "long name," * 600_000, "a first line of up to 1048576 bytes"),
        ("voltage,current" + ",a" * 400_000, "up to 16384 columns, found 400002"),
        ("\ufeff\n \nvoltage,current" + ",a" * 400_000, "up to 16384 columns, found 400002"),
        ('voltage,"current\n"' + ",a" * 400_000, "up to 16384 columns, found 400002"),
        ("voltage,current\n1,1" + ",1" * 400_000, "up to 16384 columns, found 400002"),
        ('voltage,"' + '\n"",' * 400_000, "a first line of up to 1048576 bytes|field larger"),
    ):
        path.write_text(text + "\n1,1\n", encoding="utf-8")
        refused(read, path, words, most=2**25)


def test_voltages_are_of_the_file_they_are_in(tmp_path, refused):
    path = tmp_path / "u.npy"
    path.write_bytes(npy((LARGE, 12)))
    refused(lambda p: read_pulses(p, 12), path, "cannot read the program")
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    refused(lambda p: read_pulses(p, 12), path, "cannot read the program")


def zarr_program(path, **options):
    import zarr

    given = {"shape": (4, 12), "chunks": (2, 6), "dtype": "f4"}
    return zarr.create_array(store=str(path), **{**given, **options})


def test_zarr_chunks_are_looked_at_before_they_are_unpacked(tmp_path, refused):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "u.zarr"

    def first(p):
        return read_pulses(p, 12).voltages(0, 0, 12)

    zarr_program(path, shape=(4, 10**12), chunks=(1, 10**12))
    refused(lambda p: read_pulses(p, 10**12), path, "a chunk: needs 10.9 TiB")
    zarr_program(path, shape=(10**12, 12), overwrite=True)
    refused(first, path, "up to 10000000 pulses")
    bombs = {
        zarr.codecs.GzipCodec: gzip.compress(bytes(2**26)),
        zarr.codecs.ZstdCodec: b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**50) + bytes(9),
        zarr.codecs.BloscCodec: struct.pack("<4B3I", 2, 1, 0, 4, 2**31 - 1, 2**18, 40) + bytes(24),
    }
    for codec, bomb in bombs.items():
        zarr_program(path, compressors=codec(), chunks=(4, 2**18), overwrite=True)[:] = 0.5
        (path / "c" / "0" / "0").write_bytes(bomb)
        refused(first, path, "would take")
        (path / "c" / "0" / "0").write_bytes(bytes(2**23))
        refused(first, path, "would take")


def test_zarr_codecs_that_run_programs_are_refused(tmp_path, refused):
    pytest.importorskip("zarr")
    path = tmp_path / "u.zarr"
    zarr_program(path, zarr_format=2, compressors=None)
    document = json.loads((path / ".zarray").read_text())
    for codec in ({"id": "pickle"}, {"id": "bz2", "level": 1}, {"id": "json2"}):
        for change in ({"filters": [codec]}, {"compressor": codec}):
            (path / ".zarray").write_text(json.dumps(document | change))
            refused(lambda p: read_pulses(p, 12), path, "codecs: expected|data type")


def test_a_resumed_run_is_of_its_own_size(tmp_path, refused):
    from fuzz.archives import unbundle

    from synfab.simulate.store import Results

    path = tmp_path / "other.zarr"
    unbundle(seeds.simulations(tmp_path)[0], path)
    described = path / "done" / "zarr.json"
    whole = json.loads(described.read_text())
    described.write_text(json.dumps(whole | {"shape": [LARGE]}))
    refused(lambda p: Results.resume(p, seeds.SETTINGS), path, "done: expected u1")


# ---- measurements ------------------------------------------------------------


def test_arrays_are_not_believed_to_be_larger_than_their_members(tmp_path, refused):
    path = tmp_path / "loops.npz"
    for member, words in (
        (npy((LARGE,)), "voltage: claims"),
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
        (b" " * (2**24 + 1), "unpacked: would take"),
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


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def test_datasets_that_were_never_written_are_not_filled(tmp_path, refused, h5py):
    path = tmp_path / "empty.h5"
    for shape, chunks in (((10**6, 10**6), None), ((10**5, 10**5, 10**5), (1, 9, 9))):
        with h5py.File(path, "w") as file:
            for name in ("voltage", "current"):
                if chunks is None:
                    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                    space = h5py.h5s.create_simple(shape)
                    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F64LE, space, plist)
                else:
                    file.create_dataset(name, shape, "f8", chunks=chunks)
        assert path.stat().st_size < 100_000
        refused(consumed, path, "voltage: needs")


@pytest.mark.slow
def test_a_chunk_that_becomes_more_than_it_says_is_refused(tmp_path, refused, h5py):
    path = tmp_path / "chunk.h5"
    packed = zlib.compress(bytes(2**30 + 2**25), 9)
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            made = file.create_dataset(
                name, (1, 3, 2**17), "f8", chunks=(1, 1, 2**17), compression="gzip"
            )
            made.id.write_direct_chunk((0, 0, 0), packed)
    refused(consumed, path, "becomes more than 1048576 bytes")


def test_a_chunk_becomes_no_more_than_a_part_of_the_memory(tmp_path, refused, h5py):
    """Where 1 GiB is not there, 200 kB that become 200 MB are looked at as well."""
    path = tmp_path / "chunk.h5"
    packed = zlib.compress(bytes(200_000_000), 9)
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            made = file.create_dataset(name, (1, 3, 2**14), "f8", chunks=(1, 3, 2**14),
                                       compression="gzip")  # fmt: skip
            made.id.write_direct_chunk((0, 0, 0), packed)
    assert path.stat().st_size < 500_000
    refused(consumed, path, "becomes more than 393216 bytes")


def test_two_filters_that_pack_are_refused(tmp_path, refused, h5py):
    """Each multiplies what the other makes: of 14.8 kB became 4.1 GiB."""
    path = tmp_path / "twice.h5"
    packed = zlib.compress(zlib.compress(bytes(2**27), 9), 9)
    assert len(packed) < 1000
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((1, 2, 50))
            plist.set_deflate(9)
            plist.set_deflate(9)
            space = h5py.h5s.create_simple((1, 2, 50))
            kind = h5py.h5t.IEEE_F64LE
            made = h5py.h5d.create(file.id, name.encode(), kind, space, plist)
            h5py.Dataset(made).id.write_direct_chunk((0, 0, 0), packed)
    refused(consumed, path, "voltage: expected one filter that packs, found gzip, gzip")


def test_chunks_that_gzip_left_as_they_are_are_read(tmp_path, scarce, h5py):
    wave = np.random.default_rng(1).normal(size=(2, 3, 2**14)) * 1e-3
    path = tmp_path / "left.h5"
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            made = file.create_dataset(name, wave.shape, "f8", chunks=wave.shape,
                                       compression="gzip", shuffle=True)  # fmt: skip
            # The second filter is left out, and its input is what the first one made.
            shuffled = wave.reshape(-1).view(np.uint8).reshape(-1, 8).T.tobytes()
            made.id.write_direct_chunk((0, 0, 0), shuffled, filter_mask=2)
    np.testing.assert_array_equal(next(read_any(path).open_devices()).voltage, wave[0].ravel())


@pytest.mark.parametrize(
    "filters", [{"compression": "lzf"}, {"compression": "lzf", "fletcher32": True},
                {"compression": "gzip"}, {"fletcher32": True}]
)  # fmt: skip
def test_chunks_of_one_number_are_read(tmp_path, h5py, filters):
    wave = np.concatenate([np.linspace(0, -1, 50), np.linspace(-1, 1, 50)]).astype(np.float32)
    path = tmp_path / "small.h5"
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            file.create_dataset(name, data=wave, chunks=(1,), **filters)
    np.testing.assert_array_equal(next(read_any(path).open_devices()).voltage, wave)


def test_a_chunk_of_many_devices_is_looked_at_once(tmp_path, scarce, h5py, monkeypatch):
    wave = np.random.default_rng(1).normal(size=(8, 2, 2**14))
    path, looked = tmp_path / "many.h5", []
    with h5py.File(path, "w") as file:
        for name in ("voltage", "current"):
            file.create_dataset(name, data=wave, chunks=wave.shape, compression="gzip")
    made = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda: looked.append(1) or made())
    assert len(list(read_any(path).open_devices())) == 8
    assert len(looked) == 2


def test_data_that_lie_in_other_files_are_refused(tmp_path, refused, h5py):
    path, other = tmp_path / "out.h5", tmp_path / "other.h5"
    loop = np.ones((1, 2, 9))
    with h5py.File(other, "w") as file:
        file["voltage"] = file["current"] = loop

    def link(file):
        file["voltage"] = h5py.ExternalLink(str(other), "/voltage")

    def soft(file):
        file["voltage"] = h5py.SoftLink("/nowhere")

    def external(file):
        file.create_dataset("voltage", (1, 2, 9), "f8", external=[("/etc/passwd", 0, 144)])

    def virtual(file):
        layout = h5py.VirtualLayout((1, 2, 9), "f8")
        layout[:] = h5py.VirtualSource(str(other), "voltage", (1, 2, 9))
        file.create_virtual_dataset("voltage", layout)

    def words(file):
        file.create_dataset("voltage", data=["a"] * 2, dtype=h5py.string_dtype())

    for make, said in (
        (link, "a link to elsewhere"), (soft, "a link to elsewhere"), (external, "another file"),
        (virtual, "another file"), (words, "expected numbers"),
    ):  # fmt: skip
        with h5py.File(path, "w") as file:
            file["current"] = loop
            make(file)
        refused(consumed, path, said)


def test_links_inside_a_file_are_followed_and_unused_ones_are_not(tmp_path, h5py):
    """Files in the manner of NeXus have such links."""
    wave = np.tile(np.concatenate([np.linspace(0, -1, 50), np.linspace(-1, 1, 50)]), (2, 3, 1))
    with h5py.File(tmp_path / "stacked.h5", "w") as file:
        file["store/volts"], file["now"] = wave, h5py.SoftLink("/store")
        file["raw"], file["none"] = h5py.ExternalLink("none.h5", "/"), h5py.SoftLink("/nowhere")
        file["voltage"], file["current"] = h5py.SoftLink("now/./volts"), 1e-4 * wave
    with h5py.File(tmp_path / "grouped.h5", "w") as file:
        for k in range(2):
            file[f"{k}/raw"] = h5py.ExternalLink("none.h5", "/raw")
            file[f"{k}/current"], file[f"{k}/U"] = 1e-4 * wave[k], h5py.SoftLink("V")
        file["0/V"], file["1/V"] = wave[0], h5py.SoftLink("/0/V")
        file["latest"] = h5py.SoftLink("/1")
        file["log"] = h5py.SoftLink("/nowhere")
    for name in ("stacked.h5", "grouped.h5"):
        assert [device.name for device in consumed(tmp_path / name)] == ["0", "1"]


@pytest.mark.parametrize("path", ["/out/voltage", "/a", "/missing", "current/voltage", "/chain/0"])
def test_links_that_lead_out_of_a_file_or_nowhere_are_refused(tmp_path, refused, h5py, path):
    loop = np.ones((1, 2, 9))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["voltage"] = loop
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["out"] = h5py.ExternalLink("other.h5", "/")
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        for k in range(20):
            file[f"chain/{k}"] = h5py.SoftLink(f"/chain/{k + 1}")
        file["chain/20"] = file["current"] = loop
        file["voltage"] = h5py.SoftLink(path)
    refused(consumed, tmp_path / "links.h5", "voltage: a link to elsewhere")


# ---- results and tasks ------------------------------------------------------------


@pytest.mark.parametrize("points", [b"-5", b"999999999999999", b"1_0"])
def test_a_result_is_as_long_as_its_file(tmp_path, refused, points):
    path = tmp_path / "out.raw"
    path.write_bytes(seeds.raws(tmp_path)[0].replace(b"No. Points: 3", b"No. Points: " + points))
    refused(read_raw, path, "damaged|cut short")


def test_pictures_are_as_many_as_their_header_says(tmp_path, refused):
    tasks = pytest.importorskip("synfab.torch.tasks")
    path = tmp_path / "images"
    head = bytes([0, 0, 8, 3]) + np.array((2, 5, 4), ">u4").tobytes()
    (tmp_path / "images.gz").write_bytes(gzip.compress(head + bytes(2**28)))
    refused(tasks.read_idx, path, "behind its header")
    path.write_bytes(bytes([0, 0, 8, 4]) + b"\xff" * 16)
    refused(tasks.read_idx, path, "needs")
    path.write_bytes(bytes([0, 0, 8, 200]) + b"\0" * 800)
    refused(tasks.read_idx, path, "expected 1 … 8 axes")


def test_a_state_is_of_plain_tensors_that_fit():
    torch = pytest.importorskip("torch")
    layer = seeds.layer()
    whole = layer.get_extra_state()
    r = whole["tile 0"]["r"]
    for change in (
        {"r": r.double()}, {"r": r.to("meta")}, {"r": r.tolist()}, {"r": r.to_sparse()},
        {"r": r.to(torch.int32)}, {"read_number": -1}, {"read_number": "1"},
    ):  # fmt: skip
        with pytest.raises(sf.SynfabError, match="state_dict: tile 0"):
            layer.set_extra_state(whole | {"tile 0": whole["tile 0"] | change})
    for change in ({"seed": 1.5}, {"seed": None}, {"first_cell": 2**64}, {"tile 0": 3},
                   {"layer_readout_number": []}):  # fmt: skip
        with pytest.raises(sf.SynfabError):
            layer.set_extra_state(whole | change)
    layer.set_extra_state(whole)


# ---- limits ------------------------------------------------------------


def test_a_limit_on_the_address_space_is_known(monkeypatch):
    import resource

    plain = capacity.available_memory()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (size + 2**28, size + 2**28))
    assert capacity.available_memory() <= 2**28 < plain


def test_what_a_library_raises_is_told_in_one_line():
    for error, kind in (
        (SyntaxError("a\nb"), sf.FileFormatError), (zlib.error(), sf.FileFormatError),
        (MemoryError(), sf.CapacityError), (ToolError("x: y"), ToolError),
    ):  # fmt: skip
        with pytest.raises(kind) as caught, limits.told("file"):
            raise error
        assert len(str(caught.value).splitlines()) == 1
