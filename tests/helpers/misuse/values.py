"""What users pass by mistake, one example for each kind of mistake."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class Hostile:
    """Raises whatever it is asked, as half-finished objects of other packages do."""

    def __array__(self, *_: object, **__: object) -> Any:
        raise RuntimeError("no array")

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __fspath__(self) -> str:
        raise RuntimeError("no path")

    def __iter__(self) -> Any:
        raise RuntimeError("no iterator")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


# Created for each call, since a callee may change what it is given.
VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "numpy-true": lambda: np.True_,
    "zero": lambda: 0,
    "minus-one": lambda: -1,
    "three": lambda: 3,
    "huge": lambda: 10**30,
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "numpy-int": lambda: np.int64(1),
    "numpy-float32": lambda: np.float32(0.5),
    "complex": lambda: 1j,
    "decimal": lambda: decimal.Decimal("1.5"),
    "word": lambda: "word",
    "empty-text": lambda: "",
    "word-false": lambda: "False",
    "nul": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "long-text": lambda: "x" * 5000,
    "bytes": lambda: b"bytes",
    "path": lambda: Path("no-such-folder") / "file",
    "path-nul": lambda: Path("a\0b"),
    "folder": lambda: Path("/"),
    "date": lambda: dt.date(2024, 1, 1),
    "datetime64": lambda: np.datetime64("2024-01-01"),
    "empty-list": list,
    "list": lambda: [1, 2, 3],
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "words": lambda: ["a", "b"],
    "nested-none": lambda: [None, 1.0],
    "tuple": lambda: (1, 2),
    "empty-dict": dict,
    "dict": lambda: {"a": 1},
    "dict-of-ints": lambda: {1: 2},
    "set": lambda: {1, 2},
    "function": lambda: lambda *_: None,
    "class": lambda: int,
    "object": object,
    "generator": lambda: (k for k in range(3)),
    "array": lambda: np.array([1.0, 2.0, 3.0]),
    "array-0d": lambda: np.array(1),
    "array-empty": lambda: np.empty(0),
    "array-int": lambda: np.array([1, 2]),
    "array-3d": lambda: np.ones((2, 3, 4)),
    "array-bool": lambda: np.array([True, False]),
    "array-text": lambda: np.array(["a", "b"]),
    "array-object": lambda: np.array([None, object()], dtype=object),
    "array-complex": lambda: np.array([1j, 2.0]),
    "array-nan": lambda: np.array([np.nan, 1.0]),
    "array-dates": lambda: np.array(["2024-01-01"], dtype="datetime64[D]"),
    "array-structured": lambda: np.zeros(2, dtype=[("a", "f4")]),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "masked-constant": lambda: np.ma.masked,
    "series": lambda: pd.Series([1.0, None]),
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "pandas-na": lambda: pd.NA,
    "hostile": Hostile,
}

try:
    import torch
except ImportError:
    pass
else:
    VALUES["tensor"] = lambda: torch.ones(3)
    VALUES["tensor-gradient"] = lambda: torch.ones(3, requires_grad=True)
    VALUES["tensor-meta"] = lambda: torch.empty(3, device="meta")
