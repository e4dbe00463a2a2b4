"""Stanford-PKU model of a resistive memory: Guan, Yu and Wong, IEEE EDL 33 (2012) 1405.

Equations (1) to (6) of Jiang et al., IEEE TED 63 (2016) 1884, with the parameters of its Table I
for 1.7 nm HfOx: the gap g (nm) grows and shrinks by hopping of ions, and the current depends on it
exponentially. The published code limits the gap by clipping; here its rate falls to zero within
WIDTH of the limits. The paper gives no unit of the thermal resistance ("~500 K, considering the
heated temperature as ~400 K"): rth heats the cell to 400 K at the highest RESET current of Fig. 6.
Chosen here: the variation of gamma between devices.
"""

from __future__ import annotations

import sympy as sp

from benchmarks.compact.device import Device, Equations, bounded_exp, clip

K_B = 8.617333e-5  # eV/K
WIDTH = 0.005  # nm

PARAMETERS = {
    "i0": 0.2e-3, "g0": 0.15, "v0": 0.35, "velocity": 5e6, "energy": 1.24, "spacing": 0.25,
    "thickness": 6.7, "gamma_set": 16.8, "gamma_reset": 20.1, "beta_set": 1.1, "beta_reset": 12.6,
    "t0": 300.0, "rth": 7.5e5, "gap_low": 0.16, "gap_high": 1.21, "gap0": 1.21,
    "fluctuation": 0.0, "t_crit": 450.0, "t_smooth": 500.0,  # fluctuation of the rate, nm/s
    "spread": 0.0,  # of gamma, between devices, as a ratio
}  # fmt: skip

KEPT = ("factor", "kick")
SET_UP = """
k[K_factor] = 1.0 + p[P_spread] * within(normal(device), -3.0, 3.0);
k[K_kick] = 0.0;
"""
ACCEPTED = "k[K_kick] = p[P_fluctuation] == 0.0 ? 0.0 : p[P_fluctuation] * normal(device);"


def bounded_sinh(x: sp.Expr, limit: float) -> sp.Expr:
    return (bounded_exp(x, limit) - bounded_exp(-x, limit)) / 2


def equations(condition: str, polarity: str) -> Equations:
    p = {name: sp.Symbol(name, real=True) for name in (*PARAMETERS, *KEPT)}
    v, g = sp.symbols("v g", real=True)
    own = Equations(condition, (v, g))
    gap = own.let("gap", clip(g, -1.0, 10.0))
    ratio = own.let("ratio", v / p["v0"])
    current = own.let("current", p["i0"] * sp.exp(-gap / p["g0"]) * bounded_sinh(ratio, 30))
    power = own.let("power", v * current)
    t = own.let("t", p["t0"] + p["rth"] * clip(power, 0.0, 1e-2))
    gamma = (p[f"gamma_{polarity}"] - p[f"beta_{polarity}"] * gap) * p["factor"]
    lift = own.let("lift", gamma * p["spacing"] / p["thickness"] * v / (K_B * t))
    hops = own.let("hops", sp.exp(-p["energy"] / (K_B * t)) * bounded_sinh(lift, 100))
    noise = p["kick"] / (1 + sp.exp((p["t_crit"] - t) / p["t_smooth"]))
    beyond = gap - p["gap_low"] if polarity == "set" else p["gap_high"] - gap
    left = own.let("left", -beyond / WIDTH)
    rate = -1e9 * p["velocity"] * hops * (1 - bounded_exp(left, 10))
    return own.finish(current, -(rate + noise))


STANFORD = Device(
    name="stanford_pku",
    title="Stanford-PKU model of a resistive memory, from its published equations.",
    parameters=PARAMETERS,
    inner={"g": 1e30},
    states={"g": "gap0"},
    regions=(equations("v >= 0.0", "set"), equations("", "reset")),
    kept=KEPT,
    set_up=SET_UP,
    accepted=ACCEPTED,
)
