"""Working arrays of the kernels; each thread allocates its own once.

They are allocated in Python because kernels that allocate arrays take longer to compile. A kernel
writes an element before it reads it, except for unused elements at the end of a list, which must
hold valid values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from synfab.engines.numba.layout import BATCH, GROUP, LANES

P = ParamSpec("P")
T = TypeVar("T")


def per_thread(make: Callable[P, T]) -> Callable[P, T]:
    """Return ``make`` with its results cached for each thread."""
    local = threading.local()

    @wraps(make)
    def cached(*args: P.args, **kwargs: P.kwargs) -> T:
        made: dict[Any, T] = local.__dict__
        key = args, tuple(kwargs.items())
        if key not in made:
            made[key] = make(*args, **kwargs)
        return made[key]

    return cached


class SwitchingWork(NamedTuple):
    """Working arrays of the kernels that switch cells."""

    pulse: Any  # voltages of a group
    code: Any  # 0: no switching, 1: SET, 2: RESET
    selected: Any  # list of cells
    busy: Any  # words of a mask that select cells
    to_set: Any
    to_reset: Any
    spent: Any  # cells at the end of their history block …
    cycles: Any  # … and their cycle numbers
    drawn: Any  # cells that leave the LRS and begin a cycle
    begins: Any  # nonzero where a cell of ``to_reset`` begins a cycle
    buffer: Any  # (7, GROUP) features and cycle numbers
    curve: Any  # (5, GROUP) r, threshold, voltage, r(R_HRS), steepness
    x: Any  # (4 slots, BATCH) blocks
    z: Any  # (8, BATCH) normal numbers
    word: Any  # (4, BATCH) random words


@per_thread
def switching_work(slots: int) -> SwitchingWork:
    """Return the arrays for blocks of ``slots`` vectors."""
    return SwitchingWork(
        pulse=np.zeros(GROUP, np.float32),
        code=np.zeros(GROUP, np.uint32),
        selected=np.zeros(GROUP, np.int64),
        busy=np.zeros(GROUP // 8, np.int64),
        to_set=np.zeros(GROUP, np.int64),
        to_reset=np.zeros(GROUP, np.int64),
        spent=np.zeros(GROUP, np.int64),
        cycles=np.zeros(GROUP, np.uint32),
        drawn=np.zeros(GROUP, np.int64),
        begins=np.zeros(GROUP, np.uint32),
        buffer=np.ones((7, GROUP), np.float32),
        curve=np.zeros((5, GROUP), np.float32),
        x=np.zeros((4 * slots, BATCH), np.float32),
        z=np.zeros((8, BATCH), np.float32),
        word=np.zeros((4, BATCH), np.uint32),
    )


class FabricationWork(NamedTuple):
    """Working arrays of the kernel that fabricates cells."""

    cells: Any  # indices of a group's cells
    cycle: Any  # zeros
    chosen: Any  # components of the mixture
    eps: Any  # (4 slots, GROUP) independent normal numbers
    x: Any  # (4 slots, GROUP) history
    z: Any  # (8, GROUP) normal numbers of the device parameters
    word: Any  # (4, GROUP) random words
    picked: Any  # (4, GROUP) device parameters
    total: Any  # (GROUP,)
    buffer: Any  # (7, GROUP) features and cycle numbers
    rest: Any  # zeros


@per_thread
def fabrication_work(slots: int) -> FabricationWork:
    """Return the arrays for blocks of ``slots`` vectors."""
    return FabricationWork(
        cells=np.zeros(GROUP, np.int64),
        cycle=np.zeros(GROUP, np.uint32),
        chosen=np.zeros(GROUP, np.uint32),
        eps=np.zeros((4 * slots, GROUP), np.float32),
        x=np.zeros((4 * slots, GROUP), np.float32),
        z=np.zeros((8, GROUP), np.float32),
        word=np.zeros((4, GROUP), np.uint32),
        picked=np.zeros((4, GROUP), np.float32),
        total=np.zeros(GROUP, np.float32),
        buffer=np.ones((7, GROUP), np.float32),
        rest=np.zeros(LANES, np.float32),
    )


class NoiseWork(NamedTuple):
    """Working arrays of the kernels that draw noise."""

    z: Any  # (4, GROUP) normal numbers
    noise: Any  # (4 GROUP,) the same in the order of the cells
    word: Any  # (4, GROUP) random words


@per_thread
def noise_work() -> NoiseWork:
    """Return the arrays."""
    return NoiseWork(
        z=np.zeros((4, GROUP), np.float32),
        noise=np.zeros(4 * GROUP, np.float32),
        word=np.zeros((4, GROUP), np.uint32),
    )
