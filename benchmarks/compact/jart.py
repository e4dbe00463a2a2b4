"""JART VCM v1b: Bengel et al., IEEE TCAS-I 67 (2020) 4618, doi 10.1109/TCSI.2020.3018502.

Unknowns besides the voltage v: the voltage s of the Schottky contact (V), the logarithm of the
concentration n of oxygen vacancies in the disc (1e26 m^-3; its logarithm stays valid where n falls
to a thousandth within a time step), and the temperature h above ambient (100 K). Parameters are
those of the paper. Between devices, radius and length (nm) of the disc and the limits of n vary as
truncated normals. Between cycles, the cell draws new values of the four at each change of
polarity; radius and length approach them as n moves (equations 21 to 24). Contact and temperature
follow with 1 ps, as the equations have several solutions, of which one may disappear. Chosen here:
the size of the step of a cycle, and that radius and length follow at accepted time points.
"""

from __future__ import annotations

import math

import sympy as sp

from benchmarks.compact.device import Device, Equations, bounded_exp, clip, soft_floor

Q, K_B, H, EPS_0 = 1.602e-19, 1.3807e-23, 6.626e-34, 8.854e-12
RICHARDSON, MASS, Z = 6.01e5, 9.10938e-31, 2
EPS, EPS_PHI = 17 * EPS_0, 5.5 * EPS_0  # static; of the lowering of the barrier
ROUNDING = 1e-4  # V

PARAMETERS = {
    "phi0": 0.18, "phin": 0.1, "mobility": 4e-6, "plug": 20.0, "hop": 0.25e-9, "attempts": 2e13,
    "energy": 1.35, "rth": 15.72e6, "reset_share": 0.27, "r_tiox": 650.0, "r_line": 719.2437,
    "rth_line": 90471.47, "alpha_line": 3.92e-3, "t0": 293.0, "cell_length": 3.0, "radius": 45.0,
    "length": 0.4, "most": 20.0, "least": 0.008, "n0": 0.008,
    "spread": 0.0, "step": 0.0,  # 1: as published; step of a cycle in standard deviations
}  # fmt: skip

# Standard deviations and bounds of the four varied parameters.
TABLES = """
static const double SIGMA[4] = { 5.0, 0.04, 1.0, 2e-3 };
static const double LOW[4] = { 40.5, 0.36, 18.0, 4e-3 }, HIGH[4] = { 49.5, 0.44, 22.0, 0.25 };
"""
SET_UP = (
    TABLES
    + """
for (int j = 0; j < 4; j++) {
    double drawn = p[P_radius + j];
    for (bool out = p[P_spread] > 0.0; out; out = drawn < LOW[j] || drawn > HIGH[j])
        drawn = p[P_radius + j] + p[P_spread] * SIGMA[j] * normal(device);
    k[K_r + j] = drawn;
}
for (int j = 0; j < 2; j++)
    k[K_old_r + j] = k[K_new_r + j] = k[K_r + j];
k[K_old_n] = p[P_n0];
k[K_sign] = 0.0;
"""
)

ACCEPTED = (
    TABLES
    + """
double sign = v < -2e-5 ? -1.0 : v > 2e-5 ? 1.0 : 0.0;
if (p[P_step] == 0.0)
    return;
if (sign != 0.0 && sign != k[K_sign]) {
    k[K_sign] = sign;
    k[K_old_n] = exp(x[X_logn]);
    for (int j = 0; j < 4; j++) {
        double to = k[K_r + j] + p[P_step] * SIGMA[j] * normal(device);
        to = within(to, LOW[j], HIGH[j]);
        if (j >= 2)
            k[K_r + j] = to;
        else
            k[K_old_r + j] = k[K_r + j], k[K_new_r + j] = to;
    }
}
double end = k[K_sign] < 0.0 ? k[K_most_now] : k[K_least_now];
double way = within((exp(x[X_logn]) - k[K_old_n]) / (end - k[K_old_n]), 0.0, 1.0);
for (int j = 0; j < 2; j++)
    k[K_r + j] = k[K_old_r + j] + (k[K_new_r + j] - k[K_old_r + j]) * way;
"""
)
KEPT = (
    "r",
    "len",
    "most_now",
    "least_now",
    "old_r",
    "old_len",
    "new_r",
    "new_len",
    "old_n",
    "sign",
)


