"""Files as version 0.1 wrote them for cells with int16 history, made from files of float32."""

import numpy as np

from synfab.io.archive import open_checked, write_archive


def rounded(history):
    """Return a history in steps of 1/4096."""
    return np.rint(np.clip(history * 4096.0, -32767.0, 32767.0)).astype(np.int16)


def as_int16(path):
    """Rewrite an array file with int16 history."""
    with open_checked(path, "a file") as found:
        manifest = found.manifest
        arrays = {name: found.array(name) for name in found.names}
    arrays["history"] = rounded(arrays["history"])
    write_archive(path, manifest | {"history": "int16"}, arrays)
