"""Types that several subpackages share: arrays, shapes, and the names that arguments may take.

``get_args`` gives the allowed names of a ``Literal`` for ``checks.choice``, so each list of names
is written once. Engines and circuit dialects are registered by name at run time and stay ``str``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # Kind of array that a ``CellArray`` returns: NumPy's unless ``arrays`` selects another.
    A = TypeVar("A", default=npt.NDArray[Any])
else:
    from typing import TypeVar

    A = TypeVar("A")  # Python has defaults since 3.13

Array: TypeAlias = npt.NDArray[Any]  # a NumPy array of any number type
AnyArray: TypeAlias = Any  # an array of any Array API library; a number where stated
FloatArray: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
ArrayLike: TypeAlias = npt.ArrayLike
PathLike: TypeAlias = str | os.PathLike[str]
GridShape: TypeAlias = tuple[int, int]  # (rows, columns)

# Lines of a crossbar: a mask, one or several line numbers, or a slice.
LineSelection: TypeAlias = int | slice | Sequence[int] | Sequence[bool] | Array

ArraysName: TypeAlias = Literal["numpy", "torch", "jax"]
HistoryName: TypeAlias = Literal["float32", "compact"]
SchemeName: TypeAlias = Literal["V/2", "V/3", "floating", "ground"]
DriveEnd: TypeAlias = Literal["top", "bottom", "both"]
SenseEnd: TypeAlias = Literal["left", "right", "both"]
GateDirection: TypeAlias = Literal["rows", "columns"]
ProgramMethod: TypeAlias = Literal["write-verify", "open-loop"]
