"""Netlist elements at the crosspoints: cells, defects and access devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.state import get_state
from synfab.circuit.dialects import Dialect
from synfab.common.errors import InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.types import Array
from synfab.crossbar.circuit import Circuit
from synfab.network.access import Selector, Transistor
from synfab.random.arrays import to_numpy
from synfab.random.streams import WORD, seed_key

# Drives a cell in any state: 64 uA at a drain-source voltage of 0.1 V and 3.3 V on the gate.
MOSFET = {"level": 1.0, "vto": 0.5, "kp": 4e-4, "w": 1e-6, "l": 1e-6}
# Width of one that only selects (0.9 ohm), where the curves of the cells contain their transistor.
SELECTING = 1e-3
# Switch resistance of floating lines, ohm; simulators accept neither 0 nor infinity.
SWITCH_ON, SWITCH_OFF = 1.0, 1e12
MIN_ON = 1e-3


@dataclass(frozen=True)
class Crosspoints:
    """Writer of the elements between columns and rows.

    Attributes
    ----------
    circuit, writer
        Circuit to write, and its dialect.
    device
        Name of the compiled device or module.
    snapshot
        Write the cells frozen in their present state.
    mosfet
        Write transistors as MOSFETs instead of switches with an on and an off resistance.
    """

    circuit: Circuit
    writer: Dialect
    device: str
    snapshot: bool
    mosfet: bool

    def __post_init__(self) -> None:
        if self.mosfet and not isinstance(self.circuit.access, Transistor):
            raise InvalidValueError("mosfet: expected False, the crossbar has no transistors")

    @property
    def switch(self) -> tuple[float, float]:
        """On and off resistance of the access switches, ohm."""
        access = self.circuit.access
        if not isinstance(access, Transistor) or self.mosfet:
            return SWITCH_ON, SWITCH_OFF
        return max(access.on_resistance, MIN_ON), min(access.off_resistance, SWITCH_OFF)

    @property
    def line_switch(self) -> str:
        """Switch model of floating lines; the access switches' model if both are identical."""
        return "access" if self.switch == (SWITCH_ON, SWITCH_OFF) else "line"

    def elements(self) -> Iterator[str]:
        """Yield the cells row by row, each with its access device."""
        circuit, writer = self.circuit, self.writer
        yield writer.comment("cells")
        parameters = None if self.snapshot else cell_parameters(circuit.cells, writer)
        r, stuck = circuit.states.astype(np.float64), circuit.stuck
        for i in range(circuit.shape[0]):
            defects = np.full(circuit.shape[1], np.nan) if stuck is None else stuck[i]
            # No current flows in an open cell or its access device.
            places = np.flatnonzero(defects != 0.0)
            names, tops, ends, bottoms = self._nodes(i, places.tolist())
            if parameters is None:
                model = circuit.cells.model
                written = [
                    writer.snapshot(name, top, end, model, state)
                    for name, top, end, state in zip(names, tops, ends, r[i, places].tolist(),
                                                     strict=True)
                ]  # fmt: skip
            else:
                given = {key: numbers[i, places] for key, numbers in parameters.items()}
                written = writer.cells(names, tops, ends, self.device, given)
            for k in np.flatnonzero(~np.isnan(defects[places])):
                ohm = 1.0 / float(defects[places[k]])
                written[k] = writer.resistor(f"x{names[k]}", tops[k], ends[k], ohm)
            access = self._access(names, ends, bottoms, i, places.tolist())
            # Each cell is followed by its access device.
            yield from (
                written if access is None else map("".join, zip(written, access, strict=True))
            )

    def _nodes(self, i: int, places: list[int]) -> tuple[list[str], ...]:
        """Return names of the cells of a row, and their nodes: column, other side, row."""
        names = [f"{i}_{j}" for j in places]
        tops, bottoms = [f"c{j}" for j in places], [f"r{i}"] * len(places)
        if self.circuit.wires is not None:
            tops, bottoms = [f"{top}_{i}" for top in tops], [f"r{name}" for name in names]
        ends = bottoms if self.circuit.access is None else [f"m{name}" for name in names]
        return names, tops, ends, bottoms

    def _access(
        self, names: list[str], a: list[str], b: list[str], row: int, places: list[int]
    ) -> list[str] | None:
        """Return the access devices of the cells of a row; None: there are none."""
        access, writer = self.circuit.access, self.writer
        if access is None:
            return None
        if isinstance(access, Selector):
            saturation, voltage = (
                np.full(len(names), x) for x in (access.saturation, access.voltage)
            )
            return writer.many("selector", name=[f"s{name}" for name in names], a=a, b=b,
                               saturation=saturation, voltage=voltage)  # fmt: skip
        gates = [f"g{row}"] * len(names) if access.gates == "rows" else [f"g{j}" for j in places]
        if self.mosfet:
            return writer.many("transistor", name=names, drain=a, gate=gates, source=b)
        return writer.many("switch", name=names, a=a, b=b, gate=gates, model="access")

    def models(self, floats: bool, event_tolerance: float | None) -> Iterator[str]:
        """Yield the model statements; ``floats``: whether floating lines need a switch model."""
        if not self.snapshot:
            yield self.writer.model(self.device, self.circuit.cells.seed, event_tolerance)
        switched = isinstance(self.circuit.access, Transistor) and not self.mosfet
        if switched:
            yield self.writer.switch_model("access", *self.switch)
        if floats and not (switched and self.line_switch == "access"):
            yield self.writer.switch_model(self.line_switch, SWITCH_ON, SWITCH_OFF)
        if self.mosfet:
            inside = self.circuit.cells.model.contains_transistor
            yield self.writer.transistor_model(MOSFET | ({"w": SELECTING} if inside else {}))


