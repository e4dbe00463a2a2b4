"""Columns of measurements: found by common names of the quantities, converted to SI units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from synfab.common.errors import InvalidValueError
from synfab.model.conditions import UNITS

# Quantity to its column in a file and the factor from that column's unit to SI.
Found: TypeAlias = dict[str, tuple[str, float]]

# Names of columns in lower case, without units and punctuation.
ALIASES: dict[str, frozenset[str]] = {
    name: frozenset(words.split(", "))
    for name, words in {
        "device": "device, dev, device id, cell, cell id, address, addr, dut",
        "cycle": "cycle, cycle number, cycle index, cycles, loop, loop index, sweep, repeat, n",
        "time": "time, t, timestamp, elapsed time",
        "voltage": "voltage, v, u, volt, voltage probe, probe voltage, applied voltage, bias, v1, "
        "av, vapp, v app, vmeas, anodev, drainv, spannung",
        "current": "current, i, curr, current probe, probe current, measured current, i1, id, "
        "ai, iapp, imeas, i meas, anodei, draini, strom",
        "r_hrs": "r hrs, rhrs, hrs, roff, r off, high resistance, r high, r after reset",
        "u_set": "u set, uset, v set, vset, set voltage, us",
        "r_lrs": "r lrs, rlrs, lrs, ron, r on, low resistance, r low, r after set",
        "u_reset": "u reset, ureset, v reset, vreset, reset voltage, ur",
        "compliance": "compliance, compliance current, current compliance, current limit, i limit, "
        "icc, i cc, icomp, i comp, i compliance",
        "stop_voltage": "stop voltage, v stop, vstop, u stop, ustop, reset stop voltage, "
        "v reset stop, reset stop",
    }.items()
}
SWEEP_COLUMNS = ("voltage", "current")

BASE_UNITS = {
    "device": "",
    "cycle": "",
    "time": "s",
    "voltage": "V",
    "current": "A",
    "r_hrs": "ohm",
    "u_set": "V",
    "r_lrs": "ohm",
    "u_reset": "V",
    **UNITS,
}
PREFIXES = {
    "": 1.0,
    "G": 1e9,
    "M": 1e6,
    "k": 1e3,
    "K": 1e3,
    "m": 1e-3,
    "u": 1e-6,
    "\u00b5": 1e-6,
    "\u03bc": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
}
UNIT = re.compile(r"[\[(]\s*([^\])]*?)\s*[\])]\s*$")
# I/uA, I_uA, Voltage in mV: a unit without brackets is recognised only after a known name.
BARE_UNIT = re.compile(
    r"(?:\s*/\s*|[\s_]+(?:in\s+)?)([GMkKmu\u00b5\u03bcnp]?(?:V|A|s|[oO]hm|\u03a9|\u2126))$"
)


def split_name(column: str) -> tuple[str, str]:
    """Return the name of a column in lower case and its unit; "" if it states none."""
    text = str(column).strip()
    found = UNIT.search(text)
    if found is None and (bare := BARE_UNIT.search(text)):
        name, base = _plain(text[: bare.start()]), _spelt(bare.group(1))
        # V_s is a source voltage, not a voltage in seconds: the unit must fit the quantity.
        if any(name in words and BASE_UNITS[quantity] and base.endswith(BASE_UNITS[quantity])
               for quantity, words in ALIASES.items()):  # fmt: skip
            return name, bare.group(1)
    unit = found.group(1) if found else ""
    return _plain(text[: found.start()] if found else text), unit


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-.]+", " ", text).strip().lower()


def is_unit(text: str) -> bool:
    """Return True if a text is a unit of one of the quantities."""
    text = _spelt(text)
    return any(base and text.endswith(base) and text[: -len(base)] in PREFIXES
               for base in BASE_UNITS.values())  # fmt: skip


def scale_of(name: str, unit: str, column: str) -> float:
    """Return the factor that converts values of a quantity in this unit to SI.

    Raises
    ------
    InvalidValueError
        It is not a unit of the quantity ``name``.
    """
    base = BASE_UNITS[name]
    if not unit or not base:
        return 1.0
    text = _spelt(unit)
    if text.endswith(base) and text[: -len(base)] in PREFIXES:
        return PREFIXES[text[: -len(base)]]
    raise InvalidValueError(
        f"{column!r}: expected a unit of {name} ({base}, with a prefix such as m or k), "
        f"found {unit!r}"
    )


def _spelt(unit: str) -> str:
    text = unit.replace("\u03a9", "ohm").replace("\u2126", "ohm").replace("Ohm", "ohm")
    return text.replace("ohms", "ohm").replace("sec", "s")


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
        if exact not in columns:
            raise InvalidValueError(f"columns: no column {wanted!r}; found {listing(columns)}")
        found[name] = (exact, scale_of(name, split_name(wanted)[1], wanted))
    taken = {column for column, _ in found.values()}
    for column in columns:
        plain, unit = split_name(column)
        for name, words in ALIASES.items():
            if plain not in words or column in taken or name in (given or {}):
                continue
            if name in found:
                raise InvalidValueError(
                    f"{name}: both {found[name][0]!r} and {column!r} fit; choose one with "
                    f'columns={{{name!r}: …}} (--columns "{name}=…")'
                )
            found[name] = (column, scale_of(name, unit, column))
    return found if "r_hrs" in found or "r_lrs" in found else _by_unit(columns, found)


def _by_unit(columns: list[str], found: Found) -> Found:
    """Add a voltage and a current whose names are unknown, if only one column has their unit."""
    free = [column for column in columns if column not in {name for name, _ in found.values()}]
    for name in SWEEP_COLUMNS:
        units = {c: _spelt(split_name(c)[1]) for c in free}
        fits = [c for c, unit in units.items() if is_unit(unit) and unit.endswith(BASE_UNITS[name])]
        if name not in found and len(fits) == 1:
            found[name] = (fits[0], scale_of(name, units[fits[0]], fits[0]))
    return found


def listing(names: Iterable[object]) -> str:
    """Return the names of the first columns in quotes, for a message."""
    columns = list(map(str, names))
    shown = ", ".join(repr(column) for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")


def need(found: Mapping[str, object], wanted: Iterable[str], columns: Iterable[str]) -> None:
    """Raise ``InvalidValueError`` if one of the wanted quantities has no column."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InvalidValueError(
            f"columns: none for {', '.join(missing)}; found {listing(columns)}. "
            "Rename one, or name it with columns={'voltage': 'my column [mV]', …} "
            '(--columns "voltage=my column [mV],…")'
        )


def check_sweep_units(voltage: npt.NDArray[np.generic], current: npt.NDArray[np.generic]) -> None:
    """Raise ``InvalidValueError`` if voltages or currents are too large to be in V and A."""
    for name, values in (("voltage", voltage), ("current", current)):
        if not np.isfinite(values).any():
            raise InvalidValueError(f"{name}: found no number in any row")
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
