"""Small files that claim to be large, or that reach out of themselves: refused before they are."""

import gzip
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from fuzz import seeds
from fuzz.archives import members, seal
from hostile import consumed, npy

import synfab as sf
from synfab.circuit.waveforms import read_raw
from synfab.common.errors import ToolError
from synfab.io import limits
from synfab.pulses.blocks import read_pulses
from synfab.pulses.program import parse_program, read_program

LARGE = 10**15


# ---- our own files ------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [LARGE]}, "cells: has"),
        ({"shape": [10**9, 10**9, 10**9]}, "cells: has"),
        ({"shape": [1] * 100}, "1 … 32 axes"),
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
        (npy((LARGE,), "<f4"), "r: states float32"),
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
    whole |= {"version": 1}  # of earlier versions, whose content no digest vouches for
    whole.pop("digest", None)
    for change, words in (
        ({"shape": [LARGE], "shards": []}, "shards: expected"),
        ({"shape": [LARGE, 3]}, "whole rows"),
        ({"shards": [[2, 3], [2, 3], [2, 3]], "shape": [6, 3]}, "shard-000002.npz: missing"),
        ({"options": {"engine": "jax"}}, "options: expected"),
        ({"pulses": "7"}, "pulses: expected"),
        ({"version": 3}, "this version of synfab reads up to 2"),
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


@pytest.fixture
def wide(tmp_path):
    """A table of many columns and of short lines."""
    names = ",".join(["voltage", "current", *(f"c{k}" for k in range(10_000))])
    path = tmp_path / "wide.csv"
    path.write_text(names + "\n" + "1\n" * 50_000)
    return path


def test_short_lines_of_a_wide_table_are_not_filled_up(wide, refused):
    refused(consumed, wide, "table: needs 11")


def test_of_a_wide_table_a_program_reads_one_column(wide):
    tracemalloc.start()
    try:
        assert read_program(str(wide)) == [1.0] * 50_000
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [consumed, lambda path: read_program(str(path))])
def test_tables_have_no_more_columns_than_spreadsheets(tmp_path, refused, read):
    path = tmp_path / "wide.csv"
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
    refused(lambda p: read_pulses(p, 12), path, "cannot read the pulse program")
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    refused(lambda p: read_pulses(p, 12), path, "cannot read the pulse program")


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
        refused(first, path, "the limit is")
        (path / "c" / "0" / "0").write_bytes(bytes(2**23))
        refused(first, path, "the limit is")


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
    refused(tasks.read_idx, path, "after its header")
    path.write_bytes(bytes([0, 0, 8, 4]) + b"\xff" * 16)
    refused(tasks.read_idx, path, "needs")
    path.write_bytes(bytes([0, 0, 8, 200]) + b"\0" * 800)
    refused(tasks.read_idx, path, "expected 1 … 8 axes")


def test_a_state_is_of_plain_tensors_that_fit():
    torch = pytest.importorskip("torch")
    layer = seeds.layer()
    whole = layer.get_extra_state() | {"version": 1}  # without a digest
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
    for change in ({"digest": None}, {"seed": 2}, {"tile 0": whole["tile 0"] | {"r": r + 1e-3}},
                   {"tile 0": whole["tile 0"] | {"r": r.to("meta")}}):  # fmt: skip
        with pytest.raises(sf.FileFormatError, match=r"state_dict: (damaged|not the state)"):
            layer.set_extra_state(layer.get_extra_state() | change)
    layer.set_extra_state(layer.get_extra_state())


# ---- limits ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AS", "DATA"])
def test_a_limit_on_the_memory_of_the_process_is_known(kind):
    resource = pytest.importorskip("resource")
    source = f"""
import resource, psutil
from synfab.io import memory as capacity
used = psutil.Process().memory_info()
used = used.vms if "{kind}" == "AS" else used.data
limit = used + 2**30
resource.setrlimit(resource.RLIMIT_{kind}, (limit, limit))
print(capacity.available_memory())
"""
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hasattr(resource, f"RLIMIT_{kind}")
    assert 2**28 < int(done.stdout) <= 2**30


def test_what_a_library_raises_is_told_in_one_line():
    for error, kind in (
        (SyntaxError("a\nb"), sf.FileFormatError), (zlib.error(), sf.FileFormatError),
        (MemoryError(), sf.CapacityError), (ToolError("x: y"), ToolError),
    ):  # fmt: skip
        with pytest.raises(kind) as caught, limits.one_line_errors("file"):
            raise error
        assert len(str(caught.value).splitlines()) == 1
