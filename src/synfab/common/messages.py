"""Values of arguments as text for the messages of errors."""

from __future__ import annotations

import numpy as np

MAX_SHOWN = 60  # characters of a value in a message
MAX_REASON = 500  # characters of the message of a library


def kind_of(value: object) -> str:
    """Return the type of a value for a message."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    return type(value).__name__


def shown(value: object) -> str:
    """Return a value for a message: short text and numbers as they are, otherwise the type."""
    if value is None or isinstance(value, (str, bytes, bool, int, float, np.generic)):
        found = repr(value)
        return found if len(found) <= MAX_SHOWN else f"{found[:MAX_SHOWN]}…"
    return kind_of(value)


def reason_of(error: BaseException) -> str:
    """Return the message of an exception in one line; without one, the name of its type."""
    return " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
