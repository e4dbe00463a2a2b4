"""Pulse programs of a crossbar over time: the voltage of every line and the sampling times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, ArrayLike, GateDirection, GridShape, Mask, SchemeName
from synfab.network.schemes import SCHEMES, scheme_bias
from synfab.pulses.program import parse_program

MAX_PULSES = 1_000_000
TIMES = ("rise", "width", "gap")
MIN_TIME, MAX_TIME = 1e-15, 1e6  # s


@dataclass(frozen=True)
class Pulse:
    """Trapezoidal voltage pulse on selected lines of a crossbar.

    Attributes
    ----------
    voltage
        Voltage of a selected cell, column minus row, V.
    rows, columns
        Numbers of the selected lines; None: all.
    scheme
        Voltages of the other lines: ``"V/2"``, ``"V/3"``, ``"ground"`` (0 V), or ``"floating"``
        (not driven).
    rise, width, gap
        Duration of each edge, of the flat top, and of the time at 0 V before the next pulse, s.
    read
        Marks a read pulse; its voltage should lie in the trained range.

    Examples
    --------
    >>> sf.circuit.Pulse(voltage=1.2, rows=[0], width=1e-6).voltage
    1.2
    """

    voltage: float
    rows: Sequence[int] | None = field(default=None, kw_only=True)
    columns: Sequence[int] | None = field(default=None, kw_only=True)
    scheme: SchemeName = field(default="V/2", kw_only=True)
    rise: float = field(default=10e-9, kw_only=True)
    width: float = field(default=50e-9, kw_only=True)
    gap: float = field(default=10e-9, kw_only=True)
    read: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        checks.choice("scheme", self.scheme, SCHEMES)
        for name in ("rows", "columns"):
            if getattr(self, name) is not None:
                line_numbers(name, getattr(self, name))
        checks.freeze(
            self,
            voltage=checks.number("voltage", self.voltage),
            read=checks.flag("read", self.read),
            **{name: _seconds(name, getattr(self, name)) for name in TIMES},
        )

    @property
    def duration(self) -> float:
        """Time from the start of the first edge to the start of the next pulse, s."""
        return 2.0 * self.rise + self.width + self.gap


def _seconds(name: str, value: object) -> float:
    seconds = checks.number(name, value)
    if not MIN_TIME <= seconds <= MAX_TIME:
        raise InvalidValueError(f"{name}: expected 1e-15 … 1e6 s, found {seconds!r}")
    return seconds


def read_pulse(
    voltage: float = 0.2, *, rise: float = 10e-9, width: float = 50e-9, gap: float = 10e-9
) -> Pulse:
    """Return a read pulse on all columns, with all rows at 0 V.

    Parameters
    ----------
    voltage
        Read voltage, V.
    rise, width, gap
        As of ``Pulse``, s.

    Examples
    --------
    >>> sf.circuit.read_pulse(voltage=0.2).voltage
    0.2
    """
    return Pulse(voltage, scheme="ground", rise=rise, width=width, gap=gap, read=True)


Program = str | Sequence[float | Pulse]


def as_pulses(program: Program | ArrayLike) -> list[Pulse]:
    """Return the pulses of a program; voltages and text such as ``"-2, 1.2"`` select all cells."""
    items: Sequence[float | Pulse]
    if isinstance(program, str):
        items = parse_program(program)
    elif isinstance(program, Sequence) and not isinstance(program, bytes):
        items = list(program)  # type: ignore[arg-type]  # each is checked below
    else:
        items = list(checks.numbers("program", program, (None,)))
    if not 0 < len(items) <= MAX_PULSES:
        raise InvalidValueError(f"program: expected 1 … {MAX_PULSES} pulses, found {len(items)}")
    pulses = []
    for item in items:
        if isinstance(item, Pulse):
            pulses.append(item)
        else:
            pulses.append(Pulse(checks.number("program", item), scheme="ground"))
    return pulses


@dataclass(frozen=True)
class Timeline:
    """Waveforms of a pulse program for an array of rows x columns.

    Attributes
    ----------
    times
        Times of the corners of all waveforms, s, (T,).
    columns, rows
        Voltages of the drivers at these times, V, (columns, T) and (rows, T).
    held_columns, held_rows
        Whether a driver is connected, (columns, T) and (rows, T).
    gates
        Which gate lines are on, (rows, T), or (columns, T) where gate lines run along columns.
    samples
        Sampling time near the end of each flat top, s, one per pulse.
    stop
        End of the program, s.
    """

    times: Array
    columns: Array
    rows: Array
    held_columns: Array
    held_rows: Array
    gates: Array
    samples: Array
    stop: float

    @property
    def floats(self) -> bool:
        """Whether any line is let go."""
        return not (self.held_columns.all() and self.held_rows.all())


def lay_out(pulses: Sequence[Pulse], shape: GridShape, gates: GateDirection = "rows") -> Timeline:
    """Return the waveforms of all drivers; ``gates``: direction of the gate lines."""
    rows, columns = shape
    along = 0 if gates == "rows" else 1
    corners: list[float] = [0.0]
    drives: list[tuple[Array, ...]] = [_rest(shape, along)]
    samples, now = [], 0.0
    for pulse in pulses:
        rest, top = _rest(shape, along), _top(pulse, shape, along)
        # Floating lines are disconnected before the first edge and connected after the last one.
        off = (np.zeros(columns), np.zeros(rows), *top[2:])
        start, flat = now + 0.1 * pulse.gap, now + 0.1 * pulse.gap + pulse.rise
        corners += [start, flat, flat + pulse.width, flat + pulse.width + pulse.rise]
        drives += [off, top, top, off]
        samples.append(flat + 0.95 * pulse.width)
        now += pulse.duration
        corners.append(now)
        drives.append(rest)
    a, b, c, d, e = (np.stack(values, axis=1) for values in zip(*drives, strict=True))
    return Timeline(np.array(corners), a, b, c, d, e, np.array(samples), now)


def _rest(shape: GridShape, along: int) -> tuple[Array, ...]:
    rows, columns = shape
    return (
        np.zeros(columns),
        np.zeros(rows),
        np.ones(columns, bool),
        np.ones(rows, bool),
        np.zeros(shape[along], bool),
    )


def _top(pulse: Pulse, shape: GridShape, along: int) -> tuple[Array, ...]:
    selected = (
        selection(pulse.rows, shape[0], "rows"),
        selection(pulse.columns, shape[1], "columns"),
    )
    bias = scheme_bias(shape, *selected, pulse.voltage, pulse.scheme)
    held_columns, held_rows = ~bias.floating_columns, ~bias.floating_rows
    return bias.columns, bias.rows, held_columns, held_rows, selected[along]


def selection(lines: Sequence[int] | None, count: int, name: str) -> Mask:
    """Return a mask of the selected lines; None selects all."""
    mask = np.zeros(count, bool)
    if lines is None:
        return ~mask
    numbers = line_numbers(name, lines)
    if numbers.max() >= count:
        raise InvalidValueError(
            f"{name}: expected line numbers 0 … {count - 1}, found {numbers.max()}"
        )
    mask[numbers] = True
    return mask


def line_numbers(name: str, lines: object) -> Array:
    """Return one or more line numbers as an array."""
    numbers = np.atleast_1d(checks.selection(name, lines, "line numbers"))
    if numbers.dtype.kind not in "iu":
        raise InvalidTypeError(f"{name}: expected line numbers, found {numbers.dtype}")
    if numbers.ndim != 1 or numbers.size == 0 or numbers.min() < 0:
        raise InvalidValueError(
            f"{name}: expected line numbers from 0 on, one or more, found "
            f"{numbers.min() if numbers.size else 'none'} in shape {numbers.shape}"
        )
    return numbers
