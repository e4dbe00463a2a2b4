"""Loops of the compiled devices in ngspice next to the published curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.compact import published
from synfab.circuit import run_ngspice
from synfab.common.types import FloatArray

Curve = tuple[FloatArray, FloatArray]  # V, A
RAMP = 1e6  # V/s, of the Stanford-PKU loops; the paper does not state it


def loop(library: Path, parameters: str, corners: list[float], rate: float, points: int) -> Curve:
    """Return voltage and current of one cell whose voltage moves along the corners (V)."""
    times = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(corners)))]) / rate
    wave = " ".join(f"{t:.9g} {u:.9g}" for t, u in zip(times, corners, strict=True))
    (found,) = run_ngspice(
        f"loop\nV1 a 0 PWL({wave})\nN1 a 0 cell\n.model cell {library.stem} {parameters}\n"
        f".options reltol=1e-5\n.save v(a) @n1[i]\n"
        f".tran {times[-1] / points:.6g} {times[-1]:.9g} 0 {times[-1] / points:.6g}\n",
        osdi=library,
    )
    return np.array(found["v(a)"]), np.array(found["@n1[i]"])


def stanford_loops(library: Path) -> dict[str, Curve]:
    """Return SET, RESET and the way back; they start from the gaps of the published currents."""
    v, i = loop(library, "gap0=1.21", [0.0, 1.4], RAMP, 1400)
    rising = slice(0, int(np.argmax(i > 1e-4)) + 1)  # up to the compliance
    down = loop(library, "gap0=0.19 gap_high=2", [0.0, -2.5, 0.0], RAMP, 2500)
    turn = int(np.argmin(down[0]))
    return {
        "SET": (v[rising], i[rising]),
        "RESET": (-down[0][: turn + 1], -down[1][: turn + 1]),
        "return": (-down[0][turn:][::-1], -down[1][turn:][::-1]),
    }


def stanford_ratios(loops: dict[str, Curve]) -> dict[str, FloatArray]:
    """Return current divided by the published one at the published points."""
    tables = {
        "SET": published.JIANG_SET[:-2],
        "RESET": published.JIANG_RESET,
        "return": published.JIANG_RETURN,
    }
    return {
        name: np.array([np.interp(abs(u), *loops[name]) / c for u, c in table])
        for name, table in tables.items()
    }


def jart_loop(library: Path) -> Curve:
    """Return the loop of the published conditions: 1 V/s to -1.3 V and +1.3 V."""
    least, most = published.NTINAS_LIMITS
    peak = published.NTINAS_PEAK
    start = f"n0={published.NTINAS_START} least={least} most={most}"
    return loop(library, start, [0.0, -peak, 0.0, peak, 0.0], 1.0, 2600)


def marks(curve: Curve) -> dict[str, float]:
    """Return what characterises a loop of SET (negative) and RESET: V, A, and currents at 0.2 V."""
    v, i = curve
    low = int(np.argmin(v))
    high = int(np.argmax(v))
    jump = int(np.argmax(np.abs(i) > 2e-4))
    up = slice(low + int(np.argmax(v[low:] > 0.0)), high)
    peak = up.start + int(np.argmax(i[up]))
    fall = peak + int(np.argmax(i[peak:] < 0.6 * i[peak]))
    return {
        "SET voltage": float(v[jump]),
        "RESET voltage": float(v[fall]),
        "peak current": float(i[peak]),
        "LRS current": float(np.interp(0.2, v[up], i[up])),
        "HRS current": float(np.interp(0.2, v[high:][::-1], i[high:][::-1])),
    }
