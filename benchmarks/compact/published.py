"""Published curves of the two models, against which the compiled devices are checked.

Stanford-PKU: the model curve (red line) of Fig. 6(a) of Jiang et al., IEEE TED 63 (2016) 1884, read
from the vector graphics: TiN/TiOx/HfOx/Pt with 1.7 nm HfOx, compliance 100 uA.

JART VCM v1b: Ntinas et al., SMACD 2023, doi 10.1109/SMACD58065.2023.10192107, fitted the current of
the original model, simulated in Cadence Spectre, as a function of voltage and concentration. With
the rate equation of the model this gives the loop of a triangular sweep at 1 V/s.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.integrate import solve_ivp

from synfab.common.types import FloatArray

# (V, A)
JIANG_SET = (
    (0.100, 1.831e-08), (0.299, 6.086e-08), (0.501, 1.241e-07), (0.601, 1.696e-07),
    (0.800, 3.069e-07), (0.900, 4.095e-07), (1.002, 5.463e-07), (1.102, 7.708e-07),
    (1.202, 1.759e-06), (1.251, 1.738e-05), (1.262, 1.004e-04),
)  # fmt: skip
JIANG_RESET = (
    (-0.100, 1.630e-05), (-0.299, 5.463e-05), (-0.501, 1.105e-04), (-0.601, 1.510e-04),
    (-0.700, 1.831e-04), (-0.800, 1.452e-04), (-0.900, 1.045e-04), (-0.996, 7.772e-05),
    (-1.198, 4.768e-05), (-1.497, 3.168e-05), (-1.799, 2.856e-05), (-1.998, 2.996e-05),
    (-2.297, 3.602e-05), (-2.500, 4.263e-05),
)  # fmt: skip
JIANG_RETURN = (
    (-2.397, 2.996e-05), (-1.998, 9.530e-06), (-1.597, 3.033e-06), (-1.198, 9.570e-07),
    (-0.900, 4.095e-07), (-0.601, 1.683e-07), (-0.299, 6.039e-08),
)  # fmt: skip

NTINAS_LIMITS = (4e-3, 22.0)  # 1e26 m^-3, of the concentration
NTINAS_START = 0.01
NTINAS_PEAK = 1.3  # V


def _step(low: float, high: float, centre: float, width: float, v: float) -> float:
    return low + (high - low) / (1 + math.exp((v - centre) / width))


def ntinas_current(v: float, n: float) -> float:
    """Return the fitted current (A) of JART VCM v1b at a voltage (V) and a concentration."""
    depth = math.log(n / 0.004)
    if v >= 0.0:
        p5 = 1.3769e-3 * (1 - math.exp(-8.1819e-2 * v))
        p6 = 1.9687e-1 - 2.1833e-2 * v
        p7 = -97.606 + 7.8250 * v + 99.296 * math.exp(-7.1092e-2 * v)
        p8 = 1.1713e-1 + 8.1370e-2 * v
        p10 = 9.7733e-1 + 3.5214e-2 * v + 1.2856e-2 * v * v
        p11 = 9.4207e-1 + 3.8953e-2 * v + 2.3436e-2 * v * v
        return p5 / (p6 + p7 * (p8 * math.exp(depth)) ** -p10) ** (1 / p11)
    p1 = 1.1830 * (-2.7034e-3 * v - 4.5379e-6 * v * v) / (1 + 9.9115e-1 * v + 4.4093e-1 * v * v)
    beyond = depth - (6.8845 - 5.8995e-1 * v)
    p4 = 2589.0 + 2.9537 * math.exp(5.4031e-1 * v)
    p5 = 6.4705e-4 * v + 5.1529e-5 * v * v
    p9 = _step(3.9052, 9.6130, -4.5637e-1, 1.4310, v)
    p10 = _step(4.6925e-1, 3.4731, -1.1871, 5.6947e-1, v)
    power = _step(10.667, 1.2812e-1, 7.4414e-1, 4.2381e-1, v)
    saturating = p5 / (1 + 1.1708e-1 * math.exp(depth - p9) ** -p10) ** power
    return p1 * (-2595.5 * (math.exp(beyond / p4) - 1) + beyond) + saturating


def sweep(t: float) -> float:
    """Return the voltage (V) of the triangles of 1 V/s, first negative."""
    peak = NTINAS_PEAK
    return abs(t % (2 * peak) - peak) - peak if t < 2 * peak else peak - abs(t % (2 * peak) - peak)


def _rate(t: float, state: FloatArray) -> list[float]:
    """Return d ln(n)/dt (1/s): hopping of ions, with the fitted current."""
    v, n = sweep(t), math.exp(min(max(state[0], -9.0), 4.0))  # bounds of trial steps
    least, most = NTINAS_LIMITS
    i = ntinas_current(v, n)
    inside = v - i * (650.0 + 719.2437 * (1 + 719.2437 * 3.92e-3 * i * i * 90471.47))
    kelvin = 293.0 + i * inside * 15.72e6 * (0.27 if v > 0.0 else 1.0)
    area = math.pi * 45e-9**2
    disc = 0.4e-9 / (n * 1e26 * 2 * 1.602e-19 * 4e-6 * area)
    strength = inside / 3e-9 if v > 0.0 else i * disc / 0.4e-9
    lift = 2 * 0.25e-9 * strength / (math.pi * 1.35)
    even = math.sqrt(1 - lift**2) + lift * math.asin(lift)
    beta = 1.35 * 1.602e-19 / (1.3807e-23 * kelvin)
    jumps = 2 * math.exp(-beta * even) * math.sinh(beta * lift * math.pi / 2)
    limit = 1 - ((least / n) ** 10 if v > 0.0 else (n / most) ** 10)
    return [-(20.0 / n + 1) / 2 * 0.25e-9 * 2e13 / 0.4e-9 * jumps * limit]


def ntinas_loop() -> tuple[FloatArray, FloatArray]:
    """Return voltages (V) and currents (A) of the published loop, SET then RESET."""
    corners = np.cumsum([0.0, NTINAS_PEAK, NTINAS_PEAK, NTINAS_PEAK, NTINAS_PEAK])
    state = math.log(NTINAS_START)
    v, i = list[float](), list[float]()
    for begin, end in itertools.pairwise(corners):
        done = solve_ivp(
            _rate, (begin, end), [state], "Radau", rtol=1e-7, atol=1e-9,
            max_step=NTINAS_PEAK / 250,
        )  # fmt: skip
        state = done.y[0, -1]
        v += [sweep(t) for t in done.t]
        i += [
            ntinas_current(u, math.exp(x))
            for u, x in zip(v[-done.t.size :], done.y[0], strict=True)
        ]
    return np.array(v), np.array(i)
