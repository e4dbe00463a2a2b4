"""What ``torch.compile`` leaves alone: it cannot trace the draws of random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def beside_graphs(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function, out of sight of the compiler where one is at work."""
    if torch.compiler.is_compiling():
        return _untraced(function, *arguments)
    return function(*arguments)


# torch.compiler.disable would import the compiler, a second, into every program.
@torch._disable_dynamo  # type: ignore[attr-defined]
def _untraced(function: Callable[..., Result], *arguments: object) -> Result:
    return function(*arguments)
