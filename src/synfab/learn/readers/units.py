"""Units of measured quantities: recognised in names of columns, converted to SI."""

from __future__ import annotations

from synfab.common.errors import InvalidValueError
from synfab.model.conditions import UNITS

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
    "resistance": "ohm",
    "conductance": "S",
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
# Units that are written out, in lower case.
UNIT_WORDS = {
    **dict.fromkeys(("volt", "volts", "volt dc", "volt ac", "vdc"), "V"),
    **dict.fromkeys(("amp", "amps", "ampere", "amperes", "amp dc", "amp ac", "adc"), "A"),
    **dict.fromkeys(("second", "seconds", "sec"), "s"),
    "millivolt": "mV",
    "milliamp": "mA",
    "microamp": "uA",
    "siemens": "S",
}
# Units of durations in lower case, in s.
DURATIONS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds"), 1e-6),
    "ns": 1e-9,
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("y", "yr", "year", "years"), 365.25 * 86400.0),
}
# Units of temperatures in lower case, and what is added to obtain K.
TEMPERATURES = {
    **dict.fromkeys(("k", "kelvin"), 0.0),
    **dict.fromkeys(("c", "\u00b0c", "\u00bac", "\u2103", "degc", "deg c", "celsius"), 273.15),
}


def is_unit(text: str) -> bool:
    """Return True if a text is a unit of one of the quantities."""
    text = spelt(text)
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
    text = spelt(unit)
    if text.endswith(base) and text[: -len(base)] in PREFIXES:
        return PREFIXES[text[: -len(base)]]
    raise InvalidValueError(
        f"{column!r}: expected a unit of {name} ({base}, with a prefix such as m or k), "
        f"found {unit!r}"
    )


def spelt(unit: str) -> str:
    """Return a unit in the spelling of ``BASE_UNITS``."""
    unit = UNIT_WORDS.get(unit.strip().lower(), unit.strip())
    for sign in ("\u03a9", "\u2126", "Ohm", "ohms"):
        unit = unit.replace(sign, "ohm")
    return unit


def duration_scale(unit: str, column: str) -> float:
    """Return the factor that converts durations in this unit to s.

    Raises
    ------
    InvalidValueError
        It is not a unit of time.
    """
    if (found := DURATIONS.get(unit.strip().lower())) is not None:
        return found
    raise InvalidValueError(
        f"{column!r}: expected a unit of time (s, ms, us, min, h, d, y), found {unit!r}"
    )


def kelvin_offset(unit: str, column: str) -> float:
    """Return what is added to temperatures in this unit to obtain K.

    Raises
    ------
    InvalidValueError
        It is neither K nor degrees Celsius.
    """
    if (found := TEMPERATURES.get(unit.strip().lower())) is not None:
        return found
    raise InvalidValueError(f"{column!r}: expected K or degC, found {unit!r}")
