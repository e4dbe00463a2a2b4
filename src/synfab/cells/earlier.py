"""Saved cells of version 0.1, described as this version describes them.

That version could store a history as int16, in steps of 1/4096. It is loaded as a float32 history
of the same numbers: the cells are the same to the bit, but histories that they draw later are no
longer rounded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.engines.registry import present_name

STEPS = 4096.0  # of an int16 history, per standard deviation

logger = logging.getLogger(__name__)


def present_history(history: object) -> Any:
    """Return the present name of a history format that a file may name as in version 0.1."""
    return "float32" if _is(history, "int16") else history


def present_cells(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description of saved cells with the present names of engine and history.

    If the history changes, ``present_storage`` converts the arrays, and a warning is logged.
    """
    engine, history = present_name(described.get("engine")), described.get("history")
    if _is(engine, "numba") and _is(history, "int16"):
        logger.warning(
            "cells with int16 history are loaded as float32: their current cycle is unchanged, "
            "features of later cycles differ by up to 2e-4 because they are no longer rounded"
        )
        history = present_history(history)
    return {**described, "engine": engine, "history": history}


def present_storage(stored: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of cells with int16 history as those of cells with float32 history.

    Raises
    ------
    FileFormatError
        The history is missing or not int16.
    """
    history = stored.get("history")
    if not isinstance(history, np.ndarray) or history.dtype != np.int16:
        found = "none" if history is None else getattr(history, "dtype", type(history).__name__)
        raise FileFormatError(f"history: expected int16, found {found}")
    # Exact: 16 bits, divided by a power of two.
    return {**stored, "history": history / np.float32(STEPS)}


def _is(found: object, name: str) -> bool:
    """Tell whether a value from a file, which can be of any type, is a name."""
    return isinstance(found, str) and found == name
