"""Reference engine: calls ``rules`` directly on arrays of any Array API namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import AnyArray as Array
from synfab.engines import validity
from synfab.engines.base import Engine
from synfab.engines.numba.threads import completed
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.random.arrays import count_up
from synfab.random.streams import Stream


class ReferenceEngine(Engine):
    """Engine that stores cells as ``rules.CellState``; with NumPy, the reference in tests."""

    ANY_LIBRARY = True
    devices: drawing.Devices
    state: rules.CellState

    def _numbers(self) -> tuple[Array, Array]:
        return self.words(np.arange(self.n_cells, dtype=np.uint64) + np.uint64(self.first_cell))

    def fabricate(self, *, discardable: bool = False) -> None:
        number, library = self._numbers(), self.library
        self.devices = library.exact(drawing.fabricate, (self.model,))(
            library.key(self.seed), number
        )
        index = number[0][None, :] * 0 + count_up(0, self.slots, number[0])[:, None]
        eps = self.normals(self.devices.seed, number, index, Stream.INITIAL_HISTORY)
        rest = library.exact(rules.rested_state, (self.model, self.order))
        self.state = rest(self.devices, eps)

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Apply a voltage pulse; the state is replaced at once, so interrupts cannot split it."""
        u, library = self._spread(u), self.library
        if where is None:
            self.state = self._after(self.devices, self.state, u)
            return
        cells = library.flatnonzero(where)
        if cells.shape[0]:
            devices, state = self._taken(cells)
            after = self._after(devices, state, library.xp.take(u, cells, axis=0))
            completed(lambda: self._replace(cells, after))

    def _after(self, devices: drawing.Devices, state: rules.CellState, u: Array) -> rules.CellState:
        return rules.apply_voltage(self.model, devices, state, u, self._draw, self.library.exact)

    def _draw(
        self, model: CellModel, devices: drawing.Devices, block: Array, cycle: Array, begins: Array
    ) -> tuple[Array, Array]:
        """Do what ``drawing.draw_cycle`` does, but draw only for cells at the end of a block."""
        xp, put = self.library.xp, self.library.put
        ends = drawing.block_ends(begins, cycle, self.order)
        after = cycle + xp.astype(begins, cycle.dtype)
        if not bool(xp.any(ends)):
            return block, after
        if bool(xp.all(ends)):
            return self._next_block(devices, block, cycle), after
        cells = self.library.flatnonzero(ends)
        low, high = (xp.take(word, cells, axis=0) for word in devices.number)
        few, began = devices._replace(number=(low, high)), xp.take(cycle, cells, axis=0)
        drawn = self._next_block(few, xp.take(block, cells, axis=2), began)
        # Copy: ``put`` may modify its argument, which is the state until the pulse is complete.
        return put(xp.asarray(block, copy=True), cells, drawn), after

    def _next_block(self, devices: drawing.Devices, block: Array, cycle: Array) -> Array:
        index = cycle[None, :] + count_up(1, self.order, cycle)[:, None]
        eps = self.normals(devices.seed, devices.number, index, Stream.INNOVATION)
        step = self.library.exact(drawing.next_block, (self.model.history(self.order),))
        return step(block, eps)

    def _taken(self, cells: Array) -> tuple[drawing.Devices, rules.CellState]:
        """Return a copy of the listed cells."""
        xp, index = self.library.xp, self.library.asarray(cells)
        low, high = self.devices.number
        devices = drawing.Devices(
            self.devices.seed,
            (xp.take(low, index, axis=0), xp.take(high, index, axis=0)),
            xp.take(self.devices.parameters, index, axis=1),
        )
        return devices, rules.CellState(*(xp.take(a, index, axis=a.ndim - 1) for a in self.state))

    def _replace(self, cells: Array, new: rules.CellState | rules.SwitchingState) -> None:
        index, asarray, put = self.library.asarray(cells), self.library.asarray, self.library.put
        given = new._asdict()
        self.state = self.state._replace(
            **{name: put(getattr(self.state, name), index, asarray(given[name])) for name in given}
        )

    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        held = self.state[: len(rules.SwitchingState._fields)]
        return rules.SwitchingState(*(self._some(array, cells) for array in held))

    def _some(self, array: Array, cells: Array | None) -> Array:
        if cells is None:
            return array
        return self.library.xp.take(array, self.library.asarray(cells), axis=array.ndim - 1)

    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        self._replace(cells, state)

    def begin_cycle(self, cells: Array) -> drawing.Features:
        devices, state = self._taken(cells)
        every = state.r == state.r
        block, cycle = self._draw(self.model, devices, state.block, state.cycle, every)
        self._replace(cells, state._replace(block=block, cycle=cycle))
        return self.features(cells)

    def vectors(self, cells: Array | None = None) -> Array:
        block = self._some(self.state.block, cells)
        return drawing.current_vector(block, self.cycles(cells), self.order)

    def features(self, cells: Array | None = None) -> drawing.Features:
        """Return the features of cells; for all cells, in one compiled function."""
        if cells is not None:
            return super().features(cells)
        compute = self.library.exact(drawing.cycle_features, (self.model,))
        found: drawing.Features = compute(self.devices, self.state.block, self.state.cycle)
        return found

    def cycles(self, cells: Array | None = None) -> Array:
        return self._some(self.state.cycle, cells)

    def parameters(self, cells: Array | None = None) -> Array:
        return self._some(self.devices.parameters, cells).T

    STORED = (*rules.CellState._fields, "parameters")

    def storage(self) -> dict[str, Array]:
        """Return the arrays of the state and the device parameters, (8, n_cells)."""
        return {**self.state._asdict(), "parameters": self.devices.parameters}

    def check(self, arrays: Mapping[str, Any]) -> None:
        n = self.n_cells
        shapes = {"block": (self.slots, 4, n), "parameters": (8, n)}
        types = {"in_hrs": ("bool",), "in_lrs": ("bool",), "cycle": ("uint32", "int64")}
        for name, array in arrays.items():
            shape = shapes.get(name, (n,))
            if array.shape != shape or array.dtype.name not in types.get(name, ("float32",)):
                raise FileFormatError(
                    f"{name}: expected {n} cells, shape {shape}, found {array.dtype} {array.shape}"
                )
        validity.check_rules(arrays, rules.highest_state(self.model))

    def restore(self, arrays: Mapping[str, Any]) -> None:
        # Copy: NumPy arrays are modified in place later, and these belong to the caller.
        held = {
            name: self.library.asarray(np.array(array, array.dtype.newbyteorder("="), order="C"))
            for name, array in arrays.items()
        }
        # Libraries count in different types.
        word = np.dtype(self.library.word).name
        held["cycle"] = self.library.xp.astype(held["cycle"], getattr(self.library.xp, word))
        parameters = held.pop("parameters")
        self.devices = drawing.Devices(self.library.key(self.seed), self._numbers(), parameters)
        self.state = rules.CellState(**held)
