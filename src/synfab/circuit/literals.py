"""Format the numbers of a model as text for circuit simulators, Verilog-A and C."""

from __future__ import annotations

import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from synfab import __version__
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import ArrayLike, FloatArray
from synfab.model.cell_model import PIECES_END, CellModel
from synfab.model.history import History
from synfab.model.scale import Scale
from synfab.model.traps import NOMINAL_TEMPERATURE, Traps
from synfab.physics import drawing, rules, traps
from synfab.physics.noise import JOHNSON, LINEAR, SHOT, ReadNoise

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def literal(value: float) -> str:
    """Return the shortest text that parses to the same double, with a point or an exponent."""
    return repr(float(value))


def lower_triangle(matrix: ArrayLike) -> FloatArray:
    """Return the entries of a lower triangular matrix row by row, each up to the diagonal."""
    full = np.asarray(matrix, np.float64)
    return np.asarray(full[np.tril_indices(len(full))])


def check_identifier(argument: str, name: str) -> str:
    """Return ``name`` if it is a valid identifier in simulators and in C, else raise."""
    if not IDENTIFIER.fullmatch(checks.text(argument, name)) or len(name) > 63:
        raise InvalidValueError(
            f"{argument}: expected letters, digits and _, not beginning with a digit, at most 63; "
            f"found {checks.shown(name)}"
        )
    return name


