"""Fit of a model to measured features."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.conditions import without_conditions
from synfab.learn.conduction import fit_conduction
from synfab.learn.drift import detrended, find_drift
from synfab.learn.features import FeatureTable, row_normals, to_y
from synfab.learn.history import check_order, fit_history
from synfab.learn.marginals import fit_marginals, normal_scores
from synfab.learn.population import check_components, fit_population
from synfab.learn.read_voltage import read_voltage
from synfab.learn.readers.tables import Table
from synfab.learn.rejected import by_reason
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_features, as_sweeps
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conduction import Conduction
from synfab.random.streams import Stream

logger = logging.getLogger(__name__)

MIN_CYCLES = 10


@dataclass(frozen=True)
class FitResult:
    """A fitted model and diagnostics of the fit."""

    model: CellModel
    diagnostics: Mapping[str, Any]


@dataclass(frozen=True)
class Standardised:
    """Features relative to the mean and standard deviation of each device."""

    names: list[str]
    cycles: list[Array]
    x: list[Array]  # (T, 4) per device
    parameters: Array  # (devices, 8): mu, sigma
    left_out: list[str]  # devices with too few cycles


def standardise(features: FeatureTable) -> Standardised:
    """Return features minus the mean of the device, divided by its standard deviation."""
    names, cycles, x, parameters, left_out = [], [], [], [], []
    for name, cycle, values in features.devices():
        good = np.isfinite(values).all(axis=1)
        if good.sum() < MIN_CYCLES:
            left_out.append(name)
            continue
        y = to_y(values[good])
        mean, spread = y.mean(axis=0), y.std(axis=0, ddof=1)
        flat = spread < 1e-9 * np.maximum(np.abs(mean), 1e-9)
        spread[flat] = 1.0
        names.append(name)
        cycles.append(cycle[good])
        x.append(np.where(flat, 0.0, (y - mean) / spread))
        parameters.append(np.concatenate([mean, spread]))
    if not names:
        lost = by_reason(features.rejected)
        raise InvalidValueError(
            f"features: no device has at least {MIN_CYCLES} complete cycles; found "
            f"{len(features)} rows on {len(features.names)} devices"
            + (f"; cycles that could not be evaluated: {lost}" if lost else "")
        )
    return Standardised(names, cycles, x, np.asarray(parameters), left_out)


def fit(
    features: FeatureTable | Table,
    sweeps: Sweeps | Table | None = None,
    *,
    order: int | str = "bic",
    components: int | str = "auto",
    conduction: Conduction | CellModel | None = None,
    skip: int = 0,
    detrend: bool = False,
    seed: int = 0,
    name: str = "fitted",
) -> FitResult:
    """Return a model fitted to features and, if available, the loops they come from.

    Parameters
    ----------
    features
        From ``extract_features`` or ``read_features``; or a pandas, Polars or Arrow table with the
        columns device, cycle, r_hrs, u_set, r_lrs and u_reset.
    sweeps
        Loops to fit the I-V curves to, or a table with the columns device, cycle, voltage and
        current. Without them ``conduction`` is used, or else ohmic curves through the measured
        resistances.
    order
        Order of the history, 1 … 10, or ``"bic"`` to choose it.
    components
        Number of components of the population, or ``"auto"`` to choose it.
    conduction
        Known I-V curves, or a model with such curves.
    skip
        Number of first cycles of every device to skip (wear-in).
    detrend
        Remove the linear trend over the cycles of every device.
    seed
        Seed of the starting points of the mixture fit.
    name
        Name of the model.

    Returns
    -------
    FitResult
        The model, whose provenance describes the data, and diagnostics of each part.

    Raises
    ------
    InvalidValueError
        The data are not sufficient to fit a model.
    """
    features = as_features("features", features)
    sweeps = None if sweeps is None else as_sweeps("sweeps", sweeps)
    if not isinstance(conduction, CellModel):
        checks.optional("conduction", conduction, Conduction)
    order, components = check_order(order), check_components(components)
    skip, detrend = checks.integer("skip", skip, 0), checks.flag("detrend", detrend)
    seed, name = checks.word("seed", seed), checks.text("name", name)
    digest, rejected = features.digest(), dict(features.rejected)
    used = features.skip(skip) if skip else features
    used, effect = without_conditions(used)
    drift = find_drift(used)
    if detrend:
        used = detrended(used)
    parts = standardise(used)
    pooled = np.concatenate(parts.x)
    constant = [FEATURES[f] for f in range(4) if not pooled[:, f].any()]
    # The scores of a constant feature are independent normal numbers.
    scores = np.stack([
        normal_scores(c) if c.any() else row_normals(f, len(c), Stream.INITIAL_HISTORY)
        for f, c in enumerate(pooled.T)
    ], axis=1)  # fmt: skip
    marginals = fit_marginals(pooled)
    edges = np.cumsum([0, *(len(x) for x in parts.x)])
    series = [(c, scores[a:b]) for c, a, b in zip(parts.cycles, edges, edges[1:], strict=False)]
    history = fit_history(series, order)
    errors = _parameter_errors(parts)
    population = fit_population(parts.parameters, errors, components, seed)
    curves, curve_facts = _curves(used, parts, sweeps, conduction)
    cycles = np.concatenate(parts.cycles)
    diagnostics: dict[str, Any] = {
        "devices": len(parts.names),
        "devices_left_out": parts.left_out,
        "cycles": len(pooled),
        "rejected_cycles": rejected,
        "constant_features": constant,
        "marginals": marginals.kind,
        "order": history.order,
        "bic_of_orders": history.bic,
        "residual_autocorrelation": history.whiteness,
        "residual_autocorrelation_bound": history.whiteness_bound,
        "orders_made_stable": list(history.shrunk),
        "components": population.components,
        "bic_of_components": population.bic,
        "population_note": population.note,
        "drift": drift,
        **effect.facts(),
        **curve_facts,
    }
    if "slopes_only" in used.notes:
        diagnostics["resistances"] = f"slopes near 0 V ({used.notes['slopes_only']})"
    from synfab import __version__

    provenance = {
        "data_sha256": digest,
        "devices": len(parts.names),
        "cycles": len(pooled),
        "cycle_range": [int(cycles.min()), int(cycles.max())],
        "rejected_cycles": rejected,
        "options": {"order": order, "components": components, "skip": skip, "detrend": detrend,
                    "seed": seed},
        "notes": dict(used.notes),
        "synfab": __version__,
        "numpy": np.__version__,
    }  # fmt: skip
    model = CellModel(
        name,
        marginals.coefficients,
        history.histories,
        population.population,
        curves,
        provenance,
        effect.conditions,
    )
    return FitResult(model, diagnostics)


def _parameter_errors(parts: Standardised) -> Array:
    """Return the standard errors of mu and sigma of one device, given correlated cycles."""
    length = float(np.median([len(x) for x in parts.x]))
    spread = np.median(parts.parameters[:, 4:], axis=0)
    inflation = np.ones(4)
    for f in range(4):
        lags = []
        for lag in range(1, 11):
            pairs = [(x[lag:, f], x[:-lag, f]) for x in parts.x if len(x) > lag + 2]
            top = sum(float(a @ b) for a, b in pairs)
            lags.append(top / max(sum(float(a @ a) for a, _ in pairs), 1e-12))
        inflation[f] = max(1.0 + 2.0 * sum(max(r, 0.0) for r in lags), 1.0)
    kurtosis = np.clip((np.concatenate(parts.x) ** 4).mean(axis=0), 2.0, 50.0)
    mean_error = spread * np.sqrt(inflation / length)
    spread_error = spread * np.sqrt((kurtosis - 1.0) * inflation / (4.0 * length))
    return np.concatenate([mean_error, spread_error])


def _curves(
    features: FeatureTable,
    parts: Standardised,
    sweeps: Sweeps | None,
    given: Conduction | CellModel | None,
) -> tuple[Conduction, dict[str, Any]]:
    """Return the I-V curves, given, fitted or ohmic, and diagnostics about them."""
    if isinstance(given, CellModel):
        given = given.conduction
    if given is not None:
        return given, {"conduction": "given"}
    reason = "no loops"
    if sweeps is not None:
        try:
            known = features.notes
            found = fit_conduction(
                sweeps,
                u_0=checks.number("u_0", known["u_0"]) if "u_0" in known else None,
                reset=checks.text("reset", known.get("u_reset", "auto")),
            )
        except InvalidValueError as error:
            reason = str(error)
        else:
            return found.conduction, {
                "conduction": f"polynomials of degree {found.degree}",
                "conduction_residual_A": found.residual,
                "conduction_loops": found.loops,
            }
    y = to_y(features.values[features.complete()])
    g_llrs = 1.2 / float(np.quantile(y[:, 2], 0.001)) if np.quantile(y[:, 2], 0.001) > 0 else (
        2.0 / float(np.median(y[:, 2])))  # fmt: skip
    g_hhrs = 0.5 * 10.0 ** -float(y[:, 0].max())
    u_0 = checks.number("u_0", features.notes.get("u_0", read_voltage(*np.median(y[:, [1, 3]], 0))))
    top = max(float(np.quantile(y[:, 3], 0.999)) * 1.5, 1.5 * u_0)
    bottom = min(float(np.quantile(y[:, 1], 0.001)) * 1.2, -1.5 * u_0)
    ohmic = Conduction([g_hhrs, 0.0], [g_llrs, 0.0], 2.0, top, u_0, (bottom, top))
    return ohmic, {"conduction": f"ohmic ({reason}); U_max is 1.5 times the largest u_reset"}
