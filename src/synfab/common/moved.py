"""Former names of modules: they import for one more release, with a ``DeprecationWarning``."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from synfab.common.deprecation import warn_renamed

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # importing them takes as long as importing the rest of this package
    Loader = MetaPathFinder = object

# Modules that the reference documented in version 0.1 under a name that they no longer have.
MOVED = {
    "synfab.bench": "synfab.cli.bench",
    "synfab.checkpoints": "synfab.io.checkpoints",
    "synfab.circuit.pulses": "synfab.pulses.timeline",
    "synfab.conduction": "synfab.model.conduction",
    "synfab.crossbar.access": "synfab.network.access",
    "synfab.crossbar.controller": "synfab.programming.controller",
    "synfab.crossbar.figures": "synfab.figures.crossbar",
    "synfab.crossbar.gradients": "synfab.network.gradients",
    "synfab.crossbar.mapping": "synfab.programming.mapping",
    "synfab.crossbar.network": "synfab.network.network",
    "synfab.crossbar.wires": "synfab.network.wires",
    "synfab.errors": "synfab.common.errors",
    "synfab.history": "synfab.model.history",
    "synfab.jax.engine": "synfab.random.jax_backend",
    "synfab.learn.figures": "synfab.figures.learn",
    "synfab.modelfile": "synfab.model.model_file",
    "synfab.population": "synfab.model.population",
    "synfab.readout": "synfab.physics.readout",
    "synfab.reduction": "synfab.model.reduction",
    "synfab.report.figures": "synfab.figures.cells",
    "synfab.rules": "synfab.physics.rules",
    "synfab.streams": "synfab.random.streams",
    "synfab.torch.aihwkit": "synfab.torch.adapters.aihwkit",
    "synfab.torch.crosssim": "synfab.torch.adapters.crosssim",
}


class _Loader(Loader):
    """Imports the module under its present name."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Let Python create a module, which ``exec_module`` replaces."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the present name in the place of ``module``."""
        former = module.__name__
        warn_renamed(former, MOVED[former], stacklevel=2)
        sys.modules[former] = importlib.import_module(MOVED[former])


class Finder(MetaPathFinder):
    """Finds modules by their former names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to import a former name; None for every other name."""
        return importlib.machinery.ModuleSpec(name, _Loader()) if name in MOVED else None


def install() -> None:
    """Let former names be imported wherever no module of that name exists."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
