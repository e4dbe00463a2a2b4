"""Programming methods, selected by name, for cells that are pulsed directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.deprecation import renamed
from synfab.common.errors import InvalidTypeError
from synfab.common.types import Array
from synfab.engines.numba.engine import NumbaEngine
from synfab.engines.numba.threads import share
from synfab.programming.open_loop import MIN_STEP, open_loop
from synfab.programming.passes import MANY
from synfab.programming.pulser import DURATION, DirectPulser
from synfab.programming.result import Programming, unverified
from synfab.programming.write_verify import WriteVerify

# Allowed options of each method.
OPTIONS: dict[str, tuple[str, ...]] = {
    "ideal": (),
    "write-verify": ("tolerance", "retries", "max_passes", "duration"),
    "refresh": ("tolerance", "retries", "max_passes", "duration"),
    "open-loop": ("step", "duration"),
}
RENAMED = {"most_passes": "max_passes"}


def check_options(method: Any, options: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the validated options of a method; cells are not changed.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        The method is unknown, or has no such option or value.
    """
    known = OPTIONS[checks.choice("method", method, OPTIONS)]
    given = renamed(options, RENAMED, stacklevel=4)
    for name in given:
        if not isinstance(name, str) or name not in known:
            raise InvalidTypeError(
                f"{name if isinstance(name, str) else checks.shown(name)}: no option of "
                f'"{method}"; expected {", ".join(known) or "none"}'
            )
    return {name: _checked(name, value) for name, value in given.items()}


def _checked(name: str, value: Any) -> Any:
    if name in ("retries", "max_passes"):
        return checks.integer(name, value, 0)
    if name == "tolerance":
        return None if value is None else checks.positive(name, value)
    return checks.number(name, value, minimum=MIN_STEP if name == "step" else 0.0)


def program_cells(
    cells: CellArray[Any], targets: Array, method: str, options: Mapping[str, Any]
) -> Programming:
    """Program cells to ``targets`` (S, in their shape; NaN: not) by a method of ``OPTIONS``.

    The result does not depend on previous conductances, which may have been set ideally:
    write-verify and open-loop programming RESET all cells first. Only "refresh" begins with the
    present conductances: it pulses the cells that read off their targets.
    """
    given = dict(options)
    if method == "ideal":
        with_target = np.isfinite(targets)
        cells.set_conductance(targets, where=None if with_target.all() else with_target)
        nothing = np.zeros(cells.shape)
        return unverified(cells, targets, nothing.astype(np.int64), nothing)
    pulser = DirectPulser(cells, given.pop("duration", DURATION))
    if method == "open-loop":
        return open_loop(pulser, targets, **given)
    work = WriteVerify(pulser, targets, **given)
    return (work if method == "refresh" else work.erase()).run()


def program_arrays(
    arrays: Sequence[CellArray[Any]],
    targets: Sequence[Array],
    method: str,
    options: Mapping[str, Any],
    after: Callable[[], object] = lambda: None,
) -> list[Programming]:
    """Program arrays as ``program_cells`` does, several at the same time; call ``after`` each.

    The results are those of one array after the other. Arrays of engine numba that are too small
    for several threads are distributed over the threads.
    """
    found: list[Programming | None] = [None] * len(arrays)

    def work(low: int, high: int) -> None:
        for k in range(low, high):
            found[k] = program_cells(arrays[k], targets[k], method, options)
            after()

    sizes = [cells.size for cells in arrays]
    if all(type(cells.engine_instance) is NumbaEngine for cells in arrays) and max(sizes) < MANY:
        share(work, len(arrays), sum(sizes), discardable=True)
    else:
        work(0, len(arrays))
    return [result for result in found if result is not None]
