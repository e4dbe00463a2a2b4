"""Expressions and statements of the Verilog-A module, from the numbers of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from synfab.circuit.literals import feature_of, filled, literal
from synfab.common.types import Array
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.history import History
from synfab.model.traps import Traps
from synfab.physics.drawing import NEVER, component_bounds

DEVICE = tuple(f"{letter}{k}" for letter in "ms" for k in range(4))
# Cycles and voltage (V) of cells that failed, by the feature that holds them in their state.
FAILED = {"u_set": ("fails_hrs", -NEVER), "u_reset": ("fails_lrs", NEVER)}
WIDTH = 96
POINTS_PER_DECADE = 10  # of a noise table, in which simulators interpolate linearly


def vectors(order: int, averages: int) -> list[str]:
    """Return the names of the stored vectors: of the cycles, newest first, and the averages."""
    return [*(f"h{i}" for i in range(order)), *(f"a{j}" for j in range(averages))]


def four(statement: str) -> str:
    """Return a statement for each of the four features k, in one line."""
    return " ".join(statement.format(k=k) for k in range(4))


def number(value: float) -> str:
    """Return a number, in brackets if it is negative."""
    return f"({literal(value)})" if value < 0.0 else literal(value)


def horner(coefficients: Array, x: str) -> str:
    """Return a polynomial in Horner form; coefficients from the highest power down."""
    text = number(coefficients[0]) if len(coefficients) else "0.0"
    for coefficient in coefficients[1:]:
        text = f"({text}) * {x} + {number(coefficient)}"
    return text


def rise(coefficients: Array, index: int) -> str:
    """Return the increment of a polynomial piece from its left end to t, clamped to the piece.

    A sum of increments, unlike a selection of the piece, is efficient with every compiler.
    """
    t = f"min(max(t - {index}.0, 0.0), 1.0)"
    return f"({horner(coefficients[:-1], t)}) * {t}"


def end_slopes(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the slopes of the marginals at both ends of their range, per unit of x."""
    if not numbers["pieces"]:
        return []
    per_unit = numbers["pieces"] / (2.0 * numbers["pieces_end"])
    return [
        (
            number(float(np.polyval(np.polyder(pieces[0]), 0.0)) * per_unit),
            number(float(np.polyval(np.polyder(pieces[-1]), 1.0)) * per_unit),
        )
        for pieces in numbers["marginals"]
    ]


def _wrapped(terms: list[str]) -> str:
    """Return a sum of terms in lines of at most ``WIDTH`` characters."""
    lines, line = [], ""
    for term in terms:
        if line and len(line) + len(term) + 3 > WIDTH - 20:
            lines.append(line)
            line = ""
        line += f" + {term}" if line or lines else term
    return ("\n" + " " * 19).join([*lines, line]) if terms else "0.0"


def weighted_sum(factors: Array, variable: str) -> str:
    """Return the sum of the variables ``variable``0, ``variable``1, … times their factors."""
    return _wrapped([f"{number(f)} * {variable}{j}" for j, f in enumerate(factors) if f != 0.0])


def history_sum(history: History, k: int) -> str:
    """Return component k of the vector of the next cycle."""
    terms = [f"{number(history.innovation[k, j])} * z{j}" for j in range(k + 1)]
    matrices = [*history.lags, *history.couplings]
    for vector, matrix in zip(vectors(history.order, len(history.rates)), matrices, strict=True):
        terms += [f"{number(matrix[k, j])} * {vector}_{j}" for j in range(4)]
    return _wrapped(terms)


def average_lines(history: History) -> list[str]:
    """Return the statements that move the averages towards the vector of a new cycle."""
    return [
        f"a{j}_{k} = a{j}_{k} + {literal(rate)} * (x{k} - a{j}_{k});"
        for j, rate in enumerate(history.rates)
        for k in range(4)
    ]


