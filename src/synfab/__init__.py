"""A virtual fab for synapses: arrays of resistive memory cells, fast and statistically right."""

import logging
from typing import TYPE_CHECKING

from synfab.errors import (
    CapacityError,
    EditedFileWarning,
    FileFormatError,
    InvalidTypeError,
    InvalidValueError,
    SolverError,
    SynfabError,
)
from synfab.lazy import attach

if TYPE_CHECKING:
    from synfab.cells import CellArray
    from synfab.checkpoints import Checkpoints
    from synfab.crossbar import Crossbar as Crossbar
    from synfab.model import FEATURES, CellModel
    from synfab.modelfile import load_model, save_model
    from synfab.readout import adc

__version__ = "0.1.0"

# Imported when first used.
SUBPACKAGES = ("circuit", "cluster", "crossbar", "jax", "learn", "report", "simulate", "torch")

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

__getattr__, __dir__ = attach(
    __name__,
    {
        "CellArray": "synfab.cells",
        "CellModel": "synfab.model",
        "Checkpoints": "synfab.checkpoints",
        "Crossbar": "synfab.crossbar",
        "FEATURES": "synfab.model",
        "adc": "synfab.readout",
        "load_model": "synfab.modelfile",
        "save_model": "synfab.modelfile",
    },
    SUBPACKAGES,
)

logging.getLogger(__name__).addHandler(logging.NullHandler())
