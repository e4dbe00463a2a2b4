"""Controls of the explorer, and their values as a page, an address or a script states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from synfab.common.errors import InvalidValueError, SynfabError
from synfab.common.messages import shown
from synfab.model.cell_model import CellModel
from synfab.model.traps import NOMINAL_TEMPERATURE

WIRE_RESISTANCES = (0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
COLOURS, SCALES = ("device", "cycle"), ("linear", "log")
MEASUREMENT = "measurement"  # identifier of a loaded measurement; empty: none is shown
IDENTIFIER = re.compile(r"[0-9a-f]{12}|")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
MAX_TEXT = 40  # characters of a value

Value = int | float | str


class Control(NamedTuple):
    """Control of the page: a number within limits, or one of some options."""

    name: str
    label: str
    group: str
    default: Value
    minimum: float = 0.0
    maximum: float = 0.0
    step: float = 0.0
    options: tuple[Value, ...] = ()
    kind: Literal["integer", "number", "choice"] = "number"


class Settings(NamedTuple):
    """Values of all controls, within their limits."""

    u_min: float
    u_max: float
    cycles: int
    cells: int
    order: int
    seed: int
    rows: int
    wire_resistance: float
    read_voltage: float
    log_time: float | None = None  # log10 of seconds; None without traps: no time passes
    temperature: float = NOMINAL_TEMPERATURE
    colour: str = "device"
    scale: str = "linear"
    measurement: str = ""

    @property
    def seconds(self) -> float:
        """Time between programming and reading the crossbar (s)."""
        return 0.0 if self.log_time is None else float(10.0**self.log_time)


def controls(model: CellModel) -> dict[str, Control]:
    """Return the controls of a model by name; those of time only for models with traps."""
    low, top = model.conduction.voltage_range
    u_0 = round(model.conduction.u_0, 3)
    top = max(top, model.conduction.u_max)
    found = [
        Control("u_min", "Lowest voltage (V)", "Sweep", round(low, 2), round(1.2 * low, 2), 0.0,
                0.02),
        Control("u_max", "Highest voltage (V)", "Sweep", round(model.conduction.u_max + 0.04, 2),
                0.0, round(1.2 * top, 2), 0.02),
        Control("cycles", "Cycles", "Sweep", 8, 1, 100, 1, kind="integer"),
        Control("cells", "Devices", "Devices", 16, 1, 1000, 1, kind="integer"),
        Control("order", "Order of the history", "Devices", model.orders[-1],
                options=tuple(model.orders), kind="choice"),
        Control("seed", "Seed", "Devices", 0, 0, 2**31 - 1, 1, kind="integer"),
        Control("rows", "Rows and columns", "Crossbar", 32, 2, 64, 1, kind="integer"),
        Control("wire_resistance", "Wires (ohm per segment)", "Crossbar", 1.0,
                options=WIRE_RESISTANCES, kind="choice"),
        Control("read_voltage", "Read voltage (V)", "Crossbar", u_0, 0.01, max(0.5, u_0), 0.01),
    ]  # fmt: skip
    if model.traps is not None:
        found += [
            Control("log_time", "Time before the read, log10 (s)", "Time and temperature", 0.0,
                    -3.0, 9.0, 0.25),
            Control("temperature", "Temperature (K)", "Time and temperature", NOMINAL_TEMPERATURE,
                    250.0, 500.0, 5.0),
        ]  # fmt: skip
    found += [
        Control("colour", "Colours by", "View", "device", options=COLOURS, kind="choice"),
        Control("scale", "Current", "View", "linear", options=SCALES, kind="choice"),
    ]
    return {control.name: control for control in found}


def parsed(control: Control, text: str) -> Value:
    """Return the value of a control that a text states.

    Raises
    ------
    InvalidValueError
        It is not a number, outside the limits, or not an option.
    """
    if control.kind == "choice":
        for option in control.options:
            if text == f"{option:g}" if isinstance(option, float) else text == str(option):
                return option
        allowed = ", ".join(f"{o:g}" if isinstance(o, float) else str(o) for o in control.options)
        raise _refused(control.name, f"one of {allowed}", text)
    limits = f"{control.minimum:.10g} … {control.maximum:.10g}"
    if len(text) > MAX_TEXT or not NUMBER.fullmatch(text):
        raise _refused(control.name, f"a number, {limits}", text)
    value = float(text)
    if not control.minimum <= value <= control.maximum:
        raise _refused(control.name, limits, text)
    if control.kind == "integer":
        if not value.is_integer():
            raise _refused(control.name, f"a whole number, {limits}", text)
        return int(value)
    return value


def settings(known: Mapping[str, Control], texts: Mapping[str, str]) -> Settings:
    """Return the settings that texts by name state; what is not named has its default.

    Raises
    ------
    InvalidValueError
        A name is unknown, or a value is not valid.
    """
    found: dict[str, Value] = {name: control.default for name, control in known.items()}
    for name, text in texts.items():
        if name == MEASUREMENT:
            if not IDENTIFIER.fullmatch(text):
                raise _refused(name, "12 hexadecimal digits", text)
            found[name] = text
        elif name in known:
            found[name] = parsed(known[name], text)
        else:
            raise InvalidValueError(
                f"{shown(name)}: no such setting; expected {', '.join([*known, MEASUREMENT])}"
            )
    return Settings(**found)  # type: ignore[arg-type]


def lenient_settings(
    known: Mapping[str, Control], texts: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings of an address, with defaults for values that are refused, and why."""
    good: dict[str, str] = {}
    problems = []
    for name, text in texts.items():
        try:
            settings(known, {name: text})
        except SynfabError as error:
            problems.append(str(error))
        else:
            good[name] = text
    return settings(known, good), problems


def _refused(name: str, expected: str, text: str) -> InvalidValueError:
    return InvalidValueError(f"{name}: expected {expected}, found {shown(text)}")
