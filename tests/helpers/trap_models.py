"""Models whose cells change with time."""

import numpy as np

import synfab as sf
from synfab.model import Traps


def traps(**changes):
    """28 traps, two per decade from 10 us to 1e9 s, whose occupancy drifts after programming."""
    given = {
        "time_constants": np.logspace(-5.0, 9.0, 29),
        "spectrum": np.linspace(0.1, 0.3, 28),
        "conductance": [0.0, 100e-6, 300e-6],
        "amplitude": [2e-6, 4e-6, 3e-6],
        "raising": [0.3, 0.1, 0.0],
        "trap_spread": 0.5,
        "cell_spread": 0.3,
        "initial_occupancy": 0.4,
    }
    return Traps(**{**given, **changes})


def model_with_traps(**changes):
    return sf.load_model("published").replace(name="with traps", traps=traps(**changes))
