"""Arrays of NumPy, PyTorch and JAX as arrays of Warp and back, without copies; devices, streams.

With PyTorch, kernels run on its current stream, so that the work of both is done in order and the
host need not wait for kernels. JAX has no such stream: the host waits for arguments before a
kernel and for the kernel after it, and JAX receives copies of arrays that later kernels change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import warp as wp

from synfab.common.errors import InvalidValueError
from synfab.random.backend import Library

Array = Any  # of the library, or of Warp where stated


def device_of(library: Library) -> Any:
    """Return Warp's device for the device of a library: the CPU or an NVIDIA GPU.

    Raises
    ------
    InvalidValueError
        Warp has no such device.
    """
    try:
        if library.name == "torch":
            return wp.device_from_torch(library.device)
        if library.name == "jax":
            return wp.device_from_jax(library.device)
        return wp.get_device(library.place)
    except (RuntimeError, ValueError, IndexError):
        raise InvalidValueError(
            f'device: engine "warp" computes on the CPU and on NVIDIA GPUs, found {library.place}'
        ) from None


def empty(library: Library, device: Any, shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Return an uninitialised array of Warp; PyTorch's allocator owns its memory if it is used."""
    if library.name == "torch":
        kind = wp.dtype_to_torch(dtype)
        tensor = library.xp.empty(shape, dtype=kind, device=library.device)
        return wp.from_torch(tensor, dtype=dtype)
    return wp.empty(shape, dtype=dtype, device=device)


def to_warp(library: Library, array: Array, dtype: Any) -> Any:
    """Return an array of the library as an array of Warp, which shares its memory."""
    if library.name == "torch":
        return wp.from_torch(array.detach(), dtype=dtype)
    if library.name == "jax":
        return wp.from_jax(array.block_until_ready(), dtype=dtype)
    return wp.array(array, dtype=dtype, device="cpu", copy=False)


def from_warp(library: Library, array: Any, *, shared: bool = False) -> Array:
    """Return an array of Warp as one of the library; ``shared``: later kernels change it."""
    if library.name == "torch":
        return wp.to_torch(array)
    if library.name == "jax":
        return wp.to_jax(wp.clone(array) if shared else array)
    return array.numpy()


def in_order(library: Library, device: Any, action: Callable[[Any], object]) -> None:
    """Run ``action(stream)``, which starts a kernel or a copy, in the order of the library's work.

    The stream is passed on instead of set as the current one, which all threads share.
    """
    if not device.is_cuda:
        action(None)
    elif library.name == "torch":
        action(wp.stream_from_torch(library.device))
    else:
        action(None)
        wp.synchronize_stream(device)
