"""Calls that ``torch.compile`` does not trace: it cannot compile the draws of random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def outside_graphs(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function; while ``torch.compile`` traces, as a call that it does not look into."""
    if torch.compiler.is_compiling():
        return _untraced(function, *arguments)
    return function(*arguments)


# torch.compiler.disable would import the compiler into every program, which takes a second.
@torch._disable_dynamo  # type: ignore[attr-defined]
def _untraced(function: Callable[..., Result], *arguments: object) -> Result:
    return function(*arguments)
