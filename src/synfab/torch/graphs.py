"""Calls that ``torch.compile`` does not trace, and exports, which cells cannot have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from synfab.common.errors import InvalidTypeError

Result = TypeVar("Result")


def outside_graphs(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function; while ``torch.compile`` traces, as a call that it does not look into."""
    refuse_export()
    if torch.compiler.is_compiling():
        return _untraced(function, *arguments)
    return function(*arguments)


def refuse_export() -> None:
    """Raise while ``torch.export`` traces."""
    # Before 2.7, torch had no such function; its export then ends with an error of its own.
    exporting = getattr(torch.compiler, "is_exporting", None)
    if exporting is not None and exporting():
        raise InvalidTypeError(
            "torch.export: cells are a simulation with a state and cannot be exported; export "
            "to_torch(network), which has the weights that the cells hold"
        )


# torch.compiler.disable would import the compiler into every program, which takes a second.
@torch._disable_dynamo  # type: ignore[attr-defined]
def _untraced(function: Callable[..., Result], *arguments: object) -> Result:
    return function(*arguments)
