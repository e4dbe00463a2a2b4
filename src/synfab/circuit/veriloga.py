"""Verilog-A module of the cell for Spectre and other event-driven simulators."""

from __future__ import annotations

from typing import Literal

import numpy as np

from synfab.circuit import veriloga_text as text
from synfab.circuit.literals import (
    check_identifier,
    default_name,
    environment,
    literal,
    model_numbers,
    noise_densities,
    provenance,
    unit_of_y,
)
from synfab.common import checks
from synfab.common.types import PathLike
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model
from synfab.physics import drawing
from synfab.random import streams

UNITS = ("ohm", "V", "ohm", "V")
STATES = ("r", "threshold", "steepness", "in_hrs", "in_lrs")
FEATURES_OF_CYCLE = ("cycle", "r_hrs", "u_set", "r_lrs", "u_reset")
LIVES = ("fails_hrs", "fails_lrs")
MAX_FIRST_CYCLE = 10_000_000  # as in the compiled device: the history is drawn up to this cycle
Core = Literal["start", "step"]


def to_veriloga(
    model: CellModel | PathLike,
    *,
    order: int | None = None,
    name: str | None = None,
    noise: bool = True,
    probes: bool = False,
) -> str:
    """Return a Verilog-A module of the cell as text; it uses scalar variables only.

    An instance with the parameters ``seed`` and ``number`` is cell ``number`` of a ``CellArray`` of
    this seed. Further parameters are the initial state (``cycle0``, ``phase0``, ``r0``,
    ``threshold0``, ``steepness0``), a capacitance (``cpar``) and given device parameters;
    ``crossbar_netlist`` sets them so that each instance continues as a cell of an array.

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

    Examples
    --------
    >>> "module" in sf.circuit.to_veriloga("published")
    True
    """
    checks.flag("noise", noise)
    checks.flag("probes", probes)
    return _render(load_model(model), order, name, noise=noise, probes=probes)


def to_veriloga_core(
    model: CellModel, core: Core = "step", *, order: int | None = None, name: str | None = None
) -> str:
    """Return a stateless module with a part of the same text, for tests against the Python model.

    Outputs are currents into the ports ``out_…``, in the order of ``core_outputs``. The core
    ``"start"`` draws a cell as an instance does when a simulation starts. The core ``"step"``
    applies the voltage ``applied``; its inputs (state, device) are parameters ``in_…``.
    """
    return _render(model, order, name, core=core)


def core_inputs(model: CellModel, order: int) -> list[str]:
    """Return the parameter names of the core ``"step"``, without the prefix ``in_``."""
    names = [*STATES, *text.DEVICE, *_register(model, order), "cycle"]
    return names if model.failure is None else [*names, *LIVES]


def core_outputs(model: CellModel, order: int, core: Core = "step") -> list[str]:
    """Return the port names of a core, without the prefix ``out_``."""
    register = _register(model, order)
    if core == "step":
        return [*STATES, *register]
    lives = () if model.failure is None else LIVES
    return [*text.DEVICE, *register, *FEATURES_OF_CYCLE, *lives]


def _register(model: CellModel, order: int) -> list[str]:
    return [f"{vector}_{k}" for vector in text.vectors(order, model.averages) for k in range(4)]


def _render(
    model: CellModel,
    order: int | None,
    name: str | None,
    *,
    noise: bool = False,
    probes: bool = False,
    core: Core | None = None,
) -> str:
    numbers = model_numbers(model, order)
    history, population = model.history(order), model.population
    p = history.order
    typical = population.mean()
    if population.log_spread:
        typical = np.concatenate([typical[:4], np.exp(typical[4:])])
    module = default_name(model) if name is None else check_identifier("name", name)
    templates = environment()
    templates.filters["trim_end"] = str.rstrip
    return templates.get_template("cell.va.j2").render(
        {k: literal(v) for k, v in numbers.items() if isinstance(v, float)},
        order=p,
        averages=model.averages,
        fails=numbers["fails"],
        max_cycle0=literal(MAX_FIRST_CYCLE),
        failure_index=drawing.FAILURE_INDEX,
        population_draws=3 if model.failure is None else drawing.FAILURE_INDEX + 1,
        streams=streams.Stream,
        rounds=streams.ROUNDS,
        multipliers=streams.MULTIPLIERS,
        key_steps=streams.KEY_STEPS,
        max_cycle=text.number(numbers["max_cycle"]),
        components=numbers["components"],
        pieces=numbers["pieces"],
        per_unit=literal(numbers["pieces"] / (2.0 * numbers["pieces_end"])),
        marginals=numbers["marginals"],
        hhrs=numbers["hhrs"],
        llrs=numbers["llrs"],
        horner=text.horner,
        rise_of=text.rise,
        starts=[text.number(pieces[0][-1]) for pieces in numbers["marginals"]],
        end_slopes=text.end_slopes(numbers),
        history_sum=lambda k: text.history_sum(history, k),
        stationary_sum=lambda k: text.weighted_sum(history.stationary_factor[k, : k + 1], "e"),
        features=[
            {
                "name": feature,
                "unit": unit_of_y(scale, unit),
                "typical_mu": literal(typical[k]),
                "typical_sigma": literal(typical[4 + k]),
            }
            for k, (feature, unit, scale) in enumerate(
                zip(FEATURES, UNITS, model.scales, strict=True)
            )
        ],
        population=text.components(model),
        feature_lines=text.feature_lines(model),
        vectors=text.vectors(p, model.averages),
        average_lines=text.average_lines(history),
        worn=text.worn(model),
        inverse_shape=literal(1.0 / (1.0 if model.failure is None else model.failure.shape)),
        shift_lines=[text.four(f"h{i}_{{k}} = h{i - 1}_{{k}};") for i in range(p - 1, 0, -1)],
        input_lines=[
            text.four(f"{v}_{{k}} = in_{v}_{{k}};") for v in text.vectors(p, model.averages)
        ],
        trap_count=numbers["trap_count"],
        noise=noise,
        probes=probes,
        core=core,
        inputs=[f"in_{n}" for n in core_inputs(model, p)],
        outputs=[] if core is None else core_outputs(model, p, core),
        **noise_densities(),
        **text.trap_text(model, numbers),
        name=module,
        title=f"{module}: a virtual memory cell.",
        provenance=provenance(model),
    )
