"""Array files continue exactly, and never load when they are damaged."""

import json
import os
import stat
import zipfile

import numpy as np
import pytest

import synfab as sf
from synfab.cells import files as arrayfile
from synfab.cli.demo import random_voltages
from synfab.io.files import atomic_folder


@pytest.fixture
def cells(published):
    array = sf.CellArray(published, (10, 30), seed=1, first_cell=7, order=3)
    array.apply_voltage(-2.0).apply_voltage(random_voltages((10, 30), 1)).read()
    return array


@pytest.mark.parametrize(
    "options", [{}, {"history": "compact"}, {"engine": "array"}, {"order": 2, "first_cell": 2**40}]
)
def test_a_loaded_array_goes_on_as_if_nothing_had_happened(published, tmp_path, options):
    cells = sf.CellArray(published, (7, 11), seed=3, **options)
    for k in range(15):
        cells.apply_voltage(random_voltages((7, 11), k) * np.float32(1.3))
    cells.read()
    _ = cells @ np.full(11, 0.1)
    cells.save(tmp_path / "cells.npz")
    twin = sf.CellArray.load(tmp_path / "cells.npz")
    assert repr(twin) == repr(cells)
    for k in range(15):
        for array in (cells, twin):
            array.apply_voltage(random_voltages((7, 11), 50 + k) * np.float32(1.3))
    assert np.array_equal(cells.r, twin.r)
    assert np.array_equal(cells.read(), twin.read())
    assert np.array_equal(cells @ np.full(11, 0.1), twin @ np.full(11, 0.1))


def test_any_flipped_byte_and_any_cut_is_reported(cells, tmp_path):
    path = tmp_path / "cells.npz"
    cells.save(path)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), len(whole) // 150), *range(len(whole) - 90, len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x20
        path.write_bytes(damaged)
        with pytest.raises(sf.FileFormatError, match=r"cells\.npz"):
            sf.CellArray.load(path)
    for length in [0, 1, 50, *range(0, len(whole), len(whole) // 20)]:
        path.write_bytes(whole[:length])
        with pytest.raises(sf.FileFormatError, match=r"cells\.npz"):
            sf.CellArray.load(path)


def test_a_later_version_is_said(cells, tmp_path, monkeypatch):
    path = tmp_path / "cells.npz"
    monkeypatch.setattr(arrayfile, "VERSION", 2)
    cells.save(path)
    monkeypatch.undo()
    with pytest.raises(sf.FileFormatError, match="version: the file has version 2"):
        sf.CellArray.load(path)


def test_numpy_can_look_inside(cells, tmp_path):
    cells.save(tmp_path / "cells.npz")
    with np.load(tmp_path / "cells.npz", allow_pickle=False) as content:
        manifest = json.loads(content["manifest"].tobytes())
        np.testing.assert_array_equal(content["r"][:300], cells.r.ravel())
    assert manifest["seed"] == 1
    assert zipfile.ZipFile(tmp_path / "cells.npz").testzip() is None


def test_a_failed_save_leaves_the_old_file(cells, tmp_path, monkeypatch):
    path = tmp_path / "cells.npz"
    cells.save(path)
    before = path.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full_disk)
    with pytest.raises(sf.InvalidValueError, match="No space left"):
        cells.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["cells.npz"]


def test_unwritable_places_are_said(cells, tmp_path):
    for path in (tmp_path, tmp_path / "none" / "cells.npz"):
        with pytest.raises(sf.InvalidValueError, match=r"^path: "):
            cells.save(path)


def test_a_link_is_followed(cells, tmp_path):
    (tmp_path / "real.npz").write_bytes(b"old")
    (tmp_path / "link.npz").symlink_to("real.npz")
    cells.save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert np.array_equal(sf.CellArray.load(tmp_path / "real.npz").r, cells.r)


def test_files_have_the_permissions_that_others_would(cells, tmp_path):
    """Those of the umask, or of the file that was there."""
    before = os.umask(0o027)
    try:
        cells.save(tmp_path / "new.npz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o640
    (tmp_path / "new.npz").chmod(0o604)
    cells.save(tmp_path / "new.npz")
    assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o604


def test_a_folder_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        pytest.raises(sf.InvalidValueError, match=r"^folder: .* already exists"),
        atomic_folder(tmp_path / "run", "folder"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