def worn(model: CellModel) -> list[tuple[str, str]]:
    """Return the shift(n) and ln spread(n) of each feature; none for a model without wear-in."""
    if (wear := model.wear_in) is None:
        return []
    decay = [f"exp(-n / {literal(tau)})" for tau in wear.cycles]

    def law(factors: Array) -> str:
        terms = [f"{number(c)} * {d}" for c, d in zip(factors, decay, strict=True) if c != 0.0]
        return _wrapped(terms)

    return [(law(wear.shift[:, k]), law(wear.log_spread[:, k])) for k in range(4)]


def feature_lines(model: CellModel) -> list[str]:
    """Return the statements that compute the features of a cycle (``drawing.features_of``)."""
    lines = []
    for k, (name, scale) in enumerate(zip(FEATURES, model.scales, strict=True)):
        deviation = f"gamma_{k}(h0_{k})"
        if model.wear_in is not None:
            deviation = f"worn_{k}({deviation}, cycle)"
        value = feature_of(scale, f"m{k} + s{k} * {deviation}")
        if model.failure is not None and name in FAILED:
            cycles, voltage = FAILED[name]
            value = f"(cycle >= {cycles}) ? {literal(voltage)} : {value}"
        lines.append(f"{name} = {value};")
    return lines


def trap_text(model: CellModel, numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the amplitude of traps over r, and lines of (Hz, 1/Hz) of a ``noise_table``."""
    if (parts := model.traps) is None:
        return {}
    nodes, slopes = numbers["trap_nodes"], numbers["amplitude_slopes"]
    terms = [literal(numbers["amplitude_first"])]
    terms += [
        f"{number(slope)} * max(min(r, {number(high)}) - {number(low)}, 0.0)"
        for low, high, slope in zip(nodes[:-1], nodes[1:], slopes[:-1], strict=True)
    ]
    table = noise_table(parts)
    pairs = [f"{frequency:.6g}, {density:.6g}" for frequency, density in table]
    return {"amplitude_text": _wrapped(terms), "noise_lines": list(filled(pairs, WIDTH))}


def noise_table(parts: Traps) -> Array:
    """Return frequencies (Hz) and the spectral density (1/Hz) of traps relative to A(G)**2.

    The frequencies extend two decades beyond the corners of the fastest and the slowest trap.
    """
    corners = 1.0 / (2.0 * np.pi * parts.time_constants)
    low, high = np.log10(corners[-1]) - 2.0, np.log10(corners[0]) + 2.0
    frequency = np.logspace(low, high, 1 + int(np.ceil(POINTS_PER_DECADE * (high - low))))
    unit = replace_amplitude(parts, 1.0)
    return np.stack([frequency, unit.spectral_density(frequency, 0.0)], axis=1)


def replace_amplitude(parts: Traps, amplitude: float) -> Traps:
    """Return the same traps with one amplitude A (S) at all conductances."""
    return Traps(
        parts.time_constants,
        parts.spectrum,
        [0.0],
        [amplitude],
        trap_spread=parts.trap_spread,
        cell_spread=parts.cell_spread,
        initial_occupancy=parts.initial_occupancy,
        occupancy=parts.occupancy,
        attempt_time=parts.attempt_time,
    )


def components(model: CellModel) -> list[dict[str, Any]]:
    """Return the bound and the statements of each component of the device population.

    A cell whose random word is below the bound of a component, and of none before, belongs to it.
    """
    population = model.population
    of_sigma = "exp({})" if population.log_spread else "{}"
    found = []
    for bound, mean, factor in zip(
        component_bounds(model), population.means, population.factors, strict=True
    ):
        sums = [f"{literal(mean[i])} + {weighted_sum(factor[i, : i + 1], 'd')}" for i in range(8)]
        drawn = [*sums[:4], *(of_sigma.format(value) for value in sums[4:])]
        lines = [f"{name} = {value}" for name, value in zip(DEVICE, drawn, strict=True)]
        found.append({"below": literal(bound), "lines": lines})
    return found
