"""HDF5 files that claim to be large, or reach out of themselves: refused before they do."""

import zlib

import numpy as np
import pytest
from hostile import consumed

from synfab.learn.reading import read_any


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
    refused(consumed, path, "decompresses to over 393216 bytes")


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
    refused(consumed, path, "voltage: expected one compression, found gzip, gzip")


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
        (link, "links to another file"), (soft, "links to another file"), (external, "another file"),
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
    refused(consumed, tmp_path / "links.h5", "voltage: links to another file or to nothing")
