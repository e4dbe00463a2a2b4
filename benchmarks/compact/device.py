"""Compiled devices for ngspice from equations in SymPy: residuals, exact derivatives, C code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sympy as sp
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from synfab.circuit.literals import environment
from synfab.circuit.osdi import FLAGS, find_compiler

FOLDER = Path(__file__).parent


class Equations:
    """Equations that hold where a condition in C is true, as a list of named steps.

    ``current`` is the current (A) from terminal a to terminal b; each residual, in the order of the
    inner nodes, is zero in the solution, or the rate of change of a state with a minus sign. Both
    are set after construction. Derivatives follow from the chain rule, step by step.
    """

    def __init__(self, condition: str, unknowns: Sequence[sp.Symbol]) -> None:
        self.condition = condition
        self.unknowns = tuple(unknowns)
        self.code: list[str] = []
        self.known: dict[sp.Symbol, dict[int, sp.Expr]] = {
            symbol: {j: sp.Integer(1)} for j, symbol in enumerate(unknowns)
        }

    def let(self, name: str, value: sp.Expr) -> sp.Symbol:
        """Return a symbol for an expression of parameters, unknowns and earlier steps."""
        symbol = sp.Symbol(f"{name}_", real=True)
        self.code.append(f"const double {symbol} = {sp.ccode(value)};")
        slopes: dict[int, sp.Expr] = {}
        for other in sorted(value.free_symbols & self.known.keys(), key=str):
            partial = sp.diff(value, other)
            for j, slope in self.known[other].items():
                slopes[j] = slopes.get(j, sp.Integer(0)) + partial * slope
        self.known[symbol] = {}
        for j, slope in slopes.items():
            own = sp.Symbol(f"{name}_d{self.unknowns[j]}", real=True)
            self.code.append(f"const double {own} = {sp.ccode(slope)};")
            self.known[symbol][j] = own
        return symbol

    def finish(self, current: sp.Expr, *residuals: sp.Expr) -> Equations:
        """Set the flows ``f`` and their derivatives ``J``, which the device loads."""
        for i, flow in enumerate((current, *residuals)):
            symbol = self.let(f"flow{i}", flow)
            self.code.append(f"f[{i}] = {symbol};")
            for j in range(len(self.unknowns)):
                self.code.append(f"J[{i}][{j}] = {self.known[symbol].get(j, 0.0)};")
        return self


@dataclass(frozen=True)
class Device:
    """A two-terminal device with inner nodes.

    ``inner`` names the inner nodes, with the largest change in a Newton iteration; ``states``
    gives the initial value (in C) of those that are integrated over time. With ``restart`` they
    start every attempt of a time point at their accepted values, which some devices need and others
    converge without. ``inertia`` is the capacitance of inner nodes whose value is not a state but
    would jump where equations lose their solution. ``kept`` are numbers that the C code ``set_up``
    and ``accepted`` (at accepted time points) change.
    """

    name: str
    title: str
    parameters: dict[str, float]
    inner: dict[str, float]
    states: dict[str, str]
    regions: tuple[Equations, ...]
    kept: tuple[str, ...] = ()
    set_up: str = ""
    accepted: str = ""
    restart: bool = False
    inertia: dict[str, float] = field(default_factory=dict)


def source_of(device: Device) -> str:
    """Return the C source of a device with the OSDI 0.3 interface."""
    inner = list(device.inner)
    capacities = dict.fromkeys(device.states, 1.0) | device.inertia
    own = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, autoescape=False,
    )  # fmt: skip
    return own.get_template("device.c.j2").render(
        name=device.name,
        title=device.title,
        interface=environment().get_template("osdi.h.j2").render(interface="0.3", natures=False),
        parameters={"cell": 0.0, **device.parameters},
        inner=inner,
        restart=device.restart,
        limits=list(device.inner.values()),
        states=device.states,
        capacities=capacities,
        moving=[2 + inner.index(name) for name in capacities],
        kept=list(device.kept),
        set_up=device.set_up,
        accepted=device.accepted,
        regions=[(each.condition, "\n".join(each.code)) for each in device.regions],
    )


def build(device: Device, folder: Path) -> Path:
    """Compile a device in a folder, with the flags of the cells of synfab, and return its path."""
    text, library = folder / f"{device.name}.c", folder / f"{device.name}.osdi"
    text.write_text(source_of(device), "utf-8")
    command = [*find_compiler(), *FLAGS, str(text), "-o", str(library), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def bounded_exp(x: sp.Expr, limit: float) -> sp.Expr:
    """Return exp(x), continued linearly above a limit that solutions do not reach."""
    high = sp.exp(limit)
    return sp.Piecewise((sp.exp(x), x < limit), (high.evalf() * (1 + x - limit), True))


def clip(x: sp.Expr, low: float, high: float) -> sp.Expr:
    """Return x within bounds that solutions do not reach, but Newton iterations may."""
    return sp.Piecewise((low, x < low), (high, x > high), (x, True))


def soft_floor(x: sp.Expr, width: float) -> sp.Expr:
    """Return max(x, 0), rounded within ``width`` of zero, so that its powers have derivatives."""
    return (x + sp.sqrt(x * x + width * width)) / 2
