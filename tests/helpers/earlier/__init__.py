"""Files that an earlier version wrote, and what it computed from them.

The functions of this package are called by ``fixtures/before_layout/make.py``, which recorded what
they returned when the files were made, and by ``test_earlier_files.py``, which compares. They use
public names alone and must keep doing the same: otherwise the recorded numbers mean nothing.
"""

import io
import tarfile
from functools import cache
from pathlib import Path

import numpy as np

FILES = Path(__file__).parents[2] / "fixtures" / "before_layout" / "files.tar.xz"
EXPECTED = "expected.npz"
MODEL = "models/small.json"  # of everything that does not carry its own


def unpack(kind, folder):
    """Copy the files of one kind, and the model that they were made with, into a folder."""
    with tarfile.open(FILES) as archive:
        found = [m for m in archive.getmembers() if m.name.startswith((f"{kind}/", MODEL))]
        archive.extractall(folder, found, **FILTER)
    assert (folder / kind).is_dir(), kind
    return folder / kind


@cache
def recorded():
    """Return everything that was recorded, by names such as ``"array int16/r"``."""
    with tarfile.open(FILES) as archive:
        data = archive.extractfile(EXPECTED).read()
    with np.load(io.BytesIO(data)) as found:
        return dict(found)


# Python 3.11 before 3.11.4 has no filters.
FILTER = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
# Vector units of a processor add currents of cells in their own order.
SUMS, ROUNDING = ("product", "readout"), 1e-6


def assert_as_recorded(name, found, rtol=0.0):
    """Compare arrays with those that were recorded; numbers that are no floats must be equal.

    Sums over cells may differ by rounding, other floats by ``rtol``.
    """
    wanted = {
        key.removeprefix(f"{name}/"): value
        for key, value in recorded().items()
        if key.startswith(f"{name}/")
    }
    assert wanted, f"nothing was recorded of {name}"
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        ours, where = np.asarray(found[key]), f"{name}: {key}"
        if ours.dtype.kind + value.dtype.kind in ("ui", "iu"):  # libraries count in other types
            ours = ours.astype(value.dtype)
        assert (ours.dtype, ours.shape) == (value.dtype, value.shape), where
        allowed = max(rtol, ROUNDING) if key in SUMS else rtol
        if allowed and value.dtype.kind == "f":
            np.testing.assert_allclose(ours, value, rtol=allowed, atol=0.0, err_msg=where)
        else:
            np.testing.assert_array_equal(ours, value, err_msg=where)
