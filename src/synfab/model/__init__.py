"""Statistical model of a memory technology, its parts, its files and the published parameters."""

from typing import TYPE_CHECKING

from synfab.common.lazy import attach

if TYPE_CHECKING:
    from synfab.model.cell_model import FEATURES, CellModel
    from synfab.model.conditions import Conditions
    from synfab.model.conduction import Conduction
    from synfab.model.history import History
    from synfab.model.model_file import load_model, save_model
    from synfab.model.population import Population
    from synfab.model.scale import Scale
    from synfab.model.traps import Traps
    from synfab.model.wear import Failure, WearIn

__all__ = [
    "FEATURES",
    "CellModel",
    "Conditions",
    "Conduction",
    "Failure",
    "History",
    "Population",
    "Scale",
    "Traps",
    "WearIn",
    "load_model",
    "save_model",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "CellModel": "synfab.model.cell_model",
        "Conditions": "synfab.model.conditions",
        "Conduction": "synfab.model.conduction",
        "FEATURES": "synfab.model.cell_model",
        "Failure": "synfab.model.wear",
        "History": "synfab.model.history",
        "Population": "synfab.model.population",
        "Scale": "synfab.model.scale",
        "Traps": "synfab.model.traps",
        "WearIn": "synfab.model.wear",
        "load_model": "synfab.model.model_file",
        "save_model": "synfab.model.model_file",
    },
)
