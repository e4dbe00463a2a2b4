"""Initialisation of Warp and compilation of the kernels, without messages on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from threading import Lock
from typing import Any

import warp as wp

from synfab.engines.numba.threads import uninterrupted
from synfab.engines.warp import kernels
from synfab.engines.warp.arrays import device_of
from synfab.random.backend import Library

_lock = Lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what Warp prints by default about itself and its modules inside the block."""
    level = wp.config.log_level
    if level == wp.LOG_INFO:
        wp.config.log_level = wp.LOG_WARNING
    try:
        yield
    finally:
        wp.config.log_level = level


def prepare(library: Library) -> Any:
    """Return Warp's device for a library, with the kernels compiled for it.

    Compilation takes seconds for each type of device, once: Warp keeps the compiled kernels on
    disk. An interrupt is raised afterwards.
    """
    found: list[Any] = []

    def load() -> None:
        with _lock, quiet():
            wp.init()
            found.append(device_of(library))
            wp.load_module(kernels, device=found[0])

    uninterrupted(load)
    return found[0]
