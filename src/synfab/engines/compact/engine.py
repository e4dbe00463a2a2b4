"""Engine with 16 bytes per cell: its kernels unpack, switch and repack one group at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.engines import validity
from synfab.engines.compact import kernels
from synfab.engines.compact.kernels import LEVELS, Compact, Process
from synfab.engines.numba import layout
from synfab.engines.numba.engine import device_rows, put_state, taken_state
from synfab.engines.numba.layout import GROUP, Storage
from synfab.engines.numba.model32 import MODELS, population32
from synfab.engines.numba.reading import KernelEngine, plain
from synfab.engines.numba.threads import share
from synfab.engines.numba.workspace import switching_work
from synfab.model.cell_model import CellModel
from synfab.model.reduction import QUANTUM, reduce_history
from synfab.physics import drawing, rules
from synfab.random.backend import Library

LOWEST_STATE = -1.0  # more than twice the conductance of the LLRS
OPENED_AT_ONCE = 256  # groups unpacked at once


@lru_cache(maxsize=MODELS)
def round_process(model: CellModel, order: int) -> Process:
    """Return the reduced-order history and the population of a model, rounded to float32."""
    reduced = reduce_history(model.history(order))
    step, innovation, output = (
        np.ascontiguousarray(matrix, np.float32)
        for matrix in (reduced.step, QUANTUM * reduced.innovation, reduced.output / QUANTUM)
    )
    r_step = (rules.highest_state(model) - LOWEST_STATE) / LEVELS
    scales = (LOWEST_STATE, r_step, model.conduction.u_max / 2**14)
    return Process(step, innovation, output, *population32(model), *map(np.float32, scales))


class CompactEngine(KernelEngine):
    """Engine that stores cells as ``kernels.Compact`` and derives their steepness from it."""

    cells: Compact

    def __init__(
        self,
        model: CellModel,
        n_cells: int,
        seed: int,
        first_cell: int,
        order: int,
        history: str,
        library: Library,
    ) -> None:
        if model.wear_in is not None or model.failure is not None:
            raise InvalidValueError(
                'history: "compact" does not support models with wear-in or failure; '
                'use history="float32"'
            )
        super().__init__(model, n_cells, seed, first_cell, order, history, library)
        # Unpacked cells have no averages: the reduced history represents their effect.
        held = self.parameters32.process
        alone = held._replace(couplings=held.couplings[:0], rates=held.rates[:0])
        self.parameters32 = self.parameters32._replace(process=alone)

    @cached_property
    def process(self) -> Process:
        """Reduced history and population; ``restore`` replaces the matrices of the history."""
        return round_process(self.model, self.order)

    def allocate(self) -> Compact:
        padded, states = self.groups * GROUP, len(self.process.step)
        return Compact(
            r=np.zeros(padded, np.uint16),
            threshold=np.zeros(padded, np.int16),
            status=np.zeros(padded, np.uint32),
            history=np.zeros((self.groups, states, GROUP), np.int8),
        )

    def fabricate(self, *, discardable: bool = False) -> None:
        self.cells.threshold.fill(0)  # the kernel does not reset the thresholds of earlier cells

        def work(low: int, high: int) -> None:
            kernels.fabricate(
                low, high, self.cells, self.process, self.parameters32, self._scratch(),
                kernels.make_group(2),
            )  # fmt: skip

        share(work, self.groups, self.n_cells, discardable=discardable)

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        u, each = plain(u), int(u.size != 1)
        masked = where is not None
        mask = np.zeros(1, np.uint8) if where is None else plain(where).view(np.uint8)

        def work(low: int, high: int) -> None:
            kernels.apply_voltage(
                low, high, self.n_cells, u, each, mask, masked, self.cells, self.process,
                self.parameters32, self._scratch(), kernels.make_group(2), switching_work(2),
            )  # fmt: skip

        share(work, self.groups, self.n_cells)

    def _scratch(self) -> kernels.Scratch:
        return kernels.make_scratch(len(self.process.step))

    # ---- unpacked cells -------------------------------------------------------------------------

    def _open(self, groups: Array) -> Storage:
        """Return the listed groups, unpacked."""
        storage: Storage = kernels.make_storage(len(groups), 1)

        def work(low: int, high: int) -> None:
            kernels.open_groups(
                low, high, groups, self.cells, storage, self.process, self.parameters32,
                self._scratch(),
            )  # fmt: skip

        share(work, len(groups), len(groups) * GROUP, discardable=True)
        return storage

    def _close(self, groups: Array, storage: Storage) -> None:
        kernels.close_groups(
            0, len(groups), groups, self.cells, storage, self.process, self.parameters32,
            self._scratch(),
        )  # fmt: skip

    def _in_parts(self) -> list[tuple[int, int]]:
        edges = [*range(0, self.groups, OPENED_AT_ONCE), self.groups]
        return list(pairwise(edges))

    def features(self, cells: Array | None = None) -> drawing.Features:
        """Return the features of cells; for all cells, kernels compute them."""
        if cells is not None:
            return super().features(cells)
        out = np.empty((4, self.n_cells), np.float32)
        for low, high in self._in_parts():
            part = out[:, low * GROUP : high * GROUP]
            part[:] = self.features_of(self._open(np.arange(low, high)), part.shape[1])
        return drawing.Features(*out)

    def parameters(self, cells: Array | None = None) -> Array:
        if cells is not None:
            groups, local = _places(cells)
            return device_rows(self._open(groups).devices, local)
        out = np.empty((self.n_cells, 8), np.float32)
        for low, high in self._in_parts():
            part = out[low * GROUP : high * GROUP]
            devices = self._open(np.arange(low, high)).devices
            part[:] = device_rows(devices, np.arange(len(part)))
        return out

    def vectors(self, cells: Array | None = None) -> Array:
        groups, local = self._places(cells)
        history = self._open(groups).history
        found: Array = history.transpose(0, 2, 4, 1, 3).reshape(-1, 4)[local].T
        return found

    def _places(self, cells: Array | None) -> tuple[Array, Array]:
        return _places(np.arange(self.n_cells) if cells is None else cells)

    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        groups, local = self._places(cells)
        return taken_state(self._open(groups), local)

    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        """Set the rounded switching state of the listed cells; ``steepness`` is derived from it."""
        groups, local = _places(cells)
        storage = self._open(groups)
        put_state(storage, local, state)
        self._close(groups, storage)
        # The kernel rounds thresholds up, even for a rounding error; preserve exact levels.
        levels = np.rint(state.threshold / self.process.u_step)
        exact = (levels * self.process.u_step == state.threshold) & (np.abs(levels) < LEVELS / 2)
        self.cells.threshold[cells[exact]] = levels[exact].astype(np.int16)

    def program(self, cells: Array, r: Array) -> None:
        at_once = OPENED_AT_ONCE * GROUP
        for start in range(0, len(cells), at_once):
            groups, local = _places(cells[start : start + at_once])
            storage = self._open(groups)
            self.program_storage(
                storage, len(storage.r), local, r[start : start + at_once], discardable=True
            )
            self._close(groups, storage)

    # ---- state ----------------------------------------------------------------------------------

    @property
    def states(self) -> Array:
        """Mixing states r of all cells; a copy."""
        levels: Array = self.cells.r[: self.n_cells].astype(np.float32)
        levels *= self.process.r_step
        levels += self.process.lowest
        return levels

    MATRICES = ("step", "innovation", "output")
    STORED = (*Compact._fields, *MATRICES)

    def storage(self) -> dict[str, Array]:
        """Return the arrays of the complete state and the matrices that decode the history."""
        matrices = {name: getattr(self.process, name) for name in self.MATRICES}
        return {**self.cells._asdict(), **matrices}

    def check(self, arrays: Mapping[str, Array]) -> None:
        validity.check_fit(arrays, self.storage())
        validity.check_compact(arrays)

    def restore(self, arrays: Mapping[str, Array]) -> None:
        cells = Compact(*(np.array(arrays[name], order="C") for name in Compact._fields))
        matrices = {name: np.array(arrays[name], order="C") for name in self.MATRICES}
        process = self.process._replace(**matrices)
        self.cells, self.process = cells, process


def _places(cells: Array) -> tuple[Array, Array]:
    """Return the groups of the listed cells, and the cells' indices in these groups, unpacked."""
    cells = np.asarray(cells)
    groups, which = np.unique(cells >> layout.GROUP_BITS, return_inverse=True)
    return groups, which.reshape(-1) * GROUP + (cells & (GROUP - 1))