def default_name(model: CellModel) -> str:
    """Return the default device name in a simulator: ``synfab_`` and the model's name."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", model.name).strip("_").lower()
    return f"synfab_{plain}"[:63] if plain else "synfab_cell"


def provenance(model: CellModel, width: int = 92) -> list[str]:
    """Return lines that describe the origin of a model, safe inside any comment."""
    facts = [f"model {model.name}", f"fingerprint {model.fingerprint}"]
    facts.append(f"made by synfab {__version__}")
    facts += [f"{key}: {value}" for key, value in sorted(dict(model.provenance).items())]
    plain = [fact.encode("ascii", "replace").decode().replace("*/", "* /") for fact in facts]
    return [line for fact in plain for line in textwrap.wrap(fact, width)]


def model_numbers(model: CellModel, order: int | None) -> dict[str, Any]:
    """Return all model parameters that a generated device contains, as float64 arrays."""
    history, conduction, population = model.history(order), model.conduction, model.population
    marginals = np.asarray(model.marginals)
    return {
        "order": history.order,
        "lags": history.lags,
        "innovation": lower_triangle(history.innovation),
        "stationary": lower_triangle(history.stationary_factor),
        "components": len(population.weights),
        "cumulative": population.cumulative,
        "bounds": drawing.component_bounds(model),
        "means": population.means,
        "factors": np.array([lower_triangle(factor) for factor in population.factors]),
        "pieces": marginals.shape[1] if marginals.ndim == 3 else 0,
        "pieces_end": PIECES_END,
        "marginals": marginals if marginals.ndim == 3 else marginals[:, None, :],
        "hhrs": conduction.hhrs,
        "llrs": conduction.llrs,
        "eta": conduction.eta,
        "u_max": conduction.u_max,
        "u_0": conduction.u_0,
        "u_low": conduction.voltage_range[0],
        "u_high": conduction.voltage_range[1],
        "g_hhrs": conduction.g_hhrs,
        "g_llrs": conduction.g_llrs,
        "highest_state": rules.highest_state(model),
        "max_cycle": rules.MAX_CYCLE,
        **optional_numbers(model, history),
    }


def optional_numbers(model: CellModel, history: History) -> dict[str, Any]:
    """Return the parameters of the parts that the published model does not have."""
    found: dict[str, Any] = {
        "plain": model.is_plain,
        "log_spread": model.population.log_spread,
        "averages": len(history.rates),
        "rates": history.rates,
        "couplings": history.couplings,
        "wear_terms": 0,
        "fails": model.failure is not None,
        "trap_count": 0,
        "failure_index": drawing.FAILURE_INDEX,
        "never": drawing.NEVER,
    }
    if (wear := model.wear_in) is not None:
        found["wear_terms"] = len(wear.cycles)
        found["wear_cycles"] = wear.cycles
        found["wear_shift"], found["wear_spread"] = wear.shift, wear.log_spread
    if (failure := model.failure) is not None:
        for name in ("scale", "shape"):
            found[f"failure_{name}"] = getattr(failure, name)
        for name in ("share", "stuck_hrs"):  # compared with float32 numbers, so rounded as there
            found[f"failure_{name}"] = float(np.float32(getattr(failure, name)))
    if model.traps is not None:
        found |= trap_numbers(model, model.traps)
    return found


def trap_numbers(model: CellModel, parts: Traps) -> dict[str, Any]:
    """Return the parameters of traps; what decides about moves is rounded to float32 as there."""
    low, width = traps.log_times(parts)
    nodes, first, slopes = traps.amplitude_pieces(model)
    _, first_share, share_slopes = traps.raising_pieces(model)
    rounded = {
        "trap_low": low,
        "trap_width": width,
        "trap_spectrum": parts.spectrum,
        "trap_initial": parts.initial_occupancy,
        "trap_occupancy": parts.occupancy,
        "trap_nodes": nodes,
        "amplitude_first": first,
        "amplitude_slopes": np.append(slopes, 0.0),
        "raising_first": first_share,
        "raising_slopes": np.append(share_slopes, 0.0),
    }
    return {
        **{name: np.float64(np.float32(value)) for name, value in rounded.items()},
        "trap_nodes_count": len(nodes),
        "trap_count": parts.count,
        "trap_spread": parts.trap_spread,
        "cell_spread": parts.cell_spread,
        "trap_bias": parts.trap_spread**2 + parts.cell_spread**2,
        "log_attempt": math.log(parts.attempt_time),
        "nominal_temperature": NOMINAL_TEMPERATURE,
        "trap_limit": traps.LIMIT,
        "cell_index": traps.CELL_INDEX,
        "call_distance": traps.CALL,
        "initial_calls": traps.INITIAL_CALLS,
    }


def unit_of_y(scale: Scale, unit: str) -> str:
    """Return the unit of y on a scale, for the ``unit`` of the feature."""
    return {"linear": unit, "log": f"log10 {unit}", "reciprocal": f"1/{unit}"}[scale.kind]


def feature_of(scale: Scale, y: str, least: str = "min", most: str = "max") -> str:
    """Return an expression for the feature of y, as ``Scale.feature`` computes it.

    ``least`` and ``most`` are the functions of the language for the smaller and larger number.
    """
    value = y
    if scale.kind == "log":
        value = f"pow(10.0, {y})"
        if scale.shift:
            value = f"({literal(scale.shift)} + {value})"
    elif scale.kind == "reciprocal":
        value = f"(1.0 / {most}({y}, {literal(1.0 / scale.magnitudes[1])}))"
    if scale.sign < 0.0:
        value = f"-{value}"
    if scale.low > -np.inf:
        value = f"{most}({value}, {literal(scale.low)})"
    return f"{least}({value}, {literal(scale.high)})" if scale.high < np.inf else value


def noise_densities() -> dict[str, str]:
    """Return coefficients of the spectral density of read noise (A**2/Hz) as text.

    ``four_k`` times the temperature is the coefficient of abs(I/U), ``two_e`` that of abs(I).

    Warns
    -----
    UserWarning
        Registered noise terms are not supported by circuit models.
    """
    noise = ReadNoise.of_bandwidth(1.0, 1.0)
    if not noise.linear:
        names = ", ".join(checks.shown(t.name) for t in noise.terms if t not in LINEAR)
        warnings.warn(f"circuit models have Johnson and shot noise only, not {names}", stacklevel=2)
    of_term = dict(zip(noise.terms, noise.coefficients, strict=True))
    return {"four_k": literal(of_term[JOHNSON]), "two_e": literal(of_term[SHOT])}


def environment() -> Environment:
    """Return the template environment; an undefined name in a template raises an error."""
    return Environment(
        loader=PackageLoader("synfab.circuit"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def braces(values: ArrayLike, indent: int = 4) -> str:
    """Return an array as a C initialiser in lines of at most 100 characters."""
    array = np.asarray(values)
    if array.ndim > 1:
        inner = ",\n".join(" " * indent + braces(row, indent + 4) for row in array)
        return f"{{\n{inner}\n{' ' * (indent - 4)}}}"
    items = [f"{int(v)}u" if array.dtype.kind in "ui" else literal(v) for v in array]
    joined = "{ " + ", ".join(items) + " }"
    if len(joined) + indent <= 80:
        return joined
    lines = "\n".join(" " * indent + line for line in filled(items, 96 - indent))
    return f"{{\n{lines}\n{' ' * (indent - 4)}}}"


def filled(items: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines of comma-separated items, at most ``width`` characters each."""
    line = ""
    for item in items:
        if line and len(line) + len(item) + 2 > width:
            yield line.rstrip()
            line = ""
        line += item + ", "
    if line:
        yield line.rstrip(", ")
