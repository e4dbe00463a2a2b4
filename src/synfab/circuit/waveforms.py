"""Waveforms of a simulation, and a reader of binary result files of ngspice and VACASK."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synfab.circuit.html import waveforms_html
from synfab.common import checks, extras
from synfab.common.errors import FileFormatError, InvalidKeyError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike, PathLike
from synfab.io.files import atomic_path
from synfab.io.limits import read_large

UNITS = {
    "time": "s",
    "frequency": "Hz",
    "voltage": "V",
    "current": "A",
    "resistance": "ohm",
    "conductance": "S",
}
# Names of the current of a voltage source v1 besides i(v1): in ngspice, and in VACASK.
BRANCHES = ("#branch", ":flow(br)")
FORMATS = (".csv", ".parquet")


@no_array("waveforms[name]")
@dataclass(frozen=True)
class Waveforms(Mapping[str, Array]):
    """Vectors of one analysis by name, for example ``time``, ``v(out)`` and ``i(v1)``.

    Attributes
    ----------
    analysis
        Name used by the simulator, for example ``Transient Analysis``.
    vectors
        Float64 arrays of equal length (complex128 for ``.ac``), in SI units.
    units
        Unit of each vector; empty where the simulator gives none.
    """

    analysis: str
    vectors: dict[str, Array]
    units: dict[str, str]

    def __getitem__(self, name: str) -> Array:
        key = checks.text("name", name).lower()
        if key not in self.vectors:
            some = ", ".join(list(self.vectors)[:12])
            hint = f"; the netlist needs .save {key}" if key.startswith("@") else ""
            raise InvalidKeyError(
                f"{name}: not among the {len(self.vectors)} waveforms: {some}, …{hint}"
            )
        return self.vectors[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def _repr_html_(self) -> str:
        return waveforms_html(self)

    def at(self, name: str, times: ArrayLike) -> Array:
        """Return a waveform at the given times (s), interpolated linearly."""
        points = checks.real_array("times", times).astype(np.float64)
        return np.interp(points, self["time"], self[name])

    def save(self, path: PathLike) -> Path:
        """Write a table with one column per vector, and return its path.

        Complex vectors have two columns, named ``real(…)`` and ``imag(…)``.

        Parameters
        ----------
        path
            File to write; its suffix is ``.csv`` or ``.parquet``.

        Raises
        ------
        InvalidValueError
            The suffix is another one, or the file cannot be written.
        MissingDependencyError
            Parquet needs pyarrow.
        """
        wanted = checks.path("path", path)
        if wanted.suffix.lower() not in FORMATS:
            raise InvalidValueError(
                f"path: expected a file that ends in {' or '.join(FORMATS)}, found {wanted}"
            )
        columns = dict(self._columns())
        with atomic_path(wanted) as target:
            if wanted.suffix.lower() == ".parquet":
                arrow = extras.require("pyarrow")
                extras.require("pyarrow.parquet").write_table(arrow.table(columns), target)
            else:
                with target.open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow(columns)
                    np.savetxt(file, np.stack(list(columns.values()), 1), "%.17g", ",")
        return wanted.absolute()

    def _columns(self) -> Iterator[tuple[str, Array]]:
        for name, values in self.vectors.items():
            if not np.iscomplexobj(values):
                yield name, values
            elif name == "frequency":
                yield name, values.real
            else:
                yield from ((f"real({name})", values.real), (f"imag({name})", values.imag))


def read_raw(path: PathLike) -> list[Waveforms]:
    """Return the waveforms of all analyses in a binary result file of ngspice or VACASK.

    Parameters
    ----------
    path
        File written by ``write`` of ngspice or by an analysis of VACASK, usually ``….raw``.

    Raises
    ------
    FileFormatError
        The file is missing or truncated.
    CapacityError
        The contents would exceed available memory.
    """
    path = checks.path("path", path)
    try:
        data = read_large(path, 2)  # factor 2: the bytes and the vectors built from them
    except OSError as error:
        pass_on(error)
        raise FileFormatError(f"{path}: cannot read: {error.strerror}") from None
    results, position = [], 0
    while position < len(data):
        marker = data.find(b"Binary:\n", position)
        if marker < 0:
            raise FileFormatError(f"{path}: expected a binary result file of ngspice or VACASK")
        header = data[position:marker].decode(errors="replace")
        result, used = _read_one(path, header, data, marker + len(b"Binary:\n"))
        results.append(result)
        position = used
    return results


def _read_one(path: Path, header: str, data: bytes, start: int) -> tuple[Waveforms, int]:
    head, _, table = header.partition("Variables:\n")
    fields = dict(line.split(":", 1) for line in head.splitlines() if ":" in line)
    try:
        points, count = int(fields["No. Points"]), int(fields["No. Variables"])
        rows = [line.split() for line in table.splitlines() if line.strip()]
        names, kinds = [row[1] for row in rows], [row[2] for row in rows]
    except (KeyError, ValueError, IndexError):
        raise FileFormatError(f"{path}: the header of a result is damaged") from None
    kind = np.dtype(np.complex128 if "complex" in fields.get("Flags", "") else np.float64)
    end = start + points * count * kind.itemsize
    if points < 0 or len(names) != count or not count:
        raise FileFormatError(f"{path}: the header of a result is damaged")
    if end > len(data):
        raise FileFormatError(f"{path}: the file is cut short")
    values = np.frombuffer(data[start:end], kind).reshape(points, count)
    keys = [_name(name) for name in names]
    return (
        Waveforms(
            analysis=fields.get("Plotname", "").strip(),
            vectors={key: np.array(values[:, i]) for i, key in enumerate(keys)},
            units={k: _unit(k, kind_) for k, kind_ in zip(keys, kinds, strict=True)},
        ),
        end,
    )


def _unit(name: str, kind: str) -> str:
    # ngspice does not know the units of a device's own quantities, such as @n1[r].
    return "" if name.startswith("@") else UNITS.get(kind, "")


def _name(name: str) -> str:
    lowered = name.lower()
    if lowered.startswith(("v(@", "i(@")):  # ngspice takes quantities named i… for currents
        return lowered[2:-1]
    for branch in BRANCHES:
        if lowered.endswith(branch):
            return f"i({lowered.removesuffix(branch)})"
    return lowered
