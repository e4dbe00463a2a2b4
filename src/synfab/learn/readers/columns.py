"""Finding columns by the names people give them, and turning their units into SI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from synfab.common.errors import InvalidValueError

# What a column may be called, in lower case, units and punctuation taken away.
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
# I/uA, I_uA, Voltage in mV: a unit without brackets counts behind a known name alone.
BARE_UNIT = re.compile(
    r"(?:\s*/\s*|[\s_]+(?:in\s+)?)([GMkKmu\u00b5\u03bcnp]?(?:V|A|s|[oO]hm|\u03a9|\u2126))$"
)


def split_name(column: str) -> tuple[str, str]:
    """Return the plain name of a column and the unit in brackets behind it."""
    text = str(column).strip()
    found = UNIT.search(text)
    if found is None and (bare := BARE_UNIT.search(text)):
        name, base = _plain(text[: bare.start()]), _spelt(bare.group(1))
        # V_s is the voltage of a source, not one in seconds.
        if any(name in words and BASE_UNITS[quantity] and base.endswith(BASE_UNITS[quantity])
               for quantity, words in ALIASES.items()):  # fmt: skip
            return name, bare.group(1)
    unit = found.group(1) if found else ""
    return _plain(text[: found.start()] if found else text), unit


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-.]+", " ", text).strip().lower()


def is_unit(text: str) -> bool:
    """Tell whether a word is a unit of one of the quantities."""
    text = _spelt(text)
    return any(base and text.endswith(base) and text[: -len(base)] in PREFIXES
               for base in BASE_UNITS.values())  # fmt: skip


def scale_of(name: str, unit: str, column: str) -> float:
    """Return the factor that turns a column with this unit into SI."""
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


def find_columns(
    columns: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, tuple[str, float]]:
    """Return for each quantity that is there its column and the factor to SI.

    Parameters
    ----------
    columns
        Names in the file.
    given
        Quantity to column, for names that are not known; a unit may follow in brackets.

    Raises
    ------
    InvalidValueError
        A quantity has two columns, or a named column is missing.
    """
    columns = [str(column) for column in columns]
    found: dict[str, tuple[str, float]] = {}
    for name, wanted in (given or {}).items():
        if name not in ALIASES:
            raise InvalidValueError(
                f"columns: expected names among {', '.join(ALIASES)}, found {name!r}"
            )
        exact = wanted if wanted in columns else UNIT.sub("", wanted).strip()
        if exact not in columns:
            raise InvalidValueError(
                f"columns: no column {wanted!r}; the file has {_listing(columns)}"
            )
        found[name] = (exact, scale_of(name, split_name(wanted)[1], wanted))
    taken = {column for column, _ in found.values()}
    for column in columns:
        plain, unit = split_name(column)
        for name, words in ALIASES.items():
            if plain not in words or column in taken or name in (given or {}):
                continue
            if name in found:
                raise InvalidValueError(
                    f"{name}: both {found[name][0]!r} and {column!r} could be it; "
                    f'say which with columns={{{name!r}: …}} (--columns "{name}=…")'
                )
            found[name] = (column, scale_of(name, unit, column))
    return found if "r_hrs" in found or "r_lrs" in found else _by_unit(columns, found)


def _by_unit(
    columns: list[str], found: dict[str, tuple[str, float]]
) -> dict[str, tuple[str, float]]:
    """Add a voltage and a current that no name tells, where one column alone has their unit."""
    free = [column for column in columns if column not in {name for name, _ in found.values()}]
    for name in SWEEP_COLUMNS:
        units = {c: _spelt(split_name(c)[1]) for c in free}
        fits = [c for c, unit in units.items() if is_unit(unit) and unit.endswith(BASE_UNITS[name])]
        if name not in found and len(fits) == 1:
            found[name] = (fits[0], scale_of(name, units[fits[0]], fits[0]))
    return found


def _listing(columns: list[str]) -> str:
    shown = ", ".join(repr(column) for column in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")


def need(found: Mapping[str, object], wanted: Iterable[str], columns: Iterable[str]) -> None:
    """Say in one line which quantities have no column."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InvalidValueError(
            f"columns: none for {', '.join(missing)}; the file has {_listing(list(columns))}. "
            "Rename one, or say which with columns={'voltage': 'my column [mV]', …} "
            '(--columns "voltage=my column [mV],…")'
        )
