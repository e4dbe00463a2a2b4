"""A virtual fab for synapses: arrays of resistive memory cells, fast and statistically right."""

import logging

from synfab.cells import CellArray
from synfab.errors import (
    CapacityError,
    FileFormatError,
    InvalidTypeError,
    InvalidValueError,
    SynfabError,
)
from synfab.model import FEATURES, CellModel
from synfab.modelfile import load_model, save_model
from synfab.readout import adc

__version__ = "0.1.0"

__all__ = [
    "FEATURES",
    "CapacityError",
    "CellArray",
    "CellModel",
    "FileFormatError",
    "InvalidTypeError",
    "InvalidValueError",
    "SynfabError",
    "adc",
    "load_model",
    "save_model",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
