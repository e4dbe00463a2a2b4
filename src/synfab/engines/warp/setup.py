"""Initialisation of Warp and compilation of the kernels, without messages on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from threading import Lock
from typing import Any

import warp as wp

from synfab.common.errors import ToolError
from synfab.engines.numba.threads import uninterrupted
from synfab.engines.warp import kernels
from synfab.engines.warp.arrays import device_of
from synfab.engines.warp.blocks import BlockKernels
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


def has_gpu() -> bool:
    """Return whether Warp finds an NVIDIA GPU."""
    with _lock, quiet():
        wp.init()
        return bool(wp.is_cuda_available())


def prepare(library: Library, blocks: BlockKernels | None = None) -> Any:
    """Return Warp's device for a library, with the kernels compiled for it.

    ``blocks``: kernels of an order of the history that are compiled too.

    Compilation takes seconds for each type of device, once: Warp keeps the compiled kernels on
    disk. An interrupt is raised afterwards.

    Raises
    ------
    InvalidValueError
        Warp has no such device.
    ToolError
        Warp's cache cannot be written.
    """
    found: list[Any] = []

    def load() -> None:
        with _lock, quiet():
            wp.init()
            found.append(device_of(library))
            wp.load_module(kernels, device=found[0])
            if blocks is not None:
                wp.load_module(blocks.fabricate.module, device=found[0])

    try:
        uninterrupted(load)
    except OSError as error:
        raise ToolError(
            f"Warp cannot keep compiled kernels ({error}); set WARP_CACHE_PATH to a folder that "
            f"can be written"
        ) from None
    return found[0]