def schottky(own: Equations, s: sp.Expr, n: sp.Expr, t: sp.Expr, area: sp.Expr, forward: bool):
    """Return the current of the contact: thermionic emission, or thermionic field emission."""
    phi0, phin = sp.symbols("phi0 phin", real=True)
    psi = own.let("psi", soft_floor(phi0 - phin - s, ROUNDING))
    factor = (Q**3 * Z * 1e26 / (8 * math.pi**2 * EPS_PHI**3)) ** 0.25
    barrier = own.let("barrier", phi0 - factor * sp.sqrt(sp.sqrt(n * psi)))
    phi = own.let("phi", soft_floor(barrier, ROUNDING))
    kt = own.let("kt", K_B * t / Q)  # V
    if forward:
        ratio = own.let("ratio", s / kt)
        rising = bounded_exp(ratio, 15) - 1
        return own.let("current", area * RICHARDSON * t**2 * sp.exp(-phi / kt) * rising)
    w00 = own.let("w00", H / (4 * math.pi) * math.sqrt(Z * 1e26 / (MASS * EPS)) * sp.sqrt(n))  # V
    x = own.let("x", w00 / kt)
    bend = own.let("bend", sp.tanh(x))
    down = own.let("down", -s + 1e-12)  # from 0 V: the root has a derivative
    ratio = own.let("ratio", down * (x - bend) / w00)
    root = own.let("root", sp.sqrt(math.pi * w00 * (down + phi * (1 - bend**2))))
    rising = bounded_exp(ratio, 30) - 1
    size = own.let("size", area * RICHARDSON * Q / K_B * t * root * sp.exp(-phi * bend / w00))
    return own.let("current", -size * rising)


def equations(condition: str, reset: bool, forward: bool) -> Equations:
    p = {name: sp.Symbol(name, real=True) for name in (*PARAMETERS, *KEPT)}
    v, s, logn, h = sp.symbols("v s logn h", real=True)
    own = Equations(condition, (v, s, logn, h))
    n = own.let("n", sp.exp(clip(logn, -9.0, 5.0)))
    t = own.let("t", clip(p["t0"] + 100 * h, 200.0, 3000.0))
    area = own.let("area", math.pi * (p["r"] * 1e-9) ** 2)
    current = schottky(own, s, n, t, area, forward)
    density = own.let("density", Z * Q * 1e26 * p["mobility"] * area)
    disc = own.let("disc", p["len"] * 1e-9 / (n * density))
    plug = own.let("plug_r", (p["cell_length"] - p["len"]) * 1e-9 / (p["plug"] * density))
    i = own.let("i", clip(current, -0.01, 0.01))
    hot = p["r_line"] * p["alpha_line"] * p["rth_line"] * i**2
    line = own.let("line", p["r_tiox"] + p["r_line"] * (1 + hot))
    inside = own.let("inside", v - current * line)  # V: across contact, disc and plug
    share = p["reset_share"] if reset else 1
    heat = own.let("heat", p["rth"] * (p["radius"] / p["r"]) ** 2 * share * current * inside / 100)
    field = inside / p["cell_length"] if reset else current * disc / p["len"]  # V/nm
    lift = own.let("lift", Z * p["hop"] * 1e9 * field / (math.pi * p["energy"]))
    lift = own.let("tilt", clip(lift, -0.95, 0.95))
    even = own.let("even", sp.sqrt(1 - lift**2) + lift * sp.asin(lift))
    beta = own.let("beta", p["energy"] * Q / (K_B * t))
    tilt = own.let("lean", lift * math.pi / 2 * beta)
    jumps = own.let("jumps", sp.exp(tilt - beta * even) - sp.exp(-tilt - beta * even))
    full = own.let("full", p["least_now"] / n if reset else n / p["most_now"])
    speed = p["hop"] * p["attempts"] / (p["len"] * 1e-9)
    rate = -(p["plug"] / n + 1) / 2 * speed * jumps * (1 - full**10)  # of ln n
    balance = (s + current * (disc + plug + line) - v) / 1e3
    return own.finish(current, balance, -rate, 1e-3 * (h - clip(heat, -0.5, 50.0)))


JART = Device(
    name="jart_vcm_1b",
    title="JART VCM v1b, from its published equations.",
    parameters=PARAMETERS,
    inner={"s": 0.1, "logn": 4.0, "h": 10.0},
    states={"logn": "log(n0)"},
    regions=(
        equations("v >= 0.0 && s >= 0.0", True, True),
        equations("v >= 0.0", True, False),
        equations("s >= 0.0", False, True),
        equations("", False, False),
    ),
    kept=KEPT,
    set_up=SET_UP,
    accepted=ACCEPTED,
    restart=True,
    inertia={"s": 1e-15, "h": 1e-15},  # 1 ps
)
