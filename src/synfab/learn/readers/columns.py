"""Columns of measurements: found by common names of the quantities, converted to SI units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from synfab.common.errors import InvalidValueError
from synfab.learn.readers.units import BASE_UNITS, is_unit, scale_of, spelt

# Quantity to its column in a file and the factor from that column's unit to SI.
Found: TypeAlias = dict[str, tuple[str, float]]
# Order in which columns are preferred for one quantity.
Rank: TypeAlias = tuple[int, int]

# Names of columns in lower case, without units and punctuation. Instruments also write variants of
# them, which ``quantity_of`` takes apart.
ALIASES: dict[str, frozenset[str]] = {
    name: frozenset(words.split(", "))
    for name, words in {
        "device": "device, dev, device id, device name, cell, cell id, address, addr, dut",
        "cycle": "cycle, cycle number, cycle index, cycles, loop, loop index, sweep, repeat, n",
        "time": "time, t, timestamp, elapsed time, zeit",
        "voltage": "voltage, v, u, volt, volts, voltage probe, probe voltage, applied voltage, "
        "potential, bias, v1, av, vapp, v app, vmeas, anodev, drainv, amplitude, pulse voltage, "
        "pulse amplitude, v pulse, spannung, tension, voltaje, tensione, \u7535\u538b, "
        "\u96fb\u5727",
        "current": "current, i, curr, current probe, probe current, measured current, i1, id, "
        "ai, iapp, imeas, i meas, anodei, draini, strom, courant, corriente, corrente, "
        "\u7535\u6d41, \u96fb\u6d41",
        "r_hrs": "r hrs, rhrs, hrs, roff, r off, high resistance, r high, r after reset",
        "u_set": "u set, uset, v set, vset, set voltage, us",
        "r_lrs": "r lrs, rlrs, lrs, ron, r on, low resistance, r low, r after set",
        "u_reset": "u reset, ureset, v reset, vreset, reset voltage, ur",
        "resistance": "resistance, r, res, rdev, r dev, widerstand",
        "conductance": "conductance, g, leitwert",
    }.items()
}
SWEEP_COLUMNS = ("voltage", "current")
# Quantities that replace a current that was not recorded.
INSTEAD = ("resistance", "conductance")

UNIT = re.compile(r"[\[(]\s*([^\])]*?)\s*[\])]\s*$")
# I/uA, I_uA, Voltage in mV: a unit without brackets is recognised only after a known name.
BARE_UNIT = re.compile(
    r"(?:\s*/\s*|[\s_]+(?:in\s+)?)([GMkKmu\u00b5\u03bcnp]?(?:V|A|s|S|[oO]hm|\u03a9|\u2126))$"
)
# Columns of a sweep or terminal are counted in brackets: AnodeV(2), Smu1.V[1][1].
INDEX = re.compile(r"\s*((?:[\[(]\s*\d+\s*[\])])+)$")
# Words that instruments add to the name of a quantity: smu1 v, ch1 voltage, measured current, CH1
# Source (what is applied).
INSTRUMENT = re.compile(r"\b(channel|chan|ch|port|smu|hrsmu|mpsmu|hpsmu|dmm|pmu|wgfmu)\s*(\d*)\b")
MEASURED, APPLIED, TERMINALS = (
    frozenset(words.split())
    for words in (
        "measured meas measure m actual sense sensed monitor mon readback",
        "applied app apply source sourced src force forced f programmed prog in drive",
        "anode drain top te ds dut cell dev device mem tb",
    )
)
# Words in brackets that are no units: Voltage (set), Current (measured).
NO_UNITS = (MEASURED | APPLIED) - {"f", "m"} | {"set", "setpoint", "raw", "abs"}
APPLIED_PARTS = re.compile("app|pulse|amplitude|bias")
# V, I or U and a terminal or source in one word: VF, I_D, AnodeV(1), TopI.
COMPACT = re.compile(
    r"(?:(?P<first>[viu]) ?(?P<after>f|force|m|meas|d|ds|te|tb|top|in|src|source|app|dut|cell|mem)"
    r"|(?P<before>anode|drain|top|te|dut|cell) ?(?P<last>[viu]))"
)


def split_name(column: str) -> tuple[str, str]:
    """Return the name of a column in lower case and its unit; "" if it states none."""
    text = str(column).strip()
    if counted := INDEX.search(text):
        name, unit = split_name(text[: counted.start()])
        return name + _index(counted), unit
    found = UNIT.search(text)
    if found is None and (bare := BARE_UNIT.search(text)):
        name, base = _plain(text[: bare.start()]), spelt(bare.group(1))
        # V_s is a source voltage, not a voltage in seconds: the unit must fit the quantity.
        if any(name in words and BASE_UNITS[quantity] and base.endswith(BASE_UNITS[quantity])
               for quantity, words in ALIASES.items()):  # fmt: skip
            return name, bare.group(1)
    if found is None:
        return _plain(text), ""
    if found.group(1).lower() in NO_UNITS:
        return _plain(f"{text[: found.start()]} {found.group(1)}"), ""
    text = text[: found.start()]
    counted = INDEX.search(text)
    return _plain(text[: counted.start()] if counted else text) + _index(counted), found.group(1)


def _index(counted: re.Match[str] | None) -> str:
    """Return numbers in brackets as the end of a name, empty for the first of a series."""
    numbers = re.findall(r"\d+", counted.group(1)) if counted else []
    return "" if set(numbers) <= {"1"} else f" {' '.join(numbers)}"


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-.]+", " ", text).strip().lower()


def find_columns(columns: Iterable[str], given: Mapping[str, str] | None = None) -> Found:
    """Return the column of each quantity that the file has, and its factor to SI.

    Parameters
    ----------
    columns
        Names of the columns in the file.
    given
        Quantity to column, for columns with other names; a unit in brackets may follow the name.

    Raises
    ------
    InvalidValueError
        Two columns fit one quantity, or a column in ``given`` is missing.
    """
    columns = [str(column) for column in columns]
    found: Found = {}
    for name, wanted in (given or {}).items():
        if name not in ALIASES:
            raise InvalidValueError(
                f"columns: expected names among {', '.join(ALIASES)}, found {name!r}"
            )
        exact = wanted if wanted in columns else UNIT.sub("", wanted).strip()
        if exact not in columns:  # a column with its unit, asked for without
            exact = next((c for c in columns if UNIT.sub("", c).strip() == exact), exact)
        if exact not in columns and exact.isdecimal() and int(exact[:6]) < len(columns):
            exact = columns[int(exact[:6])]  # a position, for tables without names
        if exact not in columns:
            raise InvalidValueError(
                f"columns: no column {wanted!r}; the file has {_listing(columns)}"
            )
        unit = split_name(wanted)[1] or split_name(exact)[1]
        found[name] = (exact, scale_of(name, unit, exact))
    given = given or {}
    for name, candidates in _candidates(columns, {column for column, _ in found.values()}).items():
        if name in given:
            continue
        if name in INSTEAD and ("current" in found or "voltage" not in found):
            continue
        (rank, column), *others = sorted(candidates, key=lambda item: item[0])
        if others and others[0][0] == rank and name != "time":
            raise InvalidValueError(
                f"{name}: both {column!r} and {others[0][1]!r} fit; choose one with "
                f'columns={{{name!r}: …}} (--columns "{name}=…")'
            )
        # The time is not evaluated, so its unit can be any.
        unit = "" if name == "time" else split_name(column)[1]
        found[name] = (column, scale_of(name, unit, column))
    return found if "r_hrs" in found or "r_lrs" in found else _by_unit(columns, found)


def _candidates(columns: list[str], taken: set[str]) -> dict[str, list[tuple[Rank, str]]]:
    """Return the columns that fit each quantity, with their ranks; INSTEAD comes last."""
    found: dict[str, list[tuple[Rank, str]]] = {name: [] for name in ALIASES}
    for column in columns:
        role = quantity_of(column)
        if role is not None and column not in taken:
            found[role[0]].append((role[1], column))
    return {name: some for name, some in found.items() if some}


def quantity_of(column: str) -> tuple[str, Rank] | None:
    """Return the quantity that a column holds by its name, None if unknown.

    The rank is (kind, channel), lowest first: measured values before others, applied ones last;
    the first channel of an instrument before the next.
    """
    plain = split_name(column)[0]
    known = next((name for name, words in ALIASES.items() if plain in words), None)
    if known is not None:
        applied = APPLIED_PARTS.search(plain) is not None
        kind = 0 if "meas" in plain else 2 if applied else 1
        return known, (kind, 0)
    if compact := COMPACT.fullmatch(plain):
        letter = compact["first"] or compact["last"]
        side = compact["after"] or ""
        kind = 2 if side in APPLIED else 0 if side in MEASURED else 1
        return ("current" if letter == "i" else "voltage"), (kind, 0)
    words, channel = INSTRUMENT.sub(" ", plain).split(), INSTRUMENT.search(plain)
    number = int(channel[2][:6]) if channel and channel[2] else 0
    core = [word for word in words if word not in MEASURED | APPLIED | TERMINALS]
    kind = 0 if MEASURED & set(words) else 2 if APPLIED & set(words) else 1
    if channel and not core and kind == 2:
        return "voltage", (kind, number)
    if len(core) == 1 and (channel or len(words) > 1):
        for name in (*SWEEP_COLUMNS, *INSTEAD, "time"):
            if core[0] in ALIASES[name]:
                return name, (kind, number)
    return None


def passed_over(columns: Iterable[str], found: Found) -> str:
    """Return which columns were chosen over others for one quantity, empty if there are none."""
    texts = []
    for name, candidates in _candidates(list(columns), set()).items():
        others = [repr(column) for _, column in candidates if column != found.get(name, ("",))[0]]
        if name in found and others and name != "time":
            texts.append(f"{name} is {found[name][0]!r}, not {', '.join(others[:4])}")
    return "; ".join(texts)


def _by_unit(columns: list[str], found: Found) -> Found:
    """Add a voltage and a current whose names are unknown, if only one column has their unit."""
    free = [column for column in columns if column not in {name for name, _ in found.values()}]
    for name in SWEEP_COLUMNS:
        units = {c: spelt(split_name(c)[1]) for c in free}
        fits = [c for c, unit in units.items() if is_unit(unit) and unit.endswith(BASE_UNITS[name])]
        if name not in found and len(fits) == 1:
            found[name] = (fits[0], scale_of(name, units[fits[0]], fits[0]))
    return found


def _listing(columns: list[str]) -> str:
    shown = ", ".join(repr(column) for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")


def need(found: Mapping[str, object], wanted: Iterable[str], columns: Iterable[str]) -> None:
    """Raise ``InvalidValueError`` if one of the wanted quantities has no column."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InvalidValueError(
            f"columns: none for {', '.join(missing)}; the file has {_listing(list(columns))}. "
            "Rename one, or name it with columns={'voltage': 'my column [mV]', …} "
            '(--columns "voltage=my column [mV],…")'
        )


