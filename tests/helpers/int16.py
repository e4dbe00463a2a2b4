"""Files as version 0.1 wrote them for cells with int16 history, made from files of float32."""

import json

import numpy as np

from synfab.io.archive import checksum, open_checked, write_archive
from synfab.io.json_file import exact_digest


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


def folder_as_int16(folder):
    """Rewrite a folder of a cluster with int16 history."""
    files = sorted(folder.glob("shard-*.npz"))
    for file in files:
        as_int16(file)
    found = json.loads((folder / "manifest.json").read_text())
    found["options"]["history"] = "int16"
    found["checksums"] = list(map(checksum, files))
    del found["digest"]
    (folder / "manifest.json").write_text(json.dumps(found | {"digest": exact_digest(found)}))


def simulation_as_int16(path):
    """Change the settings of results in Zarr to those of cells with int16 history."""
    document = json.loads((path / "zarr.json").read_text())
    content = document["attributes"] | {"history": "int16"}
    del content["digest"]
    document["attributes"] = content | {"digest": exact_digest(content)}
    (path / "zarr.json").write_text(json.dumps(document))
