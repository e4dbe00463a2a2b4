"""State of the cells of a circuit: saved after a run, restored in the next, to and from arrays."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.state import get_state, with_state
from synfab.circuit.dialects.ngspice import Ngspice
from synfab.circuit.elements import cell_parameters
from synfab.circuit.state_checks import INTEGERS, check_states
from synfab.circuit.waveforms import read_raw
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.no_array import no_array
from synfab.common.types import Array, PathLike
from synfab.io.files import atomic_path
from synfab.io.limits import read_large
from synfab.physics.rules import highest_state
from synfab.random.streams import seed_key

IDENTITY = ("seed", "seed_high", "cell", "cell_high")
# Instance parameter of each entry of ``get_state``, in the order in which a device takes them over:
# another cycle number makes it from scratch, another phase changes its r.
OF_STATE = {"cycle": "cycle0", "phase": "phase0", "r": "r0", "threshold": "threshold0",
            "steepness": "steepness0"}  # fmt: skip
TRAPS = ("occupied0", "initial0", "step0")
FRESH = "fresh"  # operating-point variable: the cell has switched since the last time step
PARAMETERS = (*IDENTITY, *OF_STATE.values(), *TRAPS)
ROUNDING = 1e-6  # by which an r may exceed that of the HRS, as for the device
DEVICES_PER_COMMAND = 20  # ngspice gets slower with more vectors per command


@no_array("states.parameters[name]")
@dataclass(frozen=True)
class CellStates:
    """State of the cells of a circuit.

    Attributes
    ----------
    names
        Names of the elements in ngspice, such as ``n1``, or ``n.x1.n1`` in a subcircuit.
    parameters
        Instance parameters by name, float64 (cells,); NaN: the default of the device.

    Examples
    --------
    >>> cells = sf.CellArray("published", 2, seed=7).apply_voltage(-2.0)
    >>> states = sf.circuit.CellStates.of(cells, names=["n1", "n2"])
    >>> bool((states.into(cells).r == cells.r).all())
    True
    """

    names: tuple[str, ...]
    parameters: Mapping[str, Array]

    def __post_init__(self) -> None:
        check_states(self.names, self.parameters)

    @classmethod
    def of(cls, cells: CellArray[Any], *, names: Sequence[str] | None = None) -> CellStates:
        """Return the state of the cells of an array.

        Parameters
        ----------
        cells
            Cells of any engine.
        names
            Element of each cell, in C order; None: ``n0``, ``n1``, ….

        Raises
        ------
        InvalidValueError
            There are not as many different names as cells, or one is not that of a cell.
        """
        checks.instance("cells", cells, CellArray)
        found = {key: np.ravel(x) for key, x in cell_parameters(cells, Ngspice()).items()}
        # A cell in the LRS has a threshold too, which a netlist leaves to the device.
        state = {key: np.ravel(x) for key, x in get_state(cells).items()}
        found["threshold0"] = np.where(state["phase"] > 0, state["threshold"], np.nan)
        low, high = seed_key(cells.seed)
        found |= {"seed": np.full(cells.size, low), "seed_high": np.full(cells.size, high)}
        given = [f"n{k}" for k in range(cells.size)] if names is None else _texts("names", names)
        if len(given) != cells.size or len(set(given)) != cells.size:
            raise InvalidValueError(
                f"names: expected {cells.size} different names, found {len(set(given))}"
            )
        return cls(tuple(given), {key: found[key] for key in PARAMETERS if key in found})

    def into(self, cells: CellArray[Any]) -> CellArray[Any]:
        """Return a copy of an array in which the cells of the circuit have this state.

        Cells are found by their numbers; the others stay as they are. The traps of an array have
        one number of time steps, which becomes that of the circuit.

        Raises
        ------
        InvalidValueError
            A cell is not in the array, is in an earlier cycle than there, or has an r that cells
            of the model cannot have.
        """
        checks.instance("cells", cells, CellArray)
        if not self.names:
            return cells.copy()
        given = self.parameters
        number = _joined(given, "cell") - cells.first_cell
        inside = (number >= 0) & (number < cells.size)
        if not inside.all() or (_joined(given, "seed") != cells.seed).any():
            k = int(np.argmin(inside))
            raise InvalidValueError(
                f"cells: expected an array of seed {_joined(given, 'seed')[k]} with cell "
                f"{_joined(given, 'cell')[k]} ({self.names[k]}), found {cells!r}"
            )
        place = number.astype(np.int64)
        if len(set(place.tolist())) < len(place):
            raise InvalidValueError("cells: expected different cells, found a number twice")
        top = highest_state(cells.model) + ROUNDING
        if not (np.nan_to_num(given["r0"]) <= top).all():
            raise InvalidValueError(
                f"r0: expected at most {top:.4g}, that of the HRS, found {np.nanmax(given['r0']):g}"
            )
        state = {key: np.ravel(x).astype(np.float64) for key, x in get_state(cells).items()}
        for key, parameter in OF_STATE.items():
            default = 0.0 if key in ("cycle", "phase") else state[key][place]
            state[key][place] = np.where(np.isnan(given[parameter]), default, given[parameter])
        result = with_state(cells, {key: np.reshape(x, cells.shape) for key, x in state.items()})
        self._set_traps(result, place)
        return result

    def _set_traps(self, cells: CellArray[Any], place: Array) -> None:
        if cells.traps is None or "occupied0" not in self.parameters:
            return
        engine = cells.engine_instance
        stored = {name: np.array(x) for name, x in cells.traps.storage(engine).items()}
        occupied, initial, step = (self.parameters[name] for name in TRAPS)
        drawn = ~np.isnan(occupied)
        for name, bits in (("traps_occupied", occupied), ("traps_initial", initial)):
            stored[name][place] = np.where(drawn, bits, 0.0).astype(np.int64)
        stored["traps_drawn"][place] = drawn
        numbers = np.nan_to_num(step)
        if (numbers != numbers[0]).any():
            raise InvalidValueError(
                f"step0: expected one number of time steps, as an array has, found "
                f"{numbers.min():.0f} to {numbers.max():.0f}"
            )
        cells.traps.restore(engine, stored, int(numbers[0]))

    def save(self, path: PathLike) -> Path:
        """Write a table (CSV) with one row per cell, exact to the last bit, and return its path.

        Raises
        ------
        InvalidValueError
            The file cannot be written.
        """
        wanted = checks.path("path", path)
        columns = [_written(column) for column in self.parameters.values()]
        with atomic_path(wanted) as target, target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["name", *self.parameters])
            writer.writerows(zip(self.names, *columns, strict=True))
        return wanted.absolute()

    @classmethod
    def load(cls, path: PathLike) -> CellStates:
        """Return the states that ``save`` or ``run_ngspice`` has written.

        Raises
        ------
        FileFormatError
            The file cannot be read, or is no such table.
        """
        wanted = checks.path("path", path)
        try:
            text = read_large(wanted, 8).decode()
        except (OSError, ValueError) as error:
            pass_on(error)
            reason = getattr(error, "strerror", None) or error
            raise FileFormatError(f"{wanted}: cannot read: {reason}") from None
        head, *rows = list(csv.reader(text.splitlines())) or [[]]
        keys = head[1:]
        if head[:1] != ["name"] or not {*IDENTITY[::2], *OF_STATE.values()} <= set(keys):
            raise FileFormatError(f"{wanted}: expected a table of the states of cells")
        if set(keys) - set(PARAMETERS) or any(len(row) != len(head) for row in rows):
            raise FileFormatError(f"{wanted}: the table of states is damaged")
        try:
            numbers = np.array([[float(x or "nan") for x in row[1:]] for row in rows])
        except ValueError as error:
            raise FileFormatError(f"{wanted}: the table of states is damaged: {error}") from None
        numbers = numbers.reshape(len(rows), len(keys))
        names = tuple(row[0] for row in rows)
        columns = {key: numbers[:, k].copy() for k, key in enumerate(keys)}
        try:
            return cls(names, columns)
        except InvalidValueError as error:
            raise FileFormatError(f"{wanted}: the table of states is damaged: {error}") from None

    def commands(self) -> Iterator[str]:
        """Yield the ngspice commands that put the cells into this state."""
        columns = {key: self.parameters[key] for key in PARAMETERS if key in self.parameters}
        for k, name in enumerate(self.names):
            for key, column in columns.items():
                if not np.isnan(column[k]):
                    yield f"alter @{name}[{key}] = {_text(column[k])}"


def commands_that_write(path: str, cells: Mapping[str, bool]) -> Iterator[str]:
    """Yield ngspice commands that append the states of cells to a binary file.

    ``cells`` says of each name whether the cell has traps. An operating point comes first: it takes
    over the last time point, and its plot has one point, as the states do.
    """
    yield "op"
    for traps in (False, True):
        asked = [*IDENTITY, *OF_STATE.values(), *((*TRAPS, FRESH) if traps else ())]
        names = [name for name, has in cells.items() if has is traps]
        for start in range(0, len(names), DEVICES_PER_COMMAND):
            some = names[start : start + DEVICES_PER_COMMAND]
            yield f"write {path} " + " ".join(f"@{n}[{what}]" for n in some for what in asked)


def read_states(path: Path, cells: Mapping[str, bool]) -> CellStates:
    """Return the states that ``commands_that_write`` has made ngspice write."""
    values: dict[str, float] = {}
    for plot in read_raw(path):
        values |= {key: float(x[-1]) for key, x in plot.items()}
    for name, traps in cells.items():
        if traps and values[f"@{name}[{FRESH}]"]:
            values[f"@{name}[occupied0]"] = values[f"@{name}[initial0]"] = np.nan
    keys = PARAMETERS if any(cells.values()) else (*IDENTITY, *OF_STATE.values())
    columns = {key: np.array([values.get(f"@{n}[{key}]", np.nan) for n in cells]) for key in keys}
    for key in INTEGERS.keys() & columns.keys():  # ngspice computes {k} with errors of rounding
        columns[key] = np.round(columns[key])
    return CellStates(tuple(cells), columns)


def _joined(given: Mapping[str, Array], name: str) -> Array:
    """Return integers of two words as Python integers, since float64 does not hold them."""
    low, high = given[name], given.get(f"{name}_high", np.zeros(len(given[name])))
    pairs = zip(low.tolist(), np.nan_to_num(high).tolist(), strict=True)
    return np.array([int(a) + (int(b) << 32) for a, b in pairs], dtype=object)


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))


def _written(column: Array) -> list[str]:
    return ["" if np.isnan(x) else _text(x) for x in column.tolist()]


def _texts(name: str, given: object) -> list[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise InvalidTypeError(f"{name}: expected a list of texts, found {checks.kind_of(given)}")
    return [checks.text(name, text).lower() for text in given]
