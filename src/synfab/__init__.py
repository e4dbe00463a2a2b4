"""A virtual fab for synapses: arrays of resistive memory cells, fast and statistically right."""

import logging
from typing import TYPE_CHECKING

from synfab.common import moved
from synfab.common.errors import (
    CapacityError,
    EditedFileWarning,
    FileFormatError,
    InvalidTypeError,
    InvalidValueError,
    SolverError,
    SynfabError,
)
from synfab.common.lazy import attach

if TYPE_CHECKING:
    # For type checkers and editors, which do not see names that are imported when first used.
    from synfab import circuit as circuit
    from synfab import cluster as cluster
    from synfab import crossbar as crossbar
    from synfab import jax as jax
    from synfab import learn as learn
    from synfab import model as model
    from synfab import report as report
    from synfab import simulate as simulate
    from synfab import torch as torch
    from synfab.cells.array import CellArray
    from synfab.crossbar import Crossbar as Crossbar
    from synfab.io.checkpoints import Checkpoints
    from synfab.model.cell_model import FEATURES, CellModel
    from synfab.model.model_file import load_model, save_model
    from synfab.physics.readout import adc

__version__ = "0.2.0"

# Imported when first used.
SUBPACKAGES = (
    "circuit",
    "cluster",
    "crossbar",
    "jax",
    "learn",
    "model",
    "report",
    "simulate",
    "torch",
)

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
        "CellArray": "synfab.cells.array",
        "CellModel": "synfab.model.cell_model",
        "Checkpoints": "synfab.io.checkpoints",
        "Crossbar": "synfab.crossbar",
        "FEATURES": "synfab.model.cell_model",
        "adc": "synfab.physics.readout",
        "load_model": "synfab.model.model_file",
        "save_model": "synfab.model.model_file",
    },
    SUBPACKAGES,
)

moved.install()
logging.getLogger(__name__).addHandler(logging.NullHandler())
