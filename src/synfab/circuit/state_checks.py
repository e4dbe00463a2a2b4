"""Checks of the states of cells: their tables are files, which others may have written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.physics.rules import MAX_CYCLE

# Names that ngspice takes in a command as they are. Others are expressions for it, or, with
# backquotes, commands of the shell.
NAME = re.compile(r"n[a-z0-9_.#:@]*", re.IGNORECASE)
WORD = 2.0**32 - 1.0
LARGEST_INTEGER = 2.0**53
REQUIRED = ("seed", "cell")
# Largest value of parameters that are integers from 0.
INTEGERS = {
    **dict.fromkeys(REQUIRED, LARGEST_INTEGER),
    **dict.fromkeys(("seed_high", "cell_high", "occupied0", "initial0", "step0"), WORD),
    "cycle0": float(MAX_CYCLE),
    "phase0": 2.0,
}


def check_states(names: Sequence[str], parameters: Mapping[str, Array]) -> None:
    """Raise unless these are states of cells with different names.

    Raises
    ------
    InvalidValueError
        A name is not that of a cell or occurs twice, or a value is not allowed.
    """
    for name in names:
        if NAME.fullmatch(name) is None:
            raise InvalidValueError(
                f"names: expected names of cells in ngspice, such as n1 or n.x1.n1, "
                f"found {checks.shown(name)}"
            )
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InvalidValueError(f"names: expected different names, found {twice} twice")
    for key, values in parameters.items():
        if np.shape(values) != (len(names),):
            raise InvalidValueError(
                f"{key}: expected {len(names)} numbers, found shape {np.shape(values)}"
            )
        wrong = _wrong(key, np.asarray(values))
        if wrong.any():
            k = int(np.argmax(wrong))
            raise InvalidValueError(f"{key}: expected {_kind(key)}, found {values[k]} ({names[k]})")


def _wrong(key: str, values: Array) -> Array:
    if key not in INTEGERS:
        return np.isinf(values)
    unknown = np.isnan(values)
    whole = (values >= 0.0) & (values <= INTEGERS[key]) & (values == np.floor(values))
    wrong: Array = ~whole if key in REQUIRED else ~(whole | unknown)
    return wrong


def _kind(key: str) -> str:
    if key not in INTEGERS:
        return "a finite number"
    return f"an integer from 0 to {INTEGERS[key]:.0f}"
