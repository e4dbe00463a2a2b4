"""HDF5 files of measurements: datasets of numbers in the file itself, of a size that fits."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synfab.common import extras
from synfab.common.errors import FileFormatError, SynfabError
from synfab.io.limits import CHUNK_BYTES, told
from synfab.io.memory import available_memory, require_memory
from synfab.learn.readers.columns import ALIASES, SWEEP_COLUMNS, find_columns, need, split_name
from synfab.learn.readers.hdf5links import inside, split_names
from synfab.learn.readers.labels import index_labels, rows_of
from synfab.learn.sweeps import DeviceSweeps, Sweeps, device_sweeps, sweeps_from_arrays

# Filters of HDF5 itself: their chunks become no more than they say, but for deflate's.
DEFLATE, FILTERS = 1, {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}
DEFLATE_RATIO = 1032  # no byte of deflate becomes more
TIDY = ("device", "cycle", *SWEEP_COLUMNS)
FLETCHER, SZIP, LZF = 3, 4, 32000
PACKING = (DEFLATE, SZIP, LZF)
SLACK, CHECKSUM = 4096, 4
Large = dict[int, list[tuple[int, ...]]]


def read_hdf5(path: Path) -> Sweeps:
    """Datasets voltage and current (device, cycle, point), or such datasets in a group a device.

    Where they are (point,), datasets device and cycle say what a point belongs to.

    Raises
    ------
    FileFormatError, SynfabError
        There are none, or they are not plain numbers in the file itself.
    """
    h5py = extras.require("h5py")

    with h5py.File(path, "r") as file:
        own, links, groups = split_names(file)
        grouped = bool(groups) and not _quantities(own + links)
        if grouped:
            own, links, deeper = split_names(inside(file, groups[0]))
            if deeper and not own + links:
                raise FileFormatError(
                    f"group {groups[0]} holds groups; expected datasets voltage and current in it, "
                    "(cycle, point) or one record"
                )
    # A link may be a second name of what is there.
    names = own if len(_quantities(own)) == len(SWEEP_COLUMNS) else own + links
    found = find_columns(names)
    need(found, SWEEP_COLUMNS, names)
    columns = {name: found[name] for name in TIDY if name in found}
    return Sweeps(lambda: _devices(path, groups if grouped else None, columns))


def _quantities(names: list[str]) -> set[str]:
    """Return which of voltage and current are among the names."""
    plain = {split_name(name)[0] for name in names}
    return {quantity for quantity in SWEEP_COLUMNS if plain & ALIASES[quantity]}


def _devices(path: Path, groups: list[str] | None, columns: Any) -> Iterator[DeviceSweeps]:
    import h5py

    try:
        with told("damaged"), h5py.File(path, "r") as file:
            yield from _grouped(file, groups, columns) if groups else _stacked(file, columns)
    except SynfabError as error:
        raise type(error)(f"{path}: {error}") from None


def _grouped(file: Any, groups: list[str], columns: Any) -> Iterator[DeviceSweeps]:
    (v_name, v_scale), (i_name, i_scale) = columns["voltage"], columns["current"]
    for group in groups:
        here = inside(file, group)
        v, i = (_whole(inside(here, name)) for name in (v_name, i_name))
        for device in sweeps_from_arrays(v * v_scale, i * i_scale).open_devices():
            yield device._replace(name=group)


def _stacked(file: Any, columns: Any) -> Iterator[DeviceSweeps]:
    (v_name, v_scale), (i_name, i_scale) = columns["voltage"], columns["current"]
    v_set, i_set = inside(file, v_name), inside(file, i_name)
    if i_set.ndim == 1 and len(columns) > len(SWEEP_COLUMNS):
        yield from _points(file, columns)
        return
    if i_set.ndim < 3:
        arrays = _whole(v_set) * v_scale, _whole(i_set) * i_scale
        yield from sweeps_from_arrays(*arrays).open_devices()
        return
    shared = None if v_set.ndim == 3 else _whole(v_set)
    v_large, i_large = (_check(one, one.shape[1:]) for one in (v_set, i_set))
    for k in range(len(i_set)):
        v = _part(v_set, k, v_large) if shared is None else shared
        one = sweeps_from_arrays(v * v_scale, _part(i_set, k, i_large) * i_scale)
        for device in one.open_devices():
            yield device._replace(name=str(k))


def _points(file: Any, columns: Any) -> Iterator[DeviceSweeps]:
    """One row a point: the devices in the order of their first points."""
    data = {name: _whole(inside(file, column)) for name, (column, _) in columns.items()}
    shapes = {name: values.shape for name, values in data.items()}
    if len(set(shapes.values())) > 1:
        raise FileFormatError(f"expected as many values of each quantity, found shapes {shapes}")
    names, codes = index_labels(data.pop("device", np.zeros(shapes["current"], int)))
    rows = rows_of(codes, len(names))
    for k in np.argsort([mine[0] for mine in rows]):
        mine = {name: columns[name][1] * values[rows[k]] for name, values in data.items()}
        yield device_sweeps(names[k], mine)


def _whole(dataset: Any) -> Any:
    for large in _check(dataset, dataset.shape).values():
        _unpack(dataset, large)
    return dataset[()]


def _part(dataset: Any, k: int, large: Large) -> Any:
    length = dataset.chunks[0] if dataset.chunks else 1
    # Once: chunks may hold many devices.
    _unpack(dataset, large.pop(k // length * length, []))
    return dataset[k]


def _check(dataset: Any, shape: tuple[int, ...]) -> Large:
    """Refuse what is not plain numbers in the file itself, or would not fit into memory.

    Returns
    -------
    dict
        Chunks that are to be looked into before they are read, by the index that they begin at.
    """
    import h5py

    name = dataset.name
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise FileFormatError(f"{name}: expected a dataset of numbers")
    if dataset.dtype.kind not in "fiub":
        raise FileFormatError(f"{name}: expected numbers, found {dataset.dtype}")
    if dataset.external or dataset.is_virtual:
        raise FileFormatError(f"{name}: its numbers lie in another file; expected them in this one")
    # As they are, as float64, and scaled.
    require_memory(math.prod(shape) * (dataset.dtype.itemsize + 16), name)
    if dataset.chunks is None:
        return {}
    require_memory(2 * _nominal(dataset), f"{name}: a chunk")
    codes = _filters(dataset)
    for code in codes:
        if code not in FILTERS:
            raise FileFormatError(
                f"{name}: filter {code}; expected {', '.join(FILTERS.values())} (see h5repack)"
            )
    packing = [FILTERS[code] for code in codes if code in PACKING]
    if len(packing) > 1:  # each would multiply what the other makes of a chunk
        raise FileFormatError(f"{name}: expected one filter that packs, found {', '.join(packing)}")
    return _look_at_chunks(dataset, codes)


def _filters(dataset: Any) -> list[int]:
    """Codes of the filters that its chunks went through, in their order."""
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(n)[0] for n in range(properties.get_nfilters())]


def _nominal(dataset: Any) -> int:
    """Bytes that a chunk says it becomes."""
    return int(math.prod(dataset.chunks) * dataset.dtype.itemsize)


def _look_at_chunks(dataset: Any, codes: list[int]) -> Large:
    """Check the stored sizes of all chunks; those that could become too large are returned.

    HDF5 2.0 ends the process over a chunk that is smaller than its checksum, and takes the first
    bytes of szip for a length without asking whether they are there.
    """
    sizes: list[tuple[tuple[int, ...], int]] = []
    dataset.id.chunk_iter(lambda info: sizes.append((info.chunk_offset, info.size)))
    nominal, found = _nominal(dataset), Large()
    packed = any(code in PACKING for code in codes)
    least = min(CHECKSUM + 1, nominal) if packed else nominal
    if FLETCHER in codes or SZIP in codes:
        least = max(least, CHECKSUM + 1)
    # What cannot be packed grows a little.
    most = nominal * 9 // 8 + SLACK if packed else nominal + CHECKSUM
    allowed = min(CHUNK_BYTES, available_memory() // 4 or CHUNK_BYTES)
    for offset, size in sizes:
        if not least <= size <= most:
            raise FileFormatError(
                f"{dataset.name}: chunk {offset}: expected {least} … {most} bytes, found {size}"
            )
        if DEFLATE in codes and size * DEFLATE_RATIO > allowed:
            found.setdefault(offset[0], []).append(offset)
    return found


def _unpack(dataset: Any, offsets: list[tuple[int, ...]]) -> None:
    """Refuse chunks that become more than they say; HDF5 would unpack them to their end."""
    codes = _filters(dataset)
    for offset in offsets:
        skipped, packed = dataset.id.read_direct_chunk(offset)
        if skipped >> codes.index(DEFLATE) & 1:
            continue  # HDF5 leaves out what would not make it smaller
        engine = zlib.decompressobj()
        engine.decompress(packed, _nominal(dataset) + SLACK)
        if engine.unconsumed_tail:
            raise FileFormatError(
                f"{dataset.name}: chunk {offset}: becomes more than {_nominal(dataset)} bytes"
            )
