"""How a model was learned, in sentences, from the diagnostics of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synfab.learn.comparison.properties import NAMES
from synfab.learn.drift import drift_text

SCALES = {
    "linear": "a linear scale",
    "log": "a logarithmic scale",
    "reciprocal": "a reciprocal scale",
}


def learned_sentences(diagnostics: Mapping[str, Any]) -> list[str]:
    """Return sentences about the parts of a fit, in the order in which they are fitted.

    Parameters
    ----------
    diagnostics
        Of ``FitResult``; parts that are missing are skipped.
    """
    subjects = (_data, _scales, _marginals, _memory, _first_cycles, _failures, _population, _curves,
             _conditions, _rare)  # fmt: skip
    return [sentence for say in subjects for sentence in say(diagnostics) if sentence]


def _data(facts: Mapping[str, Any]) -> list[str]:
    if "devices" not in facts:
        return []
    used = f"The model is fitted to {_count(facts['cycles'], 'cycle')} of " + _count(
        facts["devices"], "device"
    )
    rejected = sum(facts.get("rejected_cycles", {}).values())
    out = len(facts.get("devices_left_out", ()))
    constant = [NAMES[name] for name in facts.get("constant_features", ())]
    return [
        f"{used}.",
        f"{_count(rejected, 'cycle')} could not be evaluated." if rejected else "",
        f"{_count(out, 'device')} with too few complete cycles {_was(out)} left out."
        if out
        else "",
        f"{_listed(constant)} {'do' if len(constant) > 1 else 'does'} not vary."
        if constant
        else "",
        f"The resistances are {facts['resistances']}." if "resistances" in facts else "",
    ]


def _scales(facts: Mapping[str, Any]) -> list[str]:
    by_scale: dict[str, list[str]] = {}
    for name, scale in facts.get("scales", {}).items():
        kind, _, shift = scale.partition(", ")
        text = SCALES.get(kind, kind) + (f" {shift} {_unit(name)}" if shift else "")
        by_scale.setdefault(text, []).append(NAMES[name])
    parts = [f"{_listed(names)} on {scale}" for scale, names in by_scale.items()]
    return [f"Means and spreads of the devices: {_listed(parts, '; ')}."] if parts else []


def _marginals(facts: Mapping[str, Any]) -> list[str]:
    form = {
        "polynomial": "an increasing polynomial of normal numbers",
        "pieces": "a piecewise, increasing function of normal numbers, because a polynomial "
        "does not fit",
    }.get(facts.get("marginals", ""))
    return [f"Within a device, each feature is {form}."] if form else []


def _memory(facts: Mapping[str, Any]) -> list[str]:
    if "order" not in facts:
        return []
    order, times = facts["order"], facts.get("long_memory", [])
    note = facts.get("order_note", "")
    if "white_order" not in facts:
        return [f"{note[:1].upper()}{note[1:]}." if note else ""]
    depends = f"A cycle depends on the {order} cycles before it" if order > 1 else (
        "A cycle depends on the cycle before it")  # fmt: skip
    if times:
        levels = "a slow level with a time constant" if len(times) == 1 else (
            "slow levels with time constants")  # fmt: skip
        depends += f", and on {levels} of {_listed([f'{t:.0f}' for t in times])} cycles"
    if facts["white_order"] == order:
        explained = "what remains is uncorrelated from cycle to cycle: residual autocorrelations "
        explained += f"are at most {facts['residual_autocorrelation']:.2g} "
        explained += f"(white noise: {facts['residual_autocorrelation_bound']:.2g})"
        return [f"{depends} (order {order}); {explained}."]
    return [f"{depends} (order {order}).", f"{note[:1].upper()}{note[1:]}."]


def _first_cycles(facts: Mapping[str, Any]) -> list[str]:
    wear, drift = facts.get("wear_in") or {}, facts.get("drift")
    sentences = []
    if wear:
        cycles = _listed([f"{t:.0f}" for t in wear["cycles"]])
        kept = "is part of" if wear["in_the_model"] else "was removed from"
        sentences.append(f"A wear-in over about {cycles} cycles {kept} the model.")
    if drift is not None and any(one["drifts"] for one in drift.values()):
        sentences.append(f"Drift was found: {drift_text(drift)}.")
    return sentences


def _failures(facts: Mapping[str, Any]) -> list[str]:
    failed = facts.get("failures") or {}
    if not failed:
        return []
    part = "" if failed["in_the_model"] else ", too few for a hazard in the model"
    return [f"{_count(failed['devices'], 'device')} failed within the record{part}."]


def _population(facts: Mapping[str, Any]) -> list[str]:
    if "components" not in facts:
        return []
    number, note = facts["components"], facts.get("population_note", "")
    text = f"Devices vary as a mixture of {number} normal distributions" if number > 1 else (
        "Devices vary as one normal distribution")  # fmt: skip
    return [f"{text} ({note})." if note else f"{text}."]


def _curves(facts: Mapping[str, Any]) -> list[str]:
    kind = facts.get("conduction")
    if kind is None:
        return []
    if kind == "given":
        return ["The I-V curves were given."]
    text = f"I-V curves: {kind}"
    if "conduction_loops" in facts:
        text += f", fitted to {_count(facts['conduction_loops'], 'loop')} with a residual of "
        text += f"{facts['conduction_residual_A']:.2g} A"
    return [f"{text}."]


def _conditions(facts: Mapping[str, Any]) -> list[str]:
    found = [f"{name} ({text})" for name, text in facts.get("conditions", {}).items()]
    explained = [
        f"{share:.0%} of {NAMES[name]}".replace("%", " %")
        for name, share in facts.get("variance_explained_by_conditions", {}).items()
    ]
    return [
        f"The means depend on {_listed(found)}." if found else "",
        f"That explains of the variance {_listed(explained)}." if explained else "",
        *(f"Not used: {note}." for note in facts.get("conditions_not_used", ())),
    ]


def _rare(facts: Mapping[str, Any]) -> list[str]:
    found = [
        f"{name} ({100.0 * state['share']:.2g} % of the cycles)"
        for name, state in (facts.get("rare_states") or {}).items()
    ]
    return [f"Rare states in the data: {_listed(found)}."] if found else []


def _unit(feature: str) -> str:
    return "V" if feature.startswith("u_") else "ohm"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _listed(parts: list[str], comma: str = ", ") -> str:
    if len(parts) < 2:
        return "".join(parts)
    return comma.join(parts[:-1]) + (" and " if comma == ", " else comma) + parts[-1]
