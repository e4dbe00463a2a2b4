"""Pulse programs: pulses in turn, with reads between them, in one call of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from synfab.cells.arguments import MANY_NUMBERS
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import AnyArray
from synfab.io.memory import require_memory
from synfab.physics import rules
from synfab.physics.noise import ReadNoise
from synfab.random.arrays import to_numpy
from synfab.random.streams import WORD

if TYPE_CHECKING:
    from synfab.cells.array import CellArray


def apply_program(
    cells: CellArray[Any],
    voltages: npt.ArrayLike,
    read: npt.ArrayLike | str | None,
    noise: bool,
    read_noise: ReadNoise,
) -> Any:
    """Return what ``CellArray.apply_program`` does; the caller holds the lock of the array."""
    pulses = cells.arguments.program("voltages", voltages)
    count = pulses.shape[0]
    reads = _reads(cells, pulses, read)
    noise = checks.flag("noise", noise)
    if reads is not None and count > MANY_NUMBERS // cells.size:
        require_memory(4 * count * cells.size, "voltages")
    if cells.cycle_bound + count >= rules.MAX_CYCLE:
        _check_cycles(cells, count)
    cells.cycle_bound += count
    first_read = cells.read_number
    if noise and reads is not None:  # first, because an interrupted program uses its numbers
        cells.read_number = (first_read + count) & WORD
    used = read_noise if noise else None
    if cells.traps is None:
        found = cells.engine_instance.apply_program(pulses, reads, used, first_read)
    else:
        found = _with_traps(cells, pulses, reads, used, first_read)
    if reads is None:
        return cells
    return cells.arguments.returned(found, (count, *cells.shape))


def _with_traps(
    cells: CellArray[Any],
    pulses: AnyArray,
    reads: AnyArray | None,
    noise: ReadNoise | None,
    first_read: int,
) -> Any:
    """Return ``Engine.apply_program`` of cells that reads see with the effect of their traps."""
    engine, traps, found = cells.engine_instance, cells.traps, []
    assert traps is not None
    for k in range(pulses.shape[0]):
        traps.switched()
        engine.apply_voltage(pulses[k, :], None)
        if reads is not None:
            seen, number = traps.seen(engine), (first_read + k) & WORD
            u = reads[k, :]
            found.append(
                engine.current(u, seen) if noise is None else engine.read(u, number, noise, seen)
            )
    xp = engine.library.xp
    return xp.stack(found) if found else xp.zeros((0, cells.size), dtype=xp.float32)


def _reads(
    cells: CellArray[Any], pulses: AnyArray, read: npt.ArrayLike | str | None
) -> AnyArray | None:
    """Return the voltages of the reads (V), shaped as those of the pulses; None: no reads."""
    if read is None:
        return None
    if isinstance(read, str):
        checks.choice("read", read, ("pulse",))
        return pulses
    return cells.arguments.program("read", read, pulses.shape[0])


def _check_cycles(cells: CellArray[Any], count: int) -> None:
    """Update ``cycle_bound``; raise if ``count`` pulses might exceed the last cycle."""
    cells.cycle_bound = int(to_numpy(cells.engine_instance.cycles()).max())
    if cells.cycle_bound + count > rules.MAX_CYCLE:
        raise InvalidValueError(
            f"voltages: {count} pulses could take a cell from cycle {cells.cycle_bound} beyond the "
            f"last, number {rules.MAX_CYCLE}; renew() makes fresh cells"
        )
