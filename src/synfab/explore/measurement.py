"""Measurements that the explorer shows next to the model."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synfab.common.errors import FileFormatError, SynfabError
from synfab.common.types import FloatArray
from synfab.explore.stages import SHOWN_DEVICES
from synfab.io.limits import one_line_errors
from synfab.learn import Sweeps, extract_features, read_any
from synfab.learn.comparison.loops import Loops, measured_loops
from synfab.learn.readers.registry import Columns, readable_suffixes, suffix_of

SHOWN_LOOPS = 4  # per device
KEPT = 4  # measurements that stay loaded
UPLOAD_BYTES = 64 * 2**20
MAX_NAME = 120  # characters of the name of a file


class Measured(NamedTuple):
    """Features of a measurement, (N, 4) in ohm and V, and loops of its first devices.

    ``source`` is the path in scripts, ``columns`` what it was read with.
    """

    key: str
    name: str
    source: str
    columns: Columns
    devices: int
    features: FloatArray
    loops: list[Loops]

    @property
    def voltages(self) -> tuple[float, float] | None:
        """Lowest and highest voltage (V) of the loops; None for a table of features."""
        if not self.loops:
            return None
        lows, highs = zip(
            *((np.nanmin(one.voltage), np.nanmax(one.voltage)) for one in self.loops), strict=True
        )
        return float(np.median(lows)), float(np.median(highs))


def measure(path: str | os.PathLike[str], name: str, source: str, columns: Columns) -> Measured:
    """Return the features and some loops of a file of any format that ``synfab fit`` reads.

    Raises
    ------
    SynfabError
        The file cannot be read or evaluated; the message is one line with the name of the file.
    """
    try:
        with one_line_errors(name):
            found = read_any(path, columns=columns)
            loops = isinstance(found, Sweeps)
            table = extract_features(found) if isinstance(found, Sweeps) else found
            first = list(table.names[:SHOWN_DEVICES])
            shown = (
                list(measured_loops(found, first, SHOWN_LOOPS).values())
                if isinstance(found, Sweeps)
                else []
            )
    except SynfabError as error:
        text = " ".join(str(error).split()).replace(str(path), name)
        raise type(error)(text if text.startswith(name) else f"{name}: {text}") from None
    key = hashlib.sha256(f"{source} {columns} {loops} {table.digest()}".encode()).hexdigest()[:12]
    return Measured(key, name, source, columns, len(table.names), table.values, shown)


def measure_upload(data: bytes, name: str, columns: Columns) -> Measured:
    """Return the measurement in an uploaded file; its content is written to a temporary file."""
    plain = Path(name.replace("\\", "/")).name[-MAX_NAME:]
    suffix = suffix_of(Path(plain)) if plain else ""
    if suffix not in readable_suffixes(trusted=False):
        raise FileFormatError(
            f"{plain or 'file'}: expected a file that ends in "
            f"{', '.join(one for one in readable_suffixes(trusted=False) if one.count('.') == 1)}"
        )
    with tempfile.TemporaryDirectory(prefix="synfab-") as folder:
        path = Path(folder, f"measurement{suffix}")
        path.write_bytes(data)
        return measure(path, plain, plain, columns)


class Shelf:
    """The measurements that are loaded, by their keys; the oldest are dropped first.

    One that was named at the start stays.
    """

    def __init__(self, first: Measured | None = None) -> None:
        self.first = first
        self._uploads: OrderedDict[str, Measured] = OrderedDict()

    def add(self, found: Measured) -> None:
        """Keep an uploaded measurement."""
        self._uploads[found.key] = found
        self._uploads.move_to_end(found.key)
        if len(self._uploads) > KEPT:
            self._uploads.popitem(last=False)

    def get(self, key: str) -> Measured | None:
        """Return the measurement with a key; None for the empty key.

        Raises
        ------
        FileFormatError
            It is not loaded any more.
        """
        if not key:
            return None
        known: Mapping[str, Measured] = self._uploads
        if self.first is not None and key == self.first.key:
            return self.first
        if key not in known:
            raise FileFormatError(f"measurement: {key} is not loaded; open the file again")
        return known[key]
