"""PyTorch as a library of the array engine."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.masked import MaskedTensor
from torch.utils import _pytree as pytree

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import AnyArray as Array
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library, put_in_place
from synfab.random.streams import seed_key

logger = logging.getLogger(__name__)

# Compiling takes seconds to a minute per process; fewer cells are not compiled.
COMPILE_FROM = 2**16


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
        put=put_in_place,
        flatnonzero=lambda mask: torch.nonzero(mask).reshape(-1),
        key=lambda seed: tuple(torch.tensor(w, device=place) for w in seed_key(seed)),
        compiled=lambda function, first: _compiled(function, first, place.type),
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


@functools.lru_cache(maxsize=64)
def _compiled(
    function: Callable[..., Any], first: tuple[object, ...], kind: str
) -> Callable[..., Any]:
    """Return a compiled function that arrays share; ``kind`` is the type of the device."""
    return Compiled(function, first)


class Compiled:
    """A function that is compiled at the first call with many cells.

    It is traced once with symbolic tensors, with the parameters of the model as constants, and
    compiled for any number of cells.
    """

    def __init__(self, function: Callable[..., Any], first: tuple[object, ...]) -> None:
        self._plain = functools.partial(function, *first)
        self._made: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arguments: Array) -> Any:
        """Return the result of the function."""
        leaves, layout = pytree.tree_flatten(arguments)
        if max(leaf.shape[-1] for leaf in leaves if leaf.ndim) < COMPILE_FROM:
            return self._plain(*arguments)
        # Compiled code depends on all dimensions except the number of cells.
        shapes = ((leaf.shape[:-1], leaf.shape[-1:] == (1,), leaf.dtype) for leaf in leaves)
        signature = (str(layout), *shapes)
        if signature not in self._made:
            self._made[signature] = self._make(leaves, layout)
        return self._made[signature](*leaves)

    def _make(self, leaves: list[torch.Tensor], layout: pytree.TreeSpec) -> Callable[..., Any]:
        result: list[Any] = []

        def flat(*given: torch.Tensor) -> list[torch.Tensor]:
            found, form = pytree.tree_flatten(self._plain(*pytree.tree_unflatten(given, layout)))
            result[:] = [form]
            return found

        def plain(*given: torch.Tensor) -> Any:
            return self._plain(*pytree.tree_unflatten(given, layout))

        try:
            graph = make_fx(flat, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*leaves)
            fast = torch.compile(graph, dynamic=True)
            fast(*leaves)
        except Exception as error:  # a missing C++ compiler, a platform without torch.compile …
            pass_on(error)
            logger.warning("PyTorch cannot compile on this machine, which is slower: %s", error)
            return plain
        return lambda *given: pytree.tree_unflatten(fast(*given), result[0])
