"""HDF5 files of measurements. Datasets are checked before HDF5 allocates or decompresses them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from synfab.common.errors import FileFormatError, SynfabError
from synfab.common.types import Array
from synfab.io.limits import CHUNK_BYTES, one_line_errors
from synfab.io.memory import available_memory, require_memory
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.readers.columns import (
    SWEEP_COLUMNS,
    Found,
    find_columns,
    need,
    quantity_of,
)
from synfab.learn.readers.hdf5links import inside, split_names
from synfab.learn.readers.labels import grouped
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.sweeps import Sweeps, device_sweeps, sweeps_from_arrays

if TYPE_CHECKING:
    import h5py

# Filters that are built into HDF5. Only deflate can decompress to more than the stated size.
DEFLATE, FILTERS = 1, {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}
DEFLATE_RATIO = 1032  # largest compression ratio of deflate
TIDY = ("device", "cycle", *SWEEP_COLUMNS)
FLETCHER, SZIP, LZF = 3, 4, 32000
PACKING = (DEFLATE, SZIP, LZF)
SLACK, CHECKSUM = 4096, 4
# First index to the offsets of chunks that must be decompressed by hand before HDF5 reads them.
Large: TypeAlias = dict[int, list[tuple[int, ...]]]


def read_hdf5(path: Path, columns: Columns = None) -> Sweeps:
    """Return loops from datasets voltage and current, in the file or in one group per device.

    Datasets are (device, cycle, point), (cycle, point) or (point,); with the last, datasets device
    and cycle can assign each point. Devices are read one at a time. ``columns`` is not used.

    Raises
    ------
    FileFormatError, InvalidValueError
        Datasets are missing, are not numeric, or are stored outside the file.
    CapacityError
        A device does not fit into memory.
    """
    import h5py

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
    # A link can be a second name of a dataset, so links count only where datasets are missing.
    names = own if len(_quantities(own)) == len(SWEEP_COLUMNS) else own + links
    found = find_columns(names)
    need(found, SWEEP_COLUMNS, names)
    used = {name: found[name] for name in TIDY if name in found}
    return Sweeps(lambda: _devices(path, groups if grouped else None, used))


def _quantities(names: list[str]) -> set[str]:
    """Return which of voltage and current are among the names."""
    roles = filter(None, map(quantity_of, names))
    return {quantity for quantity, _ in roles if quantity in SWEEP_COLUMNS}


def _devices(path: Path, groups: list[str] | None, columns: Found) -> Iterator[DeviceSweeps]:
    import h5py

    try:
        with one_line_errors("damaged"), h5py.File(path, "r") as file:
            yield from _grouped(file, groups, columns) if groups else _stacked(file, columns)
    except SynfabError as error:
        raise type(error)(f"{path}: {error}") from None


def _grouped(file: h5py.File, groups: list[str], columns: Found) -> Iterator[DeviceSweeps]:
    (v_name, v_scale), (i_name, i_scale) = columns["voltage"], columns["current"]
    for group in groups:
        here = inside(file, group)
        v, i = (_whole(inside(here, name)) for name in (v_name, i_name))
        for device in sweeps_from_arrays(v * v_scale, i * i_scale).open_devices():
            yield device._replace(name=group)


def _stacked(file: h5py.File, columns: Found) -> Iterator[DeviceSweeps]:
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


def _points(file: h5py.File, columns: Found) -> Iterator[DeviceSweeps]:
    """Yield devices from datasets with one value per point, ordered by their first points."""
    data = {name: _whole(inside(file, column)) for name, (column, _) in columns.items()}
    shapes = {name: values.shape for name, values in data.items()}
    if len(set(shapes.values())) > 1:
        raise FileFormatError(f"expected as many values of each quantity, found shapes {shapes}")
    names, rows = grouped(data.pop("device", np.zeros(shapes["current"], int)))
    for name, index in zip(names, rows, strict=True):
        mine = {key: columns[key][1] * values[index] for key, values in data.items()}
        yield device_sweeps(name, mine)


def _whole(dataset: h5py.Dataset) -> Array:
    for large in _check(dataset, dataset.shape).values():
        _unpack(dataset, large)
    values: Array = dataset[()]
    return values


def _part(dataset: h5py.Dataset, k: int, large: Large) -> Array:
    length = dataset.chunks[0] if dataset.chunks else 1
    # Removed from ``large``: a chunk that holds many devices is checked once.
    _unpack(dataset, large.pop(k // length * length, []))
    values: Array = dataset[k]
    return values


def _check(dataset: h5py.Dataset, shape: tuple[int, ...]) -> Large:
    """Refuse a dataset that is not numeric, is stored elsewhere, or does not fit into memory.

    Returns
    -------
    dict
        Chunks to decompress by hand before HDF5 reads them, by their first index.
    """
    import h5py

    name = dataset.name
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise FileFormatError(f"{name}: expected a dataset of numbers")
    if dataset.dtype.kind not in "fiub":
        raise FileFormatError(f"{name}: expected numbers, found {dataset.dtype}")
    if dataset.external or dataset.is_virtual:
        raise FileFormatError(f"{name}: stored in another file; expected the data in this one")
    # Three copies: the stored type, float64, and scaled.
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
    if len(packing) > 1:  # their compression ratios multiply
        raise FileFormatError(f"{name}: expected one compression, found {', '.join(packing)}")
    return _check_chunks(dataset, codes)


def _filters(dataset: h5py.Dataset) -> list[int]:
    """Return the codes of the filters of a dataset in the order in which they are applied."""
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(n)[0] for n in range(properties.get_nfilters())]


def _nominal(dataset: h5py.Dataset) -> int:
    """Return the stated size of a decompressed chunk in bytes."""
    return int(math.prod(dataset.chunks) * dataset.dtype.itemsize)


def _check_chunks(dataset: h5py.Dataset, codes: list[int]) -> Large:
    """Check the stored sizes of all chunks; return those that could decompress to too much.

    HDF5 2.0 crashes on a chunk that is smaller than its checksum, and reads the length in front of
    szip data without checking that it exists.
    """
    sizes: list[tuple[tuple[int, ...], int]] = []
    dataset.id.chunk_iter(lambda info: sizes.append((info.chunk_offset, info.size)))
    nominal, found = _nominal(dataset), Large()
    packed = any(code in PACKING for code in codes)
    least = min(CHECKSUM + 1, nominal) if packed else nominal
    if FLETCHER in codes or SZIP in codes:
        least = max(least, CHECKSUM + 1)
    # Incompressible data grows slightly.
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


def _unpack(dataset: h5py.Dataset, offsets: list[tuple[int, ...]]) -> None:
    """Refuse chunks larger than stated; HDF5 would decompress them to their end."""
    codes = _filters(dataset)
    for offset in offsets:
        skipped, packed = dataset.id.read_direct_chunk(offset)
        if skipped >> codes.index(DEFLATE) & 1:
            continue  # HDF5 skips the filter where it does not reduce the size
        engine = zlib.decompressobj()
        engine.decompress(packed, _nominal(dataset) + SLACK)
        if engine.unconsumed_tail:
            raise FileFormatError(
                f"{dataset.name}: chunk {offset}: decompresses to over {_nominal(dataset)} bytes"
            )


register_format("HDF5", read_hdf5, suffixes=(".h5", ".hdf5", ".hdf"), packages=("h5py",))
