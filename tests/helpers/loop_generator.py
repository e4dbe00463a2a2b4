"""I-V loops of known features, and the many ways in which an instrument can record them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

FEATURES = ("r_hrs", "u_set", "r_lrs", "u_reset")


class Made(NamedTuple):
    """Loops (cycle, point) in V and A, and the true features (cycle, 4), in SI units."""

    voltage: np.ndarray
    current: np.ndarray
    true: np.ndarray


def sweep(step, low, high):
    """0, low, 0, high, 0 V in steps of ``step``."""
    down, up = (np.arange(round(abs(v) / step) + 1) * step * np.sign(v) for v in (low, high))
    return np.concatenate([down[:-1], down[::-1][:-1], up[:-1], up[::-1]])


def made_loops(
    *,
    cycles=20,
    step=0.025,
    low=-2.5,
    high=2.0,
    u_set=-1.8,
    u_reset=1.5,
    r_hrs=1e6,
    r_lrs=4200.0,
    spread=0.03,
    limit=np.inf,
    noise=0.0,
    relative_noise=0.002,
    offset=0.0,
    digit=0.0,
    rise=1,
    residue=0.0,
    shape=None,
    seed=0,
):
    """Loops of cells that SET in ``rise`` equal steps of current over a tenth of u_set.

    ``shape(u)`` is the current at ``u`` relative to that of the same resistance at 1 V (default
    ohmic); the limit acts on the half of the SET only, as compliance does. After the RESET begins,
    the conductance falls by a factor ``residue`` per step (0: at once).
    """
    generator = np.random.default_rng(seed)
    v = sweep(step, low, high)
    shape = shape or (lambda u: u)
    loops, true = [], []
    z = generator.standard_normal((cycles + 1, 4))
    hrs = r_hrs * np.exp(5 * spread * z[:, 0])
    for n in range(cycles):
        s, r = u_set * (1 + spread * z[n, 1]), u_reset * (1 + spread * z[n, 3])
        lrs = r_lrs * (1 + spread * z[n, 2])
        share, g_now, done = 0.0, 1.0 / hrs[n], 0
        current = []
        for u in v:
            if done < rise and u <= s * (1 + 0.1 * (done / rise - 0.5) * (rise > 1)):
                while done < rise and u <= s * (1 + 0.1 * (done / rise - 0.5) * (rise > 1)):
                    done += 1
                share = done / rise
                g_now = (1 - share) / hrs[n] + share / lrs
            if u >= r and done:
                g_now = 1.0 / hrs[n + 1] + residue * (g_now - 1.0 / hrs[n + 1])
            x = g_now * shape(u)
            current.append(max(x, -limit) if u < 0 else x)
        loops.append(current)
        true.append((hrs[n], s, lrs, r))
    i = np.array(loops)
    i *= 1 + relative_noise * generator.standard_normal(i.shape)
    i += noise * generator.standard_normal(i.shape) + offset
    if digit:
        i = digit * np.rint(i / digit)
    return Made(np.broadcast_to(v, i.shape), i, np.array(true))


def starts_of(voltage):
    """Point numbers of the four corners of a loop: 0 V, SET extreme, 0 V, RESET extreme."""
    low, high = int(np.argmin(voltage)), int(np.argmax(voltage))
    return 0, low, low + int(np.argmax(voltage[low:] >= 0.0)), high


def recorded(made, start, sign, kind, folder):
    """The loops as they look if the recording began at point ``start`` of the first loop.

    ``kind``: "cycle column", "record" or "files" (one per loop, written into ``folder``); ``sign``
    -1 mirrors voltage and current. Returns what ``read_sweeps`` accepts.
    """
    points = made.voltage.shape[1]
    v, i = (sign * x.ravel()[start:] for x in (made.voltage, made.current))
    count = len(v) // points
    v, i = v[: count * points], i[: count * points]
    frame = pd.DataFrame({"voltage": v, "current": i})
    if kind == "record":
        return frame
    cycle = np.repeat(np.arange(count), points)
    if kind == "cycle column":
        return frame.assign(cycle=cycle)
    folder.mkdir()
    for k, part in frame.groupby(cycle):
        part.to_csv(folder / f"D_{k:03d}.csv", index=False)
    return folder


def any_loops(seed):
    """A measurement of random technology, instrument and recording: made, options of recording."""
    generator = np.random.default_rng(seed)
    pick = generator.uniform
    scale = float(generator.choice([0.1, 0.4, 1.0, 1.5]))  # of all voltages
    u_set, u_reset = -scale * pick(0.5, 1.0), scale * pick(0.5, 1.0)
    r_lrs = 10.0 ** pick(3.0, 5.0)
    r_hrs = r_lrs * 10.0 ** pick(0.7, 2.5)
    full = abs(u_set) / r_lrs  # A, of the LRS at the SET
    options = {
        "cycles": int(generator.integers(6, 30)),
        "step": scale * float(generator.choice([0.005, 0.01, 0.02, 0.025])),
        "low": u_set * pick(1.25, 2.0),
        "high": u_reset * pick(1.25, 2.0),
        "u_set": u_set,
        "u_reset": u_reset,
        "r_hrs": r_hrs,
        "r_lrs": r_lrs,
        "limit": full * pick(0.2, 0.9) if generator.random() < 0.5 else np.inf,
        "noise": full * pick(0.0, 2e-3),
        "offset": full * pick(-5e-3, 5e-3),
        "digit": full * float(generator.choice([0.0, 1e-3, 5e-3])),
        "rise": int(generator.choice([1, 1, 3])),
        "residue": float(generator.choice([0.0, 0.3, 0.6])),
    }
    corner, sign = int(generator.integers(4)), int(generator.choice([-1, 1]))
    kind = str(generator.choice(["cycle column", "record", "files"]))
    return made_loops(**options, seed=seed), options, (corner, sign, kind)
