"""How a model was learned, in sentences made from the diagnostics of the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from synfab.learn.comparison.properties import NAMES
from synfab.learn.drift import drift_text
from synfab.learn.rare_states import rare_text

Facts = Mapping[str, Any]


def learned_sentences(diagnostics: Mapping[str, object]) -> list[str]:
    """Return sentences on data, scales, memory, population and I-V curves, as far as known."""
    found, used = [], set()
    for names, say in SUBJECTS:
        used |= set(names)
        if names[0] in diagnostics:
            found += say(diagnostics)
    found += [
        f"{_capital(name.replace('_', ' '))}: {_plain(value)}"
        for name, value in diagnostics.items()
        if name not in used and value not in ("", None, [], {})
    ]
    return [f"{text.rstrip('.')}." for text in found]


def _data(facts: Facts) -> Iterator[str]:
    one = facts["devices"] == 1
    cycles = f" with {facts['cycles']:,} cycles" if "cycles" in facts else ""
    yield f"{facts['devices']:,} device{'' if one else 's'}{cycles} {'was' if one else 'were'} used"
    if facts.get("devices_left_out"):
        names = _plain(facts["devices_left_out"])
        yield f"Devices left out, because they have too few cycles: {names}"


def _rejected(facts: Facts) -> Iterator[str]:
    if facts["rejected_cycles"]:
        yield f"Cycles that could not be evaluated: {_plain(facts['rejected_cycles'])}"


def _scales(facts: Facts) -> Iterator[str]:
    scales = "; ".join(f"{NAMES.get(name, name)} {text}" for name, text in facts["scales"].items())
    yield f"The features vary on these scales: {scales}"


def _constant(facts: Facts) -> Iterator[str]:
    for name in facts["constant_features"]:
        yield f"{NAMES.get(name, name)} does not vary"


def _memory(facts: Facts) -> Iterator[str]:
    order, bic = facts["order"], facts.get("bic_of_orders") or {}
    before = "one" if order == 1 else order
    text = f"The history of a cell has order {order}: a cycle depends on the {before} before it"
    if order in bic and len(bic) > 1:
        text += (
            f". The information criterion (BIC) is lowest at order {min(bic, key=bic.__getitem__)}"
        )
        text += f" of {min(bic)} to {max(bic)}"
    yield text
    if "residual_autocorrelation" in facts:
        left, bound = facts["residual_autocorrelation"], facts["residual_autocorrelation_bound"]
        known = f"largest correlation {left:.2g}, bound {bound:.2g}"
        white = not facts.get("order_note") and left <= bound
        yield f"What the history does not explain is {'' if white else 'not '}white: {known}"
    if facts.get("order_note"):
        yield _capital(facts["order_note"])
    if facts.get("long_memory"):
        times = " and ".join(f"{time:g}" for time in facts["long_memory"])
        yield f"Memory beyond the order is modelled by averages over about {times} cycles"
    if facts.get("orders_made_stable"):
        yield f"Orders that were made stable: {_plain(facts['orders_made_stable'])}"


def _wear_in(facts: Facts) -> Iterator[str]:
    if facts["wear_in"]:
        kept = facts["wear_in"].get("in_the_model", True)
        yield (
            "The first cycles deviate, in the model too"
            if kept
            else ("The first cycles deviate; those of the model are as later ones")
        )


def _failures(facts: Facts) -> Iterator[str]:
    known = facts["failures"]
    if known:
        count = known["devices"]
        text = f"{count} device{' fails' if count == 1 else 's fail'} during the record"
        if "scale" in known:
            text += (
                f"; in the model, the cycle of failure has a Weibull distribution of scale "
                f"{known['scale']:.3g} and shape {known['shape']:.2g}"
            )
        yield text


def _population(facts: Facts) -> Iterator[str]:
    count = facts["components"]
    yield f"The population of devices has {count} component{'' if count == 1 else 's'}"
    if facts.get("population_note"):
        yield _capital(facts["population_note"])


def _drift(facts: Facts) -> Iterator[str]:
    text = drift_text(facts["drift"])
    yield "No drift was found" if text == "none found" else f"Drift: {text}"


def _rare(facts: Facts) -> Iterator[str]:
    for name, rare in facts["rare_states"].items():
        yield _capital(rare_text(name, rare))


def _conduction(facts: Facts) -> Iterator[str]:
    curves = facts["conduction"]
    if "conduction_loops" not in facts:
        yield f"I-V curves: {curves}"
        return
    residual = 1e6 * facts["conduction_residual_A"]
    yield (
        f"The I-V curves are {curves}, fitted to {facts['conduction_loops']:,} loops with a "
        f"residual of {residual:.2g} uA"
    )


# Diagnostics that belong together, and their sentences; the first has to be known.
SUBJECTS: tuple[tuple[tuple[str, ...], Callable[[Facts], Iterator[str]]], ...] = (
    (("devices", "cycles", "devices_left_out"), _data),
    (("rejected_cycles",), _rejected),
    (("constant_features",), _constant),
    (("scales", "marginals"), _scales),
    (("order", "order_note", "white_order", "bic_of_orders", "residual_autocorrelation",
      "residual_autocorrelation_bound", "residual_mean_square", "residual_mean_square_bound",
      "orders_made_stable", "long_memory"), _memory),
    (("wear_in",), _wear_in),
    (("failures",), _failures),
    (("components", "bic_of_components", "population_note"), _population),
    (("drift",), _drift),
    (("rare_states",), _rare),
    (("conduction", "conduction_residual_A", "conduction_loops"), _conduction),
)  # fmt: skip


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
