"""The table of targets: every reader of a file that a user may hand over."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fuzz import seeds


class Target(NamedTuple):
    """A reader: how its input is named and mutated, and where small valid inputs come from."""

    suffix: str
    kind: str  # of mutation, see ``mutate``; "bundle": the input is a folder
    read: Callable[[Path], Any]
    seeds: Callable[[Path], list[bytes]]


def model(path):
    import synfab as sf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.EditedFileWarning)  # which all of them are
        return sf.load_model(path)


def array(path):
    """Load cells and use them: numbers that were believed must not lead out of memory."""
    import synfab as sf

    cells = sf.CellArray.load(path)
    if cells.engine in ("numba", "array"):
        cells.apply_voltage(-1.5).apply_voltage(1.0)
        cells.read()
    return cells


def checkpoint(path):
    from synfab.io.checkpoints import read_checkpoint

    course = seeds.course()
    course.restore(read_checkpoint(path, seeds.RUN))
    return course


def shards(path):
    from synfab.cluster.manifest import read_manifest
    from synfab.cluster.shard import make_roots

    found = read_manifest(path)
    return make_roots(found.model, found.shards, found.options, path, found.pulses)


def voltages(path):
    from synfab.pulses.blocks import read_pulses

    pulses = read_pulses(path, seeds.CELLS)
    return [pulses.voltages(k, 0, seeds.CELLS) for k in range(min(len(pulses), 8))]


def resume(path):
    from synfab.simulate.store import Results

    return Results.resume(path, seeds.SETTINGS).is_finished(0)


def program(path):
    from synfab.pulses.program import read_program

    return read_program(str(path))


def expression(path):
    from synfab.pulses.program import parse_program

    return parse_program(path.read_bytes().decode("latin-1"))


def measurement(path):
    """Read loops or features; loops are streamed, so every device is opened."""
    from synfab.learn.reading import read_any
    from synfab.learn.sweeps import Sweeps

    found = read_any(path, u_set=-0.8, u_reset=0.7)
    return sum(len(d.voltage) for d in found.devices()) if isinstance(found, Sweeps) else found


def raw(path):
    from synfab.circuit.waveforms import read_raw

    return read_raw(path)


def netlist(path):
    from synfab.circuit.ngspice import read_netlist

    return read_netlist(path)


def idx(path):
    from synfab.torch.tasks import read_idx

    return read_idx(path.with_name(path.name.removesuffix(".gz")))


def state(path):
    """A layer's state; what PyTorch itself does not load, no layer is given."""
    import torch

    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # torch.load is the user's
        return None
    if isinstance(content, dict) and content.get("version") == 2:
        content["version"] = 1  # what a digest would refuse at once
    return seeds.layer().set_extra_state(content)


TARGETS = {
    "model": Target(".json", "json", model, seeds.models),
    "array": Target(".npz", "sealed", array, seeds.arrays),
    "checkpoint": Target(".npz", "sealed", checkpoint, seeds.checkpoints),
    "shards": Target("", "bundle", shards, seeds.shards),
    "voltages-npy": Target(".npy", "bytes", voltages, seeds.voltages_npy),
    "voltages-zarr": Target(".zarr", "bundle", voltages, seeds.voltages_zarr),
    "resume": Target(".zarr", "bundle", resume, seeds.simulations),
    "program-csv": Target(".csv", "text", program, seeds.programs_csv),
    "program-parquet": Target(".parquet", "bytes", program, seeds.programs_parquet),
    "expression": Target(".txt", "text", expression, seeds.expressions),
    "csv": Target(".csv", "text", measurement, seeds.texts),
    "dat": Target(".dat", "text", measurement, seeds.blanks),
    "instruments": Target(".csv", "text", measurement, seeds.instruments),
    "easyexpert": Target(".csv", "text", measurement, seeds.easyexperts),
    "csv-gz": Target(".csv.gz", "gzip", measurement, seeds.packed_texts),
    "xls": Target(".xls", "bytes", measurement, seeds.xlss),
    "ods": Target(".ods", "archive", measurement, seeds.odss),
    "tdms": Target(".tdms", "bytes", measurement, seeds.tdmss),
    "mat": Target(".mat", "bytes", measurement, seeds.mats),
    "xlsx": Target(".xlsx", "archive", measurement, seeds.excels),
    "folder": Target("", "bundle", measurement, seeds.folders),
    "parquet": Target(".parquet", "bytes", measurement, seeds.parquets),
    "hdf5": Target(".h5", "bytes", measurement, seeds.hdf5s),
    "npz": Target(".npz", "archive", measurement, seeds.npzs),
    "raw": Target(".raw", "bytes", raw, seeds.raws),
    "netlist": Target(".cir", "text", netlist, seeds.netlists),
    "idx": Target("", "bytes", idx, seeds.idxs),
    "idx-gz": Target(".gz", "gzip", idx, seeds.packed_idxs),
    "state": Target(".pt", "archive", state, seeds.states),
}  # fmt: skip
