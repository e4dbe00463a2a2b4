"""Traps of the cells of an array: time steps, what reads see, and storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.types import AnyArray as Array
from synfab.engines.base import Engine
from synfab.model.cell_model import CellModel
from synfab.model.traps import MAX_SECONDS, NOMINAL_TEMPERATURE
from synfab.physics.noise import ReadNoise
from synfab.physics.traps import Step, TrapState, refreshed, step_of, traps_of, unmoved
from synfab.random.arrays import to_numpy
from synfab.random.streams import WORD

# Arrays of the traps in files.
STORED = ("traps_occupied", "traps_initial", "traps_drawn")


class CellTraps:
    """State of the traps of one array; the engine holds the programmed cells.

    A cell that has switched is seen as programmed until the next time step, which draws its traps.
    Switching is detected by comparing the cells with those of the last time step, so that pulses
    take no longer and every engine has traps.
    """

    def __init__(self, engine: Engine) -> None:
        self.step_number = 0
        self.state = unmoved(engine.states, engine.cycles())
        self._stale = True

    def seen(self, engine: Engine) -> Array:
        """Return the mixing states that reads see; not a copy."""
        if self._stale:
            self.state, self._stale = engine.refresh_traps(self.state), False
        return self.state.seen

    def seen_by(self, engine: Engine, cells: Array) -> Array:
        """Return the mixing states that reads of the listed cells see."""
        library = engine.library
        index = library.asarray(cells)
        listed = TrapState(*(library.xp.take(array, index, axis=0) for array in self.state))
        if not self._stale:
            return listed.seen
        return refreshed(listed, engine.take(cells).r, engine.cycles(cells)).seen

    def switched(self) -> None:
        """Note that cells may have switched."""
        self._stale = True

    def programmed(self, engine: Engine, mask: Array | None) -> None:
        """Note that cells were programmed, even those that have the same state as before."""
        xp, known = engine.library.xp, self.state.known
        never = xp.full_like(known, np.nan)
        self.state = self.state._replace(
            known=never if mask is None else xp.where(mask, never, known)
        )
        self._stale = True

    def wait(self, engine: Engine, seconds: float, temperature: float) -> None:
        """Let a time (s) pass at a temperature (K) in one step."""
        after = engine.move_traps(self.state, self._step(engine, seconds, temperature))
        self._passed(after, (self.step_number + 1) & WORD)

    def _passed(self, after: TrapState, step_number: int) -> None:
        # A single operation, which an interrupt cannot split.
        vars(self).update(state=after, _stale=False, step_number=step_number)

    def trace(
        self,
        engine: Engine,
        cells: Array,
        step: tuple[float, float, int],
        u: float,
        noise: ReadNoise | None,
        read: int,
    ) -> Array:
        """Return currents (A), (samples, M), of listed cells read after each of equal steps.

        ``step`` is the interval (s), the temperature (K) and the number of samples. The other cells
        wait for the total time in one step, the last.
        """
        interval, temperature, samples = step
        asarray, xp, library = engine.library.asarray, engine.library.xp, engine.library
        index = asarray(cells)
        part = TrapState(*(xp.take(array, index, axis=0) for array in self.state))
        first = self._step(engine, interval, temperature)
        currents, after = engine.trace(cells, part, first, samples, u, noise, read)
        last = (self.step_number + samples - 1) & WORD
        whole = self.state
        if len(cells) < engine.n_cells:
            total = self._step(engine, samples * interval, temperature)._replace(number=last)
            whole = engine.move_traps(self.state, total)
        copies = (xp.asarray(array, copy=True) for array in whole)
        placed = (library.put(a, index, b) for a, b in zip(copies, after, strict=True))
        self._passed(TrapState(*placed), (last + 1) & WORD)
        return currents

    def _step(self, engine: Engine, seconds: float, temperature: float) -> Step:
        return step_of(traps_of(engine.model), self.step_number, seconds, temperature)

    # ---- files ----------------------------------------------------------------------------------

    def storage(self, engine: Engine) -> dict[str, Array]:
        """Return the arrays of the complete state, in NumPy."""
        self.seen(engine)
        drawn = ~np.isnan(to_numpy(self.state.known))
        bits = (to_numpy(bits).astype(np.uint32) for bits in self.state[:2])
        return dict(zip(STORED, (*bits, drawn), strict=True))

    def restore(self, engine: Engine, arrays: Mapping[str, Any], step_number: int) -> None:
        """Set the state from the arrays of ``storage``, which ``check`` accepted."""
        occupied, initial, drawn = (np.asarray(arrays[name]) for name in STORED)
        word, library = engine.library.word, engine.library
        r, cycle, xp = engine.states, engine.cycles(), engine.library.xp
        first, second = (library.asarray(found.astype(word)) for found in (occupied, initial))
        known = xp.where(library.asarray(drawn), r, np.nan)
        held = TrapState(
            first, second, known, xp.asarray(cycle, copy=True), xp.asarray(r, copy=True)
        )
        # A step of no time moves no trap and computes what reads see.
        still = step_of(traps_of(engine.model), 0, 0.0, 300.0)
        moved = engine.move_traps(held, still)
        seen = xp.where(xp.isnan(known), r, moved.seen)
        self.state, self._stale, self.step_number = held._replace(seen=seen), False, step_number


def check_stored(model: CellModel, arrays: Mapping[str, Any], n_cells: int) -> None:
    """Raise ``FileFormatError`` unless arrays from a file are traps of so many cells."""
    for name, kind in zip(STORED, (np.uint32, np.uint32, np.bool_), strict=True):
        array = arrays[name]
        if array.shape != (n_cells,) or array.dtype != kind:
            raise FileFormatError(
                f"{name}: expected {np.dtype(kind)} ({n_cells},), found {array.dtype} {array.shape}"
            )
        if kind is np.uint32 and (array >> np.uint64(traps_of(model).count)).any():
            raise FileFormatError(f"{name}: a trap beyond the {traps_of(model).count} of the model")


def without_traps(model: CellModel) -> InvalidValueError:
    """Return the error of cells that do not change with time."""
    return InvalidValueError(
        f"model: {model.name!r} has no traps, so its cells do not change with time; "
        f"learn.fit_traps adds them"
    )


def checked_time(name: str, value: object, *, positive: bool = False) -> float:
    """Return a time in seconds."""
    found = checks.positive(name, value) if positive else checks.number(name, value, minimum=0.0)
    if found > MAX_SECONDS:
        raise InvalidValueError(f"{name}: expected up to {MAX_SECONDS:g} s, found {found:g} s")
    return found


def checked_interval(rate: object) -> float:
    """Return the interval (s) between samples at a rate (Hz)."""
    return 1.0 / checks.number("rate", rate, minimum=1.0 / MAX_SECONDS, maximum=MAX_SECONDS)


def checked_temperature(value: object) -> float:
    """Return a temperature in kelvin."""
    found = checks.positive("temperature", value)
    if not 1.0 <= found <= 2000.0:
        raise InvalidValueError(
            f"temperature: expected 1 … 2000 K, found {found:g}; temperatures are in kelvin"
        )
    return found


def checked_pause(interval: object, temperature: object) -> tuple[float | None, float]:
    """Return the time (s) before a read, None: no time, and the temperature (K) then."""
    kelvin = checked_temperature(temperature)
    if interval is None:
        if kelvin != NOMINAL_TEMPERATURE:
            raise InvalidValueError("temperature: only with interval, the time that passes at it")
        return None, kelvin
    return checked_time("interval", interval), kelvin


def samples_of(seconds: float, rate: float) -> int:
    """Return the number of samples of a record (s) at a rate (Hz), at least 1."""
    count = round(seconds * rate)
    if count < 1:
        raise InvalidValueError(
            f"seconds: expected at least one sample, 1/rate = {1.0 / rate:g} s, found {seconds:g} s"
        )
    return count
