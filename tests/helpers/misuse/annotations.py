"""Which values an annotation allows, as far as it is one of plain words."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_args, get_origin

import numpy as np

from synfab.common import types


def is_integer(value: Any) -> bool:
    """Tell whether a value is one integer, of any library, and not a boolean."""
    try:
        operator.index(value)
    except Exception:
        return False
    return not isinstance(value, (bool, np.bool_))


def is_number(value: Any) -> bool:
    """Tell whether a value is one real number, of any library, and not a boolean."""
    if is_integer(value):
        return True
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    except Exception:
        return False
    return array.ndim == 0 and array.dtype.kind in "iuf"


def is_one_of(words: tuple[str, ...], value: Any) -> bool:
    """Tell whether a value is one of the words."""
    return isinstance(value, str) and value in words


# Annotations that can be judged; a union with any other one may take anything.
ALLOWED: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "int": is_integer,
    "float": is_number,
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, os.PathLike),
    "os.PathLike[str]": lambda value: isinstance(value, os.PathLike),
    "PathLike": lambda value: isinstance(value, str | os.PathLike),
    "tuple[int, ...]": lambda value: isinstance(value, (tuple, list)),
    "tuple[str, ...]": lambda value: isinstance(value, (tuple, list)),
    "Level": lambda value: isinstance(value, str),
}
# Names that the package's own types allow, such as those of write schemes.
for _name, _kind in vars(types).items():
    if get_origin(_kind) is Literal:
        ALLOWED[_name] = partial(is_one_of, get_args(_kind))
# Classes of the package and of the standard library, by name.
CLASSES = ("CellModel", "Conduction", "History", "Population", "FeatureTable", "Sweeps",
           "Comparison", "CellArrayCPU", "CellArray", "Checkpoints")  # fmt: skip


def fits(annotation: str, value: Any) -> bool:
    """Tell whether a value is one of those that an annotation allows."""
    return any(_fits(part.strip(), value) for part in annotation.split("|"))


def _fits(part: str, value: Any) -> bool:
    if part in ALLOWED:
        return ALLOWED[part](value)
    if part in CLASSES:
        return part in {base.__name__ for base in type(value).__mro__}
    if part.startswith("Mapping["):
        return isinstance(value, Mapping)
    if part.startswith("Callable["):
        return callable(value)
    return True
