"""Model parameters rounded to float32 on a device, in the form the kernels use."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import warp as wp

from synfab.engines.numba.parts import round_parts
from synfab.engines.warp.layout import Model
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules


def round_model(model: CellModel, order: int, device: Any) -> Model:
    """Return the parameters of a model; number and keys of the cells are still to be set."""

    def bring(values: npt.ArrayLike, dtype: Any) -> Any:
        numbers = np.ascontiguousarray(values, np.float32)
        return wp.array(numbers, dtype=dtype, device=device)

    conduction, process, population = model.conduction, model.history(order), model.population
    factors, pieces = population.factors, np.asarray(model.marginals)
    slope_llrs, slope_hhrs = conduction.slopes_at_zero
    found = Model()
    found.lags = bring(process.lags, wp.mat44)
    found.innovation = wp.mat44(*process.innovation.astype(np.float32).flat)
    found.couplings = bring(process.couplings, wp.mat44)
    found.rates = bring(process.rates, wp.float32)
    slots = process.slots
    blocks = process.stationary_factor.reshape(slots, 4, slots, 4).transpose(0, 2, 1, 3)
    found.stationary = bring(blocks, wp.mat44)
    bounds = np.array(drawing.component_bounds(model), np.uint64)
    found.bounds = wp.array(bounds, dtype=wp.uint64, device=device)
    found.log_spread = population.log_spread
    found.means = bring(population.means.reshape(-1, 2, 4), wp.vec4)
    # Lower triangular: sigma depends on all eight normal numbers, mu on the first four.
    quarters = (factors[:, :4, :4], factors[:, 4:, :4], factors[:, 4:, 4:])
    found.factors = bring(np.stack(quarters, axis=1), wp.mat44)
    found.piecewise = pieces.ndim == 3
    found.marginals = bring(pieces if pieces.ndim == 3 else pieces[:, None, :], wp.float32)
    parts = round_parts(model)
    found.plain = parts is None
    if parts is not None:
        found.scales, found.wear = bring(parts.scales, wp.float32), bring(parts.wear, wp.float32)
        found.failure = wp.vec4(*parts.failure)
    found.llrs, found.hhrs = (bring(curve, wp.float32) for curve in conduction.padded)
    found.g_llrs, found.inverse_span = conduction.g_llrs, 1.0 / conduction.g_span
    found.top = rules.highest_state(model)
    found.u_max, found.eta = conduction.u_max, conduction.eta
    found.low, found.high = conduction.voltage_range
    found.slope_llrs, found.slope_span = slope_llrs, slope_hhrs - slope_llrs
    return found
