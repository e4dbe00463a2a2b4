"""Models rounded to float32 for the kernels."""

from functools import lru_cache

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.fabrication import Mixture
from synfab.engines.numba.layout import Parameters, Process
from synfab.engines.numba.parts import round_parts
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules

MODELS = 16  # number of models whose rounded values are cached


@lru_cache(maxsize=MODELS)
def round_model(model: CellModel, order: int) -> Parameters:
    """Return a model rounded to float32; the caller sets seed and first cell (``key, first``)."""
    conduction, process = model.conduction, model.history(order)
    llrs, hhrs = (tuple(curve.astype(np.float32)) for curve in conduction.padded)
    marginals = np.array(model.marginals, np.float32)
    values = (
        conduction.g_llrs,
        1.0 / conduction.g_span,
        rules.highest_state(model),
        conduction.u_max,
        conduction.eta,
        *conduction.voltage_range,
    )
    return Parameters(
        process=Process(
            *(
                np.ascontiguousarray(matrices, np.float32)
                for matrices in (process.lags, process.innovation, process.couplings, process.rates)
            )
        ),
        marginals=marginals if marginals.ndim == 3 else tuple(map(tuple, marginals)),
        llrs=llrs,
        hhrs=hhrs,
        constants=tuple(np.array(values, np.float32)),
        parts=round_parts(model),
        first=np.uint64(0),
        key=np.uint64(0),
    )


@lru_cache(maxsize=MODELS)
def stationary_blocks(model: CellModel, order: int) -> Array:
    """Return the factor of the stationary history for ``fabricate``, (slots, slots, 4, 4)."""
    history = model.history(order)
    factor, slots = history.stationary_factor.astype(np.float32), history.slots
    blocks = factor.reshape(slots, 4, slots, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks)


@lru_cache(maxsize=MODELS)
def population32(model: CellModel) -> Mixture:
    """Return the bounds of the mixture components, their means and factors as float32.

    The factors are in blocks of (4, 4): (components, 2, 2, 4, 4).
    """
    population = model.population
    factors = population.factors.reshape(-1, 2, 4, 2, 4)
    return Mixture(
        population.log_spread,
        np.array(drawing.component_bounds(model), np.uint64),
        np.ascontiguousarray(population.means, np.float32),
        np.ascontiguousarray(factors.transpose(0, 1, 3, 2, 4), np.float32),
    )
