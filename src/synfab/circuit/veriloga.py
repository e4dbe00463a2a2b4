"""Verilog-A module of the cell for Spectre and other event-driven simulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from synfab.circuit.literals import (
    check_identifier,
    default_name,
    environment,
    literal,
    model_numbers,
    noise_densities,
    provenance,
)
from synfab.common import checks
from synfab.common.types import Array, PathLike
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model

UNITS = ("log10 ohm", "V", "ohm", "V")
STATES = ("r", "threshold", "steepness", "in_hrs", "in_lrs")
DEVICE = tuple(f"{letter}{k}" for letter in "ms" for k in range(4))
FEATURE_LINES = (
    "r_hrs = pow(10.0, m0 + s0 * gamma_0(h0_0));",
    "u_set = m1 + s1 * gamma_1(h0_1);",
    "r_lrs = m2 + s2 * gamma_2(h0_2);",
    "u_reset = m3 + s3 * gamma_3(h0_3);",
)
INNOVATIONS = tuple(f"z{k}" for k in range(4))
WIDTH = 96


def to_veriloga(
    model: CellModel | PathLike,
    *,
    order: int | None = None,
    name: str | None = None,
    noise: bool = True,
    probes: bool = False,
) -> str:
    """Return a Verilog-A module of the cell as text; it uses scalar variables only.

    Instance parameters are ``seed`` (different for each instance), device parameters and the
    initial state; ``crossbar_netlist`` sets them so that each instance is a cell of an array.

    Parameters
    ----------
    model
        ``CellModel``, ``"published"``, or the path of a model file.
    order
        Order of the history; None uses the model's maximum.
    name
        Name of the module; None derives it from the model's name.
    noise
        Include read noise in noise analyses (``white_noise``).
    probes
        Add two terminals whose voltages are the state r (``state``) and the current in uA
        (``amount``), for waveform viewers and simulators that cannot save instance currents.
    """
    checks.flag("noise", noise)
    checks.flag("probes", probes)
    return _render(load_model(model), order, name, noise=noise, probes=probes, core=False)


def to_veriloga_core(model: CellModel, *, order: int | None = None, name: str | None = None) -> str:
    """Return a stateless module with the same body, for tests against the Python model.

    Inputs (state, device, innovations) are parameters ``in_…``; the state after the voltage
    ``applied`` is output as currents into the ports ``out_…``, in the order of ``core_outputs``.
    """
    return _render(model, order, name, noise=False, probes=False, core=True)


def core_inputs(order: int) -> list[str]:
    """Return the parameter names of the core, without the prefix ``in_``."""
    return [*STATES, *DEVICE, *INNOVATIONS, *_register(order)]


def core_outputs(order: int) -> list[str]:
    """Return the port names of the core, without the prefix ``out_``."""
    return [*STATES, *_register(order)]


def _register(order: int) -> list[str]:
    return [f"h{i}_{k}" for i in range(order) for k in range(4)]


def _render(
    model: CellModel,
    order: int | None,
    name: str | None,
    *,
    noise: bool,
    probes: bool,
    core: bool,
) -> str:
    numbers = model_numbers(model, order)
    history, population = model.history(order), model.population
    p = history.order
    module = default_name(model) if name is None else check_identifier("name", name)
    templates = environment()
    templates.filters["trim_end"] = str.rstrip
    return templates.get_template("cell.va.j2").render(
        {k: literal(v) for k, v in numbers.items() if isinstance(v, float)},
        order=p,
        max_cycle=_number(numbers["max_cycle"]),
        components=numbers["components"],
        pieces=numbers["pieces"],
        per_unit=literal(numbers["pieces"] / (2.0 * numbers["pieces_end"])),
        marginals=numbers["marginals"],
        hhrs=numbers["hhrs"],
        llrs=numbers["llrs"],
        horner=_horner,
        rise_of=_rise,
        starts=[_number(pieces[0][-1]) for pieces in numbers["marginals"]],
        end_slopes=_end_slopes(numbers),
        history_sum=lambda k: _history_sum(history.innovation, history.lags, k),
        stationary_sum=lambda k: _sum(history.stationary_factor[k, : k + 1], "e"),
        features=[
            {
                "name": feature,
                "unit": unit,
                "typical_mu": literal(population.mean()[k]),
                "typical_sigma": literal(population.mean()[4 + k]),
            }
            for k, (feature, unit) in enumerate(zip(FEATURES, UNITS, strict=True))
        ],
        population=_components(model),
        feature_lines=FEATURE_LINES,
        shift_lines=[_four(f"h{i}_{{k}} = h{i - 1}_{{k}};") for i in range(p - 1, 0, -1)],
        input_lines=[_four(f"h{i}_{{k}} = in_h{i}_{{k}};") for i in range(p)],
        noise=noise,
        probes=probes,
        core=core,
        inputs=[f"in_{n}" for n in core_inputs(p)],
        outputs=core_outputs(p),
        **noise_densities(),
        name=module,
        title=f"{module}: a virtual memory cell.",
        provenance=provenance(model),
    )


def _four(statement: str) -> str:
    return " ".join(statement.format(k=k) for k in range(4))


def _number(value: float) -> str:
    return f"({literal(value)})" if value < 0.0 else literal(value)


def _horner(coefficients: Array, x: str) -> str:
    """Return a polynomial in Horner form; coefficients from the highest power down."""
    text = _number(coefficients[0]) if len(coefficients) else "0.0"
    for coefficient in coefficients[1:]:
        text = f"({text}) * {x} + {_number(coefficient)}"
    return text


def _rise(coefficients: Array, index: int) -> str:
    """Return the increment of a polynomial piece from its left end to t, clamped to the piece.

    A sum of increments, unlike a selection of the piece, is efficient with every compiler.
    """
    t = f"min(max(t - {index}.0, 0.0), 1.0)"
    return f"({_horner(coefficients[:-1], t)}) * {t}"


def _end_slopes(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the slopes of the marginals at both ends of their range, per unit of x."""
    if not numbers["pieces"]:
        return []
    per_unit = numbers["pieces"] / (2.0 * numbers["pieces_end"])
    return [
        (
            _number(float(np.polyval(np.polyder(pieces[0]), 0.0)) * per_unit),
            _number(float(np.polyval(np.polyder(pieces[-1]), 1.0)) * per_unit),
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


def _sum(factors: Array, variable: str) -> str:
    return _wrapped([f"{_number(f)} * {variable}{j}" for j, f in enumerate(factors) if f != 0.0])


def _history_sum(innovation: Array, lags: Array, k: int) -> str:
    terms = [f"{_number(innovation[k, j])} * z{j}" for j in range(k + 1)]
    terms += [f"{_number(lags[i, k, j])} * h{i}_{j}" for i in range(len(lags)) for j in range(4)]
    return _wrapped(terms)


def _components(model: CellModel) -> list[dict[str, Any]]:
    population = model.population
    variables = DEVICE
    return [
        {
            "below": literal(population.cumulative[k]),
            "lines": [
                f"{variable} = {literal(mean)} + {_sum(row[: i + 1], 'd')}"
                for i, (variable, mean, row) in enumerate(
                    zip(variables, population.means[k], population.factors[k], strict=True)
                )
            ],
        }
        for k in range(len(population.weights))
    ]
