"""An engine in one file, as a third party would write it: each cell is a dictionary."""

import numpy as np

from synfab.engines.base import Engine
from synfab.engines.registry import register
from synfab.physics import drawing, rules


class DictionaryEngine(Engine):
    STORED = (*rules.CellState._fields, "parameters")

    def fabricate(self, *, discardable=False):
        number = self.words(np.arange(self.n_cells, dtype=np.uint64) + np.uint64(self.first_cell))
        devices = drawing.fabricate(self.model, self.library.key(self.seed), number)
        state = rules.fresh_state(self.model, self.order, devices)
        self.restore({**state._asdict(), "parameters": devices.parameters})

    def restore(self, arrays):
        self.cells = [
            {name: np.array(arrays[name][..., i]) for name in self.STORED}
            for i in range(self.n_cells)
        ]

    def storage(self):
        return {name: self.column(name) for name in self.STORED}

    def column(self, name, cells=None):
        chosen = self.cells if cells is None else [self.cells[i] for i in cells]
        return np.stack([cell[name] for cell in chosen], axis=-1)

    def take(self, cells=None):
        return rules.SwitchingState(*(self.column(n, cells) for n in rules.SwitchingState._fields))

    def put(self, cells, state):
        for i, *values in zip(cells, *state, strict=True):
            self.cells[i].update(zip(state._fields, map(np.array, values), strict=True))

    def vectors(self, cells=None):
        block = self.column("block", cells)
        return drawing.current_vector(block, self.cycles(cells), self.order)

    def cycles(self, cells=None):
        return self.column("cycle", cells)

    def parameters(self, cells=None):
        return self.column("parameters", cells).T

    def begin_cycle(self, cells):
        for i in cells:
            number = self.words(np.array([self.first_cell + int(i)], np.uint64))
            devices = drawing.Devices(self.library.key(self.seed), number, None)
            block, cycle = self.cells[i]["block"][..., None], self.cells[i]["cycle"][None]
            drawn = drawing.draw_cycle(self.model, devices, block, cycle, np.array([True]))
            self.cells[i].update(block=drawn[0][..., 0], cycle=drawn[1][0])
        return self.features(cells)


register("dictionary", DictionaryEngine)
