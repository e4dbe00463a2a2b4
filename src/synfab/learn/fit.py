"""Fit of a model to measured features."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array
from synfab.learn.autocovariance import mean_errors
from synfab.learn.conditions import ConditionFit, without_conditions
from synfab.learn.conduction import fit_conduction
from synfab.learn.drift import detrended, find_drift
from synfab.learn.failure import Failures, find_failures
from synfab.learn.features import FeatureTable, to_y
from synfab.learn.history import check_order
from synfab.learn.html import fit_html
from synfab.learn.learned import learned_sentences
from synfab.learn.marginals import fit_marginals
from synfab.learn.memory import fit_memory
from synfab.learn.population import check_components, fit_population
from synfab.learn.rare_states import rare_states
from synfab.learn.read_voltage import read_voltage
from synfab.learn.readers.tables import Table
from synfab.learn.scales import ScaleChoice, choose_scales, describe_scale
from synfab.learn.standardised import Standardised, standardise
from synfab.learn.sweeps import Sweeps
from synfab.learn.tables import as_features, as_sweeps
from synfab.learn.wear_in import find_wear_in, without_wear_in
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.wear import WearIn

logger = logging.getLogger(__name__)

WEAR_IN = ("keep", "remove")


@no_array("fit.model or fit.diagnostics")
@dataclass(frozen=True)
class FitResult:
    """A fitted model and diagnostics of the fit.

    Printed, it says how the model was learned; ``compare`` says how good it is.
    """

    model: CellModel
    diagnostics: Mapping[str, Any]

    def sentences(self) -> list[str]:
        """Return how the model was learned, in sentences."""
        return learned_sentences(self.diagnostics)

    def __str__(self) -> str:
        return "\n  ".join([self.model.name, *self.sentences()])

    def _repr_html_(self) -> str:
        return fit_html(self)


def fit(
    features: FeatureTable | Table,
    sweeps: Sweeps | Table | None = None,
    *,
    order: int | str = "auto",
    components: int | str = "auto",
    conduction: Conduction | CellModel | None = None,
    skip: int = 0,
    detrend: bool = False,
    wear_in: str = "keep",
    seed: int = 0,
    name: str = "fitted",
) -> FitResult:
    """Return a model fitted to features and, if available, the loops they come from.

    The scale of each feature, memory beyond the order of the history, wear-in and failures are
    part of the model if the data show them.

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
        Order of the history, 1 … 10. ``"auto"`` chooses the one with the lowest Bayesian
        information criterion among those that explain the memory of the record (their innovations
        are white, see ``synfab.learn.whiteness``), or the closest to it; ``"bic"`` the one with the
        lowest criterion.
    components
        Number of components of the population, or ``"auto"`` to choose it.
    conduction
        Known I-V curves, or a model with such curves.
    skip
        Number of first cycles of every device to skip (wear-in).
    detrend
        Remove the linear trend over the cycles of every device.
    wear_in
        ``"keep"``: the first cycles of the model deviate as those of the data do; ``"remove"``:
        they are as later ones.
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

    Examples
    --------
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> rows = []
    >>> for cycle in range(40):
    ...     _ = cells.apply_voltage(-2.0).apply_voltage(1.5)
    ...     rows.append(np.stack(list(cells.features.values()), axis=1))
    >>> table = sf.learn.FeatureTable.build(
    ...     np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12), np.concatenate(rows)
    ... )
    >>> fitted = sf.learn.fit(table, order=3, conduction=sf.load_model())
    >>> sf.CellArray(fitted.model, 100, seed=1).size
    100
    """
    features = as_features("features", features)
    sweeps = None if sweeps is None else as_sweeps("sweeps", sweeps)
    if not isinstance(conduction, CellModel):
        checks.optional("conduction", conduction, Conduction)
    order, components = check_order(order), check_components(components)
    skip, detrend = checks.integer("skip", skip, 0), checks.flag("detrend", detrend)
    wear_in = checks.choice("wear_in", wear_in, WEAR_IN)
    seed, name = checks.word("seed", seed), checks.text("name", name)
    digest, rejected = features.digest(), dict(features.rejected)
    used = features.skip(skip) if skip else features
    failures, used = find_failures(used)
    scales, used, effect = _scales_and_conditions(used)
    drift = find_drift(used)
    if detrend:
        used = detrended(used)
    wear = find_wear_in(used, scales.scales)
    if wear is not None:
        used = without_wear_in(used, scales.scales, wear)
    parts = standardise(used, scales.scales)
    pooled = np.concatenate(parts.x)
    constant = [FEATURES[f] for f in range(4) if not pooled[:, f].any()]
    marginals = fit_marginals(pooled)
    memory = fit_memory(parts, pooled, order)
    errors = _errors(parts, memory.histories)
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
        "scales": {n: describe_scale(c) for n, c in zip(FEATURES, scales.scales, strict=True)},
        **memory.facts,
        "wear_in": _wear_in_facts(wear, kept=wear_in == "keep"),
        "failures": _failure_facts(failures),
        "components": population.components,
        "bic_of_components": population.bic,
        "population_note": population.note,
        "drift": drift,
        "rare_states": {
            state: dict(facts) for state, facts in rare_states(used).items() if facts["share"] > 0.0
        },
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
                    "wear_in": wear_in, "seed": seed},
        "conduction": curve_facts["conduction"],
        "white_order": memory.facts.get("white_order"),
        "notes": dict(used.notes),
        "synfab": __version__,
        "numpy": np.__version__,
    }  # fmt: skip
    model = CellModel(
        name, marginals.coefficients, memory.histories, population.population, curves, provenance,
        effect.conditions, scales=scales.scales, wear_in=wear if wear_in == "keep" else None,
        failure=failures.model,
    )  # fmt: skip
    return FitResult(model, diagnostics)


def _scales_and_conditions(
    features: FeatureTable,
) -> tuple[ScaleChoice, FeatureTable, ConditionFit]:
    """Return the scales, the features at the reference of the conditions, and their effect.

    The scale is that of the cycle-to-cycle variability, so the effect of the conditions must be
    removed before it is chosen; then it is determined again on that scale.
    """
    first, effect = without_conditions(features)
    scales = choose_scales(first, features)
    if effect.conditions is None:
        return scales, first, effect
    used, effect = without_conditions(features, scales.scales)
    return scales, used, effect


def _wear_in_facts(wear: WearIn | None, *, kept: bool) -> dict[str, Any]:
    if wear is None:
        return {}
    first = dict(zip(FEATURES, wear.shift_at(0).tolist(), strict=True))
    return {
        "in_the_model": kept,
        "cycles": wear.cycles.tolist(),
        "shift_of_first_cycle_in_sigma": first,
    }


def _failure_facts(failures: Failures) -> dict[str, Any]:
    if not failures.devices:
        return {}
    model = failures.model
    facts: dict[str, Any] = {"devices": len(failures.devices), "in_the_model": model is not None}
    return facts if model is None else {**facts, "scale": model.scale, "shape": model.shape}


def _errors(parts: Standardised, histories: dict[int, History]) -> Array:
    """Return the standard errors of the device parameters, those of the means from the memory."""
    history = histories[max(histories)]
    lengths = np.array([len(cycles) for cycles in parts.cycles])
    of_means = parts.spread * mean_errors(history, lengths)
    varies = parts.errors[:, :4] > 0.0
    return np.concatenate([np.where(varies, of_means, 0.0), parts.errors[:, 4:]], axis=1)


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
