"""PyTorch as an array library."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch.masked import MaskedTensor

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import AnyArray as Array
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library, put_in_place
from synfab.random.streams import seed_key


def library(device: object = None) -> Library:
    """Return PyTorch on a device.

    Raises
    ------
    InvalidValueError
        PyTorch does not have this device.
    """
    return _library(check_device(device))


@functools.cache
def _library(place: torch.device) -> Library:
    return Library(
        name="torch",
        place=str(place),
        xp=xp,
        kind=torch.Tensor,
        device=place,
        word=np.int64,  # PyTorch has no arithmetic for unsigned words
        wide=torch.float32 if place.type == "mps" else torch.float64,
        asarray=functools.partial(_asarray, place),
        adopt=functools.partial(_adopt, place),
        put=put_in_place,
        flatnonzero=lambda mask: torch.nonzero(mask).reshape(-1),
        key=lambda seed: tuple(torch.tensor(w, device=place) for w in seed_key(seed)),
        exact=_exact,
    )


def check_device(device: object) -> torch.device:
    """Return a device with its number from itself or its name; None: the CPU."""
    try:
        place = torch.device("cpu" if device is None else device)  # type: ignore[call-overload]
        return torch.empty(0, device=place).device
    except Exception as error:  # other objects can raise any exception
        pass_on(error)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidValueError(
            f"device: expected one that PyTorch has, such as 'cpu' or 'cuda', "
            f"found {checks.shown(device)}: {reason}"
        ) from None


def _asarray(device: torch.device, value: Array) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        value = to_numpy(value)
        value = value if value.flags.writeable else value.copy()
    elif value.layout != torch.strided or value.is_nested or isinstance(value, MaskedTensor):
        raise NotImplementedError("expected a dense tensor of one shape, without a mask")
    return torch.as_tensor(value, device=device).detach()


def _adopt(device: torch.device, array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return an array as a tensor; PyTorch has no arithmetic for unsigned words."""
    return _asarray(device, array.astype(np.int64) if array.dtype == np.uint32 else array)


@contextmanager
def _full_products() -> Iterator[None]:
    """Use full float32 precision in products inside the block."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def _exact(function: Callable[..., Any], first: tuple[object, ...]) -> Callable[..., Any]:
    def call(*arguments: Array) -> Any:
        with _full_products():
            return function(*first, *arguments)

    return call
