"""Cell models from measurements: read files, extract features, fit a model, compare them."""

from synfab.common import extras

extras.check("pandas", "pyarrow", "sklearn")

from synfab.learn.comparison.compare import Comparison, compare
from synfab.learn.comparison.properties import Property, register_property
from synfab.learn.comparison.verdicts import Counts, Verdict
from synfab.learn.comparison.yardstick import Result
from synfab.learn.conditions import ConditionFit, fit_conditions
from synfab.learn.conduction import ConductionFit, fit_conduction
from synfab.learn.drift import detrended, find_drift
from synfab.learn.extraction import extract_features
from synfab.learn.features import FeatureTable
from synfab.learn.fit import FitResult, fit
from synfab.learn.history import HistoryFit, fit_history
from synfab.learn.marginals import MarginalFit, fit_marginals
from synfab.learn.population import PopulationFit, fit_population
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.rare_states import loop_noise, rare_states
from synfab.learn.readers.registry import register_format
from synfab.learn.reading import read_any, read_features, read_sweeps
from synfab.learn.sweeps import Sweeps, sweeps_from_arrays
from synfab.learn.traps.data import Relaxation
from synfab.learn.traps.fit import fit_traps
from synfab.learn.traps.reading import read_relaxation
from synfab.learn.traps.result import TrapFit

__all__ = [
    "Comparison",
    "ConditionFit",
    "ConductionFit",
    "Counts",
    "DeviceSweeps",
    "FeatureTable",
    "FitResult",
    "HistoryFit",
    "MarginalFit",
    "PopulationFit",
    "Property",
    "Relaxation",
    "Result",
    "Sweeps",
    "TrapFit",
    "Verdict",
    "compare",
    "detrended",
    "extract_features",
    "find_drift",
    "fit",
    "fit_conditions",
    "fit_conduction",
    "fit_history",
    "fit_marginals",
    "fit_population",
    "fit_traps",
    "loop_noise",
    "rare_states",
    "read_any",
    "read_features",
    "read_relaxation",
    "read_sweeps",
    "register_format",
    "register_property",
    "sweeps_from_arrays",
]
