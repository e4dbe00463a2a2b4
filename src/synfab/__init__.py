"""A virtual fab for synapses: arrays of resistive memory cells, fast and statistically right."""

import importlib
import logging
from typing import Any

from synfab.cells import CellArray
from synfab.checkpoints import Checkpoints
from synfab.errors import (
    CapacityError,
    EditedFileWarning,
    FileFormatError,
    InvalidTypeError,
    InvalidValueError,
    SolverError,
    SynfabError,
)
from synfab.model import FEATURES, CellModel
from synfab.modelfile import load_model, save_model
from synfab.readout import adc

__version__ = "0.1.0"

# Rooms that bring heavy libraries with them; imported when first used.
ROOMS = ("circuit", "cluster", "crossbar", "jax", "learn", "report", "simulate", "torch")

__all__ = [
    "FEATURES",
    "CapacityError",
    "CellArray",
    "CellModel",
    "Checkpoints",
    "EditedFileWarning",
    "FileFormatError",
    "InvalidTypeError",
    "InvalidValueError",
    "SolverError",
    "SynfabError",
    "adc",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name == "Crossbar":
        return importlib.import_module("synfab.crossbar").Crossbar
    if name in ROOMS:
        return importlib.import_module(f"synfab.{name}")
    raise AttributeError(f"module 'synfab' has no attribute {name!r}")


logging.getLogger(__name__).addHandler(logging.NullHandler())
