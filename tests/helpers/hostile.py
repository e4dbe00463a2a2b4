"""What the tests of hostile files share."""

import io

import numpy as np

from synfab.learn.reading import read_any


def consumed(path):
    found = read_any(path)
    return list(found.devices()) if hasattr(found, "open_devices") else found


def npy(shape, kind="<f8", data=b""):
    """An array of NumPy whose header may claim anything."""
    file = io.BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + data
