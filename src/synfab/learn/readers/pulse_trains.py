"""Trains of SET and RESET pulses with read-outs between them: resistances after each pulse."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.readers.columns import split_name

if TYPE_CHECKING:
    import pandas as pd

# Voltages relative to the largest one: at rest below, pulses above, read-outs between.
REST, PULSE = 0.02, 0.45
# Read-outs are at one voltage, to this fraction of it, and follow a pulse, in this share.
SPREAD, SHARE = 0.1, 0.9
MIN_PULSES = 3  # of each sign
LONG = 3  # samples of a level, where most levels are that long; shorter ones are edges
# Tags of ArC ONE for current-voltage curves, in which no pulse precedes a read-out.
CURVE_TAGS = "CT"


class ReadOuts(NamedTuple):
    """Resistances (ohm) after pulses: of each pair of runs of pulses, the last read-outs."""

    r_hrs: Array
    r_lrs: Array
    text: str


def read_outs(voltage: Array, current: Array) -> ReadOuts | None:
    """Return the read-outs between the pulses of a record; None if it is no train of pulses.

    Parameters
    ----------
    voltage, current
        Samples of a device in V and A, any number for each level.
    """
    size = float(np.abs(voltage).max(initial=0.0))
    if not 0.0 < size < np.inf or not np.isfinite(current).all():
        return None
    starts = np.flatnonzero(np.abs(np.diff(voltage, prepend=np.inf)) > REST * size)
    ends = np.append(starts[1:], len(voltage))
    lengths = ends - starts
    if lengths[lengths >= LONG].sum() > 0.5 * len(voltage):
        starts, ends = starts[lengths >= LONG], ends[lengths >= LONG]
    level = voltage[starts]
    kind = np.where(np.abs(level) <= REST * size, 0, 1) + (np.abs(level) > PULSE * size)
    reads, pulses = np.abs(level[kind == 1]), level[kind == 2]
    if not _enough(pulses) or len(reads) < MIN_PULSES:
        return None
    usual = float(np.median(reads))
    used = kind[kind > 0]
    followed = np.mean(used[1:][used[:-1] == 2] == 1)
    if followed < SHARE or np.mean(np.abs(reads - usual) <= SPREAD * usual) < SHARE:
        return None  # a sweep passes through many voltages
    rest = [current[a:b] for a, b in zip(starts[kind == 0], ends[kind == 0], strict=True)]
    offset = float(np.median(np.concatenate(rest))) if rest else 0.0
    signs, values, sign = [], [], 0
    for a, b, what in zip(starts, ends, kind, strict=True):
        if what == 2:
            sign = int(np.sign(voltage[a]))
        elif what == 1 and sign:
            settled = slice((a + b) // 2, b)
            signs.append(sign)
            values.append(voltage[settled].mean() / (current[settled].mean() - offset))
    return _paired(np.array(signs), np.array(values), pulses, f"at {usual:.3g} V")


def after_pulses(frame: pd.DataFrame, voltage: Array, resistance: Array) -> ReadOuts | None:
    """Return the read-outs of a table with a pulse and the resistance after it in each row.

    None if the rows are points of I-V curves. The table of one device states it in a column Tag
    (ArC ONE), or has amplitudes far from 0 V only.
    """
    tags = [name for name in frame.columns if split_name(name)[0] == "tag"]
    if tags and frame[tags[0]].astype(str).str.startswith(CURVE_TAGS).any():
        return None
    largest = [np.abs(voltage[side]).max(initial=0.0) for side in (voltage < 0.0, voltage > 0.0)]
    far = np.abs(voltage) > PULSE * np.where(voltage < 0.0, *largest)
    if not _enough(voltage) or not (tags or far.all()):
        return None
    return _paired(np.sign(voltage), resistance, voltage, "after each")


def _enough(pulses: Array) -> bool:
    return all((sign * pulses > 0.0).sum() >= MIN_PULSES for sign in (-1, 1))


def _paired(signs: Array, values: Array, pulses: Array, text: str) -> ReadOuts | None:
    """Return the last values of each run of equal signs, as pairs of neighbouring runs."""
    good = np.isfinite(values) & (values > 0.0) & (signs != 0)
    signs, values = signs[good], values[good]
    last = np.append(np.diff(signs) != 0, True)[: len(signs)]
    signs, values = signs[last], values[last]
    pairs = len(values) // 2
    if not pairs:
        return None
    first, second = values[: 2 * pairs : 2], values[1 : 2 * pairs : 2]
    negative, positive = (first, second) if signs[0] < 0 else (second, first)
    amplitudes = [float(np.median(pulses[sign * pulses > 0.0])) for sign in (-1, 1)]
    set_ = int(np.median(negative) > np.median(positive))
    text = (
        f"pulses of about {amplitudes[set_]:.3g} V (SET) and {amplitudes[1 - set_]:.3g} V (RESET), "
        f"read out {text}"
    )
    r_hrs, r_lrs = (negative, positive) if set_ else (positive, negative)
    return ReadOuts(r_hrs, r_lrs, text)