def cell_parameters(cells: CellArray[Any], dialect: Dialect) -> dict[str, Array]:
    """Return instance parameters that reproduce the state of each cell; NaN: omit.

    A device derives its history from the cell's number. If its traps do not move, it starts in the
    state that reads see.
    """
    state = get_state(cells)
    fresh = (state["phase"] == 0) & (state["cycle"] == 0)
    parameters = _identity(cells, dialect)
    parameters["cycle0"] = np.where(state["cycle"] > 0, state["cycle"], np.nan)
    if cells.traps is not None and not dialect.moves_traps:
        state["r"], fresh = to_numpy(cells.r), np.zeros_like(fresh)
    else:
        parameters |= _traps(cells)
    parameters["phase0"] = np.where(state["phase"] > 0, state["phase"], np.nan)
    parameters["r0"] = np.where(fresh, np.nan, state["r"])
    between = state["phase"] == 2
    parameters["threshold0"] = np.where(between, state["threshold"], np.nan)
    parameters["steepness0"] = np.where(between, state["steepness"], np.nan)
    return parameters


def _identity(cells: CellArray[Any], dialect: Dialect) -> dict[str, Array]:
    """Return the seed, if instances have it, and the number of each cell, as two words."""
    number = (cells.first_cell + np.arange(cells.size, dtype=np.uint64)).reshape(cells.shape)
    words = {dialect.number_parameter: (number & np.uint64(WORD), number >> np.uint64(32))}
    if dialect.seeds_instances:
        low, high = seed_key(cells.seed)
        words = {"seed": (np.full(cells.shape, low), np.full(cells.shape, high)), **words}
    found: dict[str, Array] = {}
    for name, (low_words, high_words) in words.items():
        found[name] = low_words.astype(np.float64)
        found[f"{name}_high"] = np.where(high_words > 0, high_words.astype(np.float64), np.nan)
    return found


def _traps(cells: CellArray[Any]) -> dict[str, Array]:
    """Return the state of the traps; cells that have switched since draw it at the next step."""
    if cells.traps is None:
        return {}
    with lock_of(cells):
        stored, step = cells.traps.storage(cells.engine_instance), cells.traps.step_number
    flat = {
        "occupied0": np.where(stored["traps_drawn"], stored["traps_occupied"], np.nan),
        "initial0": np.where(stored["traps_drawn"], stored["traps_initial"], np.nan),
        "step0": np.full(cells.size, step if step > 0 else np.nan),
    }
    return {name: np.reshape(numbers, cells.shape) for name, numbers in flat.items()}