def with_current(data: dict[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
    """Return voltage and current of points whose resistance or conductance was recorded, and cycle.

    The current at 0 V is 0, whatever was recorded as resistance there.
    """
    data = {name: values for name, values in data.items() if name not in ("device", "time")}
    if "current" not in data:
        v = data["voltage"]
        with np.errstate(divide="ignore", invalid="ignore"):
            i = v / data["resistance"] if "resistance" in data else v * data["conductance"]
        data["current"] = np.where(v == 0.0, 0.0, i)
    return {name: values for name, values in data.items() if name not in INSTEAD}


def need_sweeps(found: Found, columns: Iterable[str]) -> None:
    """Raise ``InvalidValueError`` if there is no voltage, or neither current nor resistance."""
    if not any(name in found for name in INSTEAD):
        need(found, SWEEP_COLUMNS, columns)


def check_sweep_units(voltage: npt.NDArray[np.generic], current: npt.NDArray[np.generic]) -> None:
    """Raise ``InvalidValueError`` if voltages or currents are too large to be in V and A."""
    largest = np.nanmax(np.abs(voltage), initial=0.0)
    if not 0.0 < largest < 100.0:
        raise InvalidValueError(
            f"voltage: largest magnitude {largest:.3g} V; expected up to 100 V: if it is in mV, "
            "call the column 'voltage [mV]'"
        )
    if np.nanmax(np.abs(current), initial=0.0) > 10.0 and largest < 10.0:
        raise InvalidValueError(
            f"current: largest magnitude {np.nanmax(np.abs(current)):.3g} A; if it is in uA, call "
            "the column 'current [uA]'"
        )
